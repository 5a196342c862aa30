"""MobileNetV2, for comparison.

Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, table 2, with
width 1 and four classes: 2,228,996 parameters. Weights are random; only its speed is measured.
"""

import itertools
import logging
import warnings
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

SIDE: Final = 224
"""Pixels of the square RGB input."""

_STAGES: Final = (
    # expansion, channels, blocks, stride of the first
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_STEM: Final = 32
_LAST: Final = 1280


class Convolution(nn.Sequential):
    """Convolution without bias, batch norm and, unless ``linear``, ReLU6."""

    def __init__(
        self, inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1,
        linear: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(
            nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outside),
            nn.Identity() if linear else nn.ReLU6(),
        )


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; with a shortcut where shapes allow."""

    def __init__(self, inside: int, outside: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inside * expansion
        expand = [Convolution(inside, hidden, 1)] if expansion > 1 else []
        self.body = nn.Sequential(
            *expand,
            Convolution(hidden, hidden, 3, stride, groups=hidden),
            Convolution(hidden, outside, 1, linear=True),
        )
        self.shortcut = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H / stride, W / stride)."""
        y: Tensor = self.body(x)
        return x + y if self.shortcut else y


class MobileNetV2(nn.Module):
    """RGB (N, 3, 224, 224) to logits (N, classes)."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        blocks: list[nn.Module] = [Convolution(3, _STEM, 3, 2)]
        channels = _STEM
        for expansion, width, depth, stride in _STAGES:
            for step in itertools.chain([stride], [1] * (depth - 1)):
                blocks.append(InvertedResidual(channels, width, step, expansion))
                channels = width
        self.features = nn.Sequential(*blocks, Convolution(channels, _LAST, 1))
        self.classifier = nn.Linear(_LAST, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        pooled = self.features(x).mean(dim=(2, 3))
        logits: Tensor = self.classifier(pooled)
        return logits


def export(path: Path) -> int:
    """Write an ONNX file with a dynamic batch; return the number of parameters."""
    torch.manual_seed(0)
    network = MobileNetV2().eval()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            network,
            (torch.zeros(2, 3, SIDE, SIDE),),
            input_names=["image"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    path.write_bytes(program.model_proto.SerializeToString())
    return sum(parameter.numel() for parameter in network.parameters())

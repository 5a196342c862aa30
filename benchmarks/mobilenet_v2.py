"""MobileNetV2, for comparison.

Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, table 2, with
width 1 and four classes: 2,228,996 parameters. Weights are random; only its speed is measured.
"""

from pathlib import Path
from typing import Final

import torch
from torch import nn

from tumorlens.config import TrainConfig
from tumorlens.networks import registry
from tumorlens.training.export import export_graph

SIDE: Final = 224
"""Pixels of the square RGB input."""


def export(path: Path) -> int:
    """Write an ONNX file with a dynamic batch; return the number of parameters."""
    peer = registry.build(TrainConfig(model="mobilenet_v2"))
    features = peer.get_submodule("features")
    graph = nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), peer.classifier).eval()
    path.write_bytes(export_graph(graph, torch.zeros(2, 3, SIDE, SIDE), ["logits"]))
    return registry.count_parameters(peer)

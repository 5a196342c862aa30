"""The gate: a tiny network that tells pictures of heads from anything else, before any answer.

It sees the whole picture small, learns from every head at hand in many styles, and from pictures
of anything else that are drawn by rules (``datasets.counterexamples``). One network serves every
classifier that reads the same kind of picture. Outlier exposure: Hendrycks et al. (2019).
"""

import dataclasses
import io
import math
from collections.abc import Callable
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tumorlens.bundle import GATE_OUTPUT
from tumorlens.config import AugmentConfig, ModelConfig, PreprocessConfig, StyleConfig
from tumorlens.datasets import counterexamples
from tumorlens.training import optimization
from tumorlens.training.augmentation import augment
from tumorlens.training.export import export_graph
from tumorlens.training.network import SeparableBlock

GATE_SIZE: Final = 64
GATE_PREPROCESS: Final = PreprocessConfig(image_size=GATE_SIZE, crop=False)
_NETWORK: Final = ModelConfig(
    name="gate", widths=(16, 32, 64, 64), depths=(1, 1, 1, 1), strides=(2, 2, 2, 1), kernel_size=3
)
_STYLE: Final = AugmentConfig(
    rotation_degrees=25.0,
    scale=0.35,
    shift=0.1,
    shear=0.08,
    noise=0.05,
    erase=0.1,
    mixup=0.0,
    style=StyleConfig(probability=0.2, frame=0.08, sharpen=1.0, resolution=2.0),
)

Progress = Callable[[int, int], None]


class GateNetwork(nn.Module):
    """Separable blocks, global average and maximum, one number: positive for a head."""

    def __init__(self) -> None:
        """Random weights from torch's global generator."""
        super().__init__()
        width = _NETWORK.widths[0]
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.SiLU(inplace=True)
        )
        blocks: list[nn.Module] = []
        for outputs, stride in zip(_NETWORK.widths, _NETWORK.strides, strict=True):
            blocks.append(SeparableBlock(width, outputs, stride, _NETWORK))
            width = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.Linear(2 * width, 64), nn.SiLU(), nn.Linear(64, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, S, S) normalised pictures to (N,) logits."""
        features = self.blocks(self.stem(x))
        pooled = torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)
        logits: Tensor = self.head(pooled)
        return logits[:, 0]


@dataclasses.dataclass(frozen=True)
class GateRun:
    """How long and how to train."""

    steps: int = 3000
    batch_size: int = 96
    learning_rate: float = 3e-3
    outliers: int = 12_000
    """Pictures drawn once; each batch takes some, mirrored and restyled anew."""
    seed: int = 0


def train_gate(
    heads: NDArray[np.uint8],
    run: GateRun | None = None,
    weights: NDArray[np.float64] | None = None,
    progress: Progress | None = None,
) -> GateNetwork:
    """Train on ``heads`` (N, S, S) uint8 of ``GATE_PREPROCESS``, and on drawn outliers.

    ``weights`` (N,), summing to 1, say how often each head is seen; by default all alike.
    """
    run = run or GateRun()
    weights = np.full(len(heads), 1 / len(heads)) if weights is None else weights
    rng = np.random.default_rng(run.seed)
    torch.manual_seed(run.seed)
    generator = torch.Generator().manual_seed(run.seed)
    strangers = draw_outliers(rng, heads, run.outliers)
    network = GateNetwork().train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=run.learning_rate, weight_decay=0.02)
    average = optimization.WeightAverage(network, 0.998)
    for step in range(run.steps):
        share = step / run.steps
        for group in optimizer.param_groups:
            group["lr"] = (
                run.learning_rate * min(1.0, step / 100) * (1 + math.cos(math.pi * share)) / 2
            )
        half = run.batch_size // 2
        chosen = rng.choice(len(heads), half, p=weights)
        others = rng.integers(len(strangers), size=half)
        images, known = _batch(heads[chosen], strangers[others], generator)
        loss = nn.functional.binary_cross_entropy_with_logits(network(images), known)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average.update(network, step)
        if progress is not None:
            progress(step + 1, run.steps)
    network.load_state_dict(average.values)
    return network.eval()


def draw_outliers(
    rng: np.random.Generator, heads: NDArray[np.uint8], count: int
) -> NDArray[np.uint8]:
    """Draw ``count`` outliers (count, S, S) uint8, breaking some of ``heads``."""
    drawn = np.empty((count, GATE_SIZE, GATE_SIZE), dtype=np.uint8)
    for index in range(count):
        head = heads[rng.integers(len(heads))].astype(np.float32) / 255.0
        drawn[index] = np.rint(255 * counterexamples.draw(rng, GATE_SIZE, head))
    return drawn


def export_gate(network: GateNetwork) -> bytes:
    """ONNX: float32 (N, 1, S, S) in, logits (N,) out."""
    model = export_graph(network, torch.zeros(2, 1, GATE_SIZE, GATE_SIZE), [GATE_OUTPUT])
    out = io.BytesIO()
    onnx.save(model, out)
    return out.getvalue()


def _batch(
    heads: NDArray[np.uint8], strangers: NDArray[np.uint8], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Heads, then strangers, restyled alike so that style tells nothing; 1 for each head."""
    batch = torch.from_numpy(np.concatenate([heads, strangers]))[:, None].float() / 255.0
    changed, _ = augment(batch, None, _STYLE, GATE_SIZE, generator)
    known = torch.cat([torch.ones(len(heads)), torch.zeros(len(strangers))])
    return (changed - GATE_PREPROCESS.mean) / GATE_PREPROCESS.std, known

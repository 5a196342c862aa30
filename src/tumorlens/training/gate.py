"""The gate: a tiny network that rejects images of anything but a head, before any answer.

It sees the whole image small and learns from every head at hand in many styles; from near misses,
images that resemble a slice of brain MRI but are none, such as head CT; and from images of
anything else that are drawn by rules (``datasets.counterexamples``). One network serves every
classifier that reads the same kind of image. Outlier exposure: Hendrycks et al. (2019).
"""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tumorlens.bundle import GATE_OUTPUT
from tumorlens.config import AugmentConfig, ModelConfig, StyleConfig
from tumorlens.datasets import counterexamples
from tumorlens.datasets.manifest import Record
from tumorlens.inference.gate import GATE_PREPROCESS, GATE_SIZE
from tumorlens.labels import NOT_BRAIN_MRI
from tumorlens.networks.sepsenet import SeparableBlock
from tumorlens.progress import Progress, reported
from tumorlens.training import optimization
from tumorlens.training.augmentation import augment
from tumorlens.training.cache import cached_images
from tumorlens.training.data import Extra
from tumorlens.training.export import export_graph
from tumorlens.training.images import balanced_weights

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
        """(N, 1, S, S) normalised images to (N,) logits."""
        features = self.blocks(self.stem(x))
        pooled = torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)
        logits: Tensor = self.head(pooled)
        return logits[:, 0]


class WeightedImages(NamedTuple):
    """Preprocessed images and how often each is drawn."""

    images: NDArray[np.uint8]
    """(N, S, S) of ``GATE_PREPROCESS``."""
    weights: NDArray[np.float64]
    """(N,) summing to 1; empty where there are no images."""

    @classmethod
    def alike(cls, images: NDArray[np.uint8]) -> Self:
        """All images equally often."""
        return cls(images, np.full(len(images), 1 / max(1, len(images))))

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
        """``count`` of them, with replacement."""
        return self.images[rng.choice(len(self.images), count, p=self.weights)]


@dataclasses.dataclass(frozen=True)
class GateRun:
    """Settings of the training."""

    steps: int = 3000
    batch_size: int = 96
    learning_rate: float = 3e-3
    outliers: int = 12_000
    """Images drawn once; each batch takes some, mirrored and restyled anew."""
    seed: int = 0


def load_images(
    sets: Sequence[Extra], held_out: Sequence[str], folder: Path
) -> tuple[WeightedImages, WeightedImages]:
    """The heads of ``sets`` and their near misses, through the cache in ``folder``.

    Heads are all that is brain MRI, whatever its label. ``held_out`` are sources, families or kinds
    of near misses to leave out, for a later test of the gate.
    """

    def load(near: bool) -> WeightedImages:
        images, records = [], []
        for extra in sets:
            chosen = [
                i for i in extra.chosen() if _takes_part(extra.manifest.records[i], near, held_out)
            ]
            images.append(cached_images(extra.manifest, chosen, GATE_PREPROCESS, folder))
            records += [extra.manifest.records[i] for i in chosen]
        weights = balanced_weights(records) if records else np.zeros(0)
        return WeightedImages(np.concatenate(images), weights)

    return load(near=False), load(near=True)


def _takes_part(record: Record, near: bool, held_out: Sequence[str]) -> bool:
    named = {record.source, record.family, *([record.sequence] if near else [])}
    return (record.label == NOT_BRAIN_MRI) == near and not named & set(held_out)


def train_gate(
    heads: WeightedImages,
    near_misses: WeightedImages | None = None,
    run: GateRun | None = None,
    progress: Progress | None = None,
) -> GateNetwork:
    """Train on ``heads``, half of each batch, on ``near_misses`` and on drawn outliers."""
    run = run or GateRun()
    rng = np.random.default_rng(run.seed)
    torch.manual_seed(run.seed)
    generator = torch.Generator().manual_seed(run.seed)
    outliers = WeightedImages.alike(draw_outliers(rng, heads.images, run.outliers))
    network = GateNetwork().train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=run.learning_rate, weight_decay=0.02)
    average = optimization.WeightAverage(network, 0.998)
    for step in reported(range(run.steps), run.steps, progress):
        share = step / run.steps
        for group in optimizer.param_groups:
            group["lr"] = (
                run.learning_rate * min(1.0, step / 100) * (1 + math.cos(math.pi * share)) / 2
            )
        half = run.batch_size // 2
        near = half // 2 if near_misses is not None and len(near_misses.images) else 0
        others = outliers.draw(rng, half - near)
        if near and near_misses is not None:
            others = np.concatenate([others, near_misses.draw(rng, near)])
        images, known = _batch(heads.draw(rng, half), others, generator)
        loss = nn.functional.binary_cross_entropy_with_logits(network(images), known)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average.update(network, step)
    network.load_state_dict(average.values)
    return network.eval()


def draw_outliers(
    rng: np.random.Generator, heads: NDArray[np.uint8], count: int
) -> NDArray[np.uint8]:
    """Draw ``count`` outliers (count, S, S) uint8; some are made from ``heads``."""
    drawn = np.empty((count, GATE_SIZE, GATE_SIZE), dtype=np.uint8)
    for index in range(count):
        head = heads[rng.integers(len(heads))].astype(np.float32) / 255.0
        drawn[index] = np.rint(255 * counterexamples.draw(rng, GATE_SIZE, head))
    return drawn


def export_gate(network: GateNetwork) -> bytes:
    """ONNX: float32 (N, 1, S, S) in, logits (N,) out."""
    return export_graph(network, torch.zeros(2, 1, GATE_SIZE, GATE_SIZE), [GATE_OUTPUT])


def _batch(
    heads: NDArray[np.uint8], others: NDArray[np.uint8], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Heads, then other images, restyled in the same way so that style reveals nothing; 1: head."""
    batch = torch.from_numpy(np.concatenate([heads, others]))[:, None].float() / 255.0
    changed = augment(batch, None, _STYLE, GATE_SIZE, generator).images
    known = torch.cat([torch.ones(len(heads)), torch.zeros(len(others))])
    return (changed - GATE_PREPROCESS.mean) / GATE_PREPROCESS.std, known

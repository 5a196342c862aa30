"""A small image set whose classes a network can tell apart within seconds."""

from pathlib import Path

import numpy as np
import pytest

from tumorlens.config import (
    AugmentConfig,
    ModelConfig,
    OptimizerConfig,
    PreprocessConfig,
    TrainConfig,
)
from tumorlens.datasets import splits
from tumorlens.datasets.importers import import_folder
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import Split, SplitRow
from tumorlens.imaging.raster import encode
from tumorlens.labels import CLASSES
from tumorlens.training.data import TrainingData
from tumorlens.training.runner import RunOptions, train

TINY_MODEL = ModelConfig(
    name="tiny", widths=(4, 8), depths=(1, 2), strides=(2, 2), kernel_size=3, dropout=0.1
)


def _draw(rng: np.random.Generator, label: int) -> np.ndarray:
    """A gray disc on black; the class decides the quadrant of a bright square on it."""
    y, x = np.mgrid[:48, :48]
    image = np.where((y - 24) ** 2 + (x - 24) ** 2 < 20**2, 90.0, 0.0)
    top, left = 14 + 12 * (label // 2), 14 + 12 * (label % 2)
    image[top : top + 8, left : left + 8] = 220.0
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def square_set(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, Split]:
    """80 images, 20 a class; three in four train, the rest validate."""
    folder = tmp_path_factory.mktemp("squares")
    rng = np.random.default_rng(3)
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir()
        for index in range(20):
            image = encode.png(_draw(rng, label))
            (folder / name / f"{index:02d}.png").write_bytes(image)
    manifest = import_folder(folder, folder / "manifest.csv")
    manifest.save(folder / "manifest.csv")
    rows = [
        SplitRow(r.sha256, r.label, r.group, "validation" if Path(r.path).stem >= "15" else "train")
        for r in manifest
    ]
    split = splits.build("squares", "for tests", rows, disjoint=True)
    split.save(folder / "squares.csv")
    return manifest, split


@pytest.fixture(scope="session")
def tiny_config() -> TrainConfig:
    """Learns the squares in a few seconds on one core."""
    return TrainConfig(
        model=TINY_MODEL,
        epochs=24,
        batch_size=12,
        preprocess=PreprocessConfig(image_size=48),
        augment=AugmentConfig(
            rotation_degrees=5, scale=0.05, shift=0.02, horizontal_flip=0, erase=0, mixup=0.1
        ),
        optimizer=OptimizerConfig(learning_rate=2e-2, warmup_epochs=1, ema_decay=0.9),
    )


@pytest.fixture(scope="session")
def finished(
    square_set: tuple[Manifest, Split],
    tiny_config: TrainConfig,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of a run that was never interrupted."""
    out = tmp_path_factory.mktemp("run")
    options = RunOptions(name="squares", threads=1, cache_folder=out / "cache")
    train(tiny_config, TrainingData(*square_set), out, options)
    return out

"""One network under our trainer."""

from pathlib import Path

import msgspec
from benchmarks.peers import networks

from tumorlens.config import TrainConfig, recipe_path
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.training.data import TrainingData
from tumorlens.training.progress import EpochBar
from tumorlens.training.runner import RunOptions, train


def recipe(
    peer: str, split: str, *, epochs: int | None, image_size: int | None, seed: int
) -> TrainConfig:
    """The recipe of the split with ``peer`` for its network, shorter or smaller where asked."""
    config = TrainConfig.from_toml(recipe_path(split))
    size = image_size or config.preprocess.image_size
    return msgspec.structs.replace(
        config,
        model=peer,
        epochs=epochs or config.epochs,
        seed=seed,
        preprocess=msgspec.structs.replace(config.preprocess, image_size=size),
    )


def run(
    config: TrainConfig,
    data: Path,
    split: str,
    out: Path,
    *,
    cache: Path | None = None,
    threads: int = 1,
) -> Path | None:
    """Train from the start or from ``out``'s checkpoint; return the bundle's folder.

    Raises ``CheckpointError`` where ``out`` holds another run.
    """
    chosen = TrainingData(Manifest.load(data), splits.load(split))
    options = RunOptions(str(config.model), resume=True, cache_folder=cache, threads=threads)
    with EpochBar(config.epochs) as bar:
        return train(config, chosen, out, options, [bar], networks.build)

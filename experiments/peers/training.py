"""One network under our trainer."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from benchmarks.peers import networks

from tumorlens.config import TrainConfig, recipe_path
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.training.data import Extra, TrainingData
from tumorlens.training.progress import EpochBar
from tumorlens.training.runner import RunOptions, train


def recipe(
    peer: str,
    recipe_or_split: str | Path,
    *,
    epochs: int | None,
    image_size: int | None,
    seed: int,
) -> TrainConfig:
    """A recipe, or the one of a split, with ``peer`` for its network, changed where asked."""
    config = TrainConfig.from_toml(recipe_path(recipe_or_split))
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
    extras: Sequence[tuple[str, str]] = (),
    held_out_sources: Sequence[str] = (),
    cache: Path | None = None,
    threads: int = 1,
) -> Path | None:
    """Train from the start or from ``out``'s checkpoint; return the bundle's folder.

    ``extras`` are further manifests, each with the split whose ``train`` part is taken, or "all";
    ``held_out_sources`` are sources or families that take no part.
    Raises ``CheckpointError`` where ``out`` holds another run.
    """
    more = [
        Extra(Manifest.load(path), None if part == "all" else splits.load(part))
        for path, part in extras
    ]
    chosen = TrainingData(Manifest.load(data), splits.load(split), more, held_out_sources)
    options = RunOptions(str(config.model), resume=True, cache_folder=cache, threads=threads)
    with EpochBar(config.epochs) as bar:
        return train(config, chosen, out, options, [bar], networks.build)

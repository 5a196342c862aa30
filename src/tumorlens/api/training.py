"""``tumorlens.train``: from images to a bundle in one call."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta

from tumorlens.api.arguments import Threads, checked
from tumorlens.api.data import Data, has_folders, manifest_of, split_of
from tumorlens.api.data import split as new_split
from tumorlens.api.model import Model, load
from tumorlens.config import Device, Seed, TrainConfig, recipe_path
from tumorlens.datasets.splits import Split
from tumorlens.errors import RecipeError, needing

if TYPE_CHECKING:
    from tumorlens.training.trainer import Watcher

SPLIT_FILE: Final = "split.csv"


@checked
def train(
    data: Data,
    split: str | Path | Split | None = None,
    *,
    out: str | Path,
    recipe: str | Path = "default",
    settings: Mapping[str, Any] | None = None,
    epochs: Annotated[int, Meta(ge=1)] | None = None,
    seed: Seed | None = None,
    name: str = "model",
    threads: Threads | None = None,
    device: Device = "auto",
    group_from: str | None = None,
    init: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Model:
    """Train the network of ``recipe`` and return it; the run is written to ``out``.

    ``data`` is a manifest, or a folder with one subfolder for each class. Without ``split``, images
    are split by their train and test folders, if any, or else 70/15/15 by patient
    (``tumorlens.split``). ``group_from`` finds the patient in a file's path; without it, each image
    counts as a patient. ``settings`` overrides keys of the recipe:
    ``{"optimizer.learning_rate": 1e-3}``. For fine-tuning, ``init`` is a bundled network, a bundle
    or a run that provides the initial weights. ``out`` gets ``bundle/``, ``run.json``, the
    checkpoint, and ``manifest.csv`` and ``split.csv`` if they were created here. ``resume``
    continues from the checkpoint.

    Raises ``MissingExtraError`` without the extra ``train``, ``RecipeError``, ``ManifestError``,
    ``SplitError``, ``CheckpointError``, ``OutputExistsError``.
    """
    with needing("train", "training"):
        from tumorlens.training.runner import RunOptions, prepare_folder
        from tumorlens.training.runner import train as run
    from tumorlens.bundle import BUNDLE_FOLDER
    from tumorlens.training.data import TrainingData
    from tumorlens.training.progress import EpochBar

    folder = Path(out)
    config = _config(recipe, settings or {}, epochs, seed)
    if config.cross_fit > 1:
        raise RecipeError(
            f"recipe {recipe} trains {config.cross_fit} teachers (`cross_fit`), and none of them "
            "is the model to return; train them with `tumorlens train`"
        )
    prepare_folder(folder, resume)
    manifest = manifest_of(data, folder, group_from=group_from)
    if split is None:
        as_they_are = has_folders(manifest)
        split = new_split(manifest, folders=as_they_are, seed=config.seed, name=folder.name)
        split.save(folder / SPLIT_FILE)
    start = None if init is None else Path(init)
    options = RunOptions(name=name, resume=resume, threads=threads, device=device, init=start)
    parts = split_of(split, data)
    with EpochBar(config.epochs, quiet=not progress) as bar:
        watchers: list[Watcher] = [bar]
        training = TrainingData(parts.grouped(manifest), parts)
        bundle = run(config, training, folder, options, watchers)
    return load(bundle or folder / BUNDLE_FOLDER)


def _config(
    recipe: str | Path, settings: Mapping[str, Any], epochs: int | None, seed: int | None
) -> TrainConfig:
    changes = {k: v for k, v in {"epochs": epochs, "seed": seed}.items() if v is not None}
    overrides = [_override(key, value) for key, value in {**settings, **changes}.items()]
    return TrainConfig.from_toml(recipe_path(recipe), overrides)


def _override(key: Any, value: Any) -> str:
    """``KEY=VALUE`` with the value as TOML, which most values are written in as in JSON."""
    if not isinstance(key, str) or "=" in key:
        raise RecipeError(f"settings: {key!r} is not a key, such as 'optimizer.learning_rate'")
    if isinstance(value, float) and not math.isfinite(value):
        return f"{key}={value}"
    try:
        text = msgspec.json.encode(value, enc_hook=_plain).decode()
    except TypeError:
        text = "null"
    if text == "null":
        raise RecipeError(f"settings: {key} cannot be {value!r}")
    return f"{key}={text}"


def _plain(value: Any) -> Any:
    """A number of numpy as one of Python."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError

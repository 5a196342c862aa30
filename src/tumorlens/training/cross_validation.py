"""One network for each fold of a split, each without the fold that it will be scored on."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tumorlens.bundle import BUNDLE_FOLDER
from tumorlens.config import TrainConfig
from tumorlens.errors import RecipeError, SplitError
from tumorlens.evaluation.folds import fold_numbers
from tumorlens.training.data import TrainingData
from tumorlens.training.runner import RunOptions, is_finished, train
from tumorlens.training.trainer import Watcher

FOLD_FOLDER: Final = "fold-{}"
"""Folder, in the run of a cross-validation, of the network that is scored on this fold."""


def train_folds(
    config: TrainConfig,
    data: TrainingData,
    out: Path,
    options: RunOptions,
    watcher: Callable[[int], Watcher] | None = None,
) -> list[Path]:
    """Train on each fold of ``data.split``; return the bundles' folders, ``out/fold-K/bundle``.

    With ``options.resume``, folds that are finished stay as they are, and one that was begun goes
    on. In a process that does not lead the list is empty. Raises ``SplitError`` where the split is
    not in folds, ``RecipeError`` where the recipe trains several networks itself,
    ``CheckpointError`` where a finished fold is of another recipe or data, and as ``train``.
    """
    folds = fold_numbers(data.split)
    if not folds:
        raise SplitError(
            f"split {data.split.info.name} is not in folds; `tumorlens data split --kfold` writes "
            "one that is"
        )
    if config.cross_fit > 1:
        raise RecipeError("a recipe with `cross_fit` trains several networks; it has no folds")
    bundles = []
    for fold in folds:
        run_folder = out / FOLD_FOLDER.format(fold)
        of_fold = dataclasses.replace(data, split=data.split.fold(fold))
        named = dataclasses.replace(options, name=f"{options.name}-{fold}")
        if is_finished(config, of_fold, run_folder, named):
            bundles.append(run_folder / BUNDLE_FOLDER)
            continue
        with watcher(fold) if watcher else Watcher() as fold_watcher:
            folder = train(config, of_fold, run_folder, named, [fold_watcher])
        if folder is not None:
            bundles.append(folder)
    return bundles

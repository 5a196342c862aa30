"""``tumorlens train``: train a network from a recipe."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tumorlens.cli import options
from tumorlens.cli.terminal import is_quiet, note
from tumorlens.errors import needing

if TYPE_CHECKING:
    from tumorlens.config import Device

_FINE_TUNING = "finetune"
"""The recipe for trained weights."""


@click.command(name="train")
@click.argument("recipe", type=click.Path(path_type=Path))
@options.data
@options.split(
    "Split by name (folder, clean, clean-cv:K, patient-cv:K), or a file, here or in the manifest's "
    "folder."
)
@options.extra_images(
    "Additional training images, which make up the recipe's `extra_share` of each batch: the train "
    "part of SPLIT, or `all` images."
)
@click.option("--kfold", is_flag=True,
              help="SPLIT is in folds: train one network for each fold, score all images by the "
              "networks that were trained without them, and report in OUT/report.")  # fmt: skip
@click.option("--hold-out", multiple=True, metavar="SOURCE",
              help="Source or family to leave out, for a later test.")  # fmt: skip
@click.option("--out", required=True, metavar="DIR", type=options.FOLDER, help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Continue from the last checkpoint of the run.")
@click.option("--init", type=click.Path(path_type=Path), metavar="BUNDLE|RUN",
              help="Start from trained weights instead of random ones: a bundled network by name, "
              "a bundle, or the folder of a finished run. Refused if it was trained on a test "
              "image.")  # fmt: skip
@click.option("--teacher", type=click.Path(path_type=Path), metavar="RUN",
              help="Folder written by `tumorlens train teacher` for the same split; for recipes "
              "with a `distillation_weight`.")  # fmt: skip
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of the recipe, such as optimizer.learning_rate=1e-3.",
)
@click.option("--seed", type=options.SEED, help="Seed to use in place of the recipe's.")
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Number of epochs to use in place of the recipe's."
)
@click.option("--name", default="model", show_default=True, help="Name of the bundle.")
@options.threads
@options.device
@options.cache
@click.option(
    "--allow-partial", is_flag=True, help="Accept a manifest that lacks images of the split."
)
def command(
    recipe: Path,
    data: Path,
    split: str,
    kfold: bool,
    extras: tuple[tuple[Path, str], ...],
    hold_out: tuple[str, ...],
    out: Path,
    resume: bool,
    init: Path | None,
    teacher: Path | None,
    overrides: tuple[str, ...],
    seed: int | None,
    epochs: int | None,
    name: str,
    threads: int | None,
    device: "Device",
    cache: Path | None,
    allow_partial: bool,
) -> None:
    """Train the network that RECIPE describes and export a bundle to OUT/bundle.

    RECIPE is a TOML file, or the name of a bundled recipe (default, finetune, teacher, folder...).
    --resume continues a run that was killed and gives the same weights. To use several processes:
    torchrun --nproc-per-node 2 -m tumorlens train ...

    With --kfold, each fold gets a bundle, OUT/fold-K/bundle. The report is that of `tumorlens
    evaluate`: rates by fold, their mean, and rates over all images pooled, with intervals over
    groups.
    """
    with needing("train", "training"):
        from tumorlens.training.runner import RunOptions, train
    from tumorlens.config import TrainConfig, recipe_path
    from tumorlens.datasets import splits
    from tumorlens.datasets.manifest import Manifest
    from tumorlens.training.cross_validation import train_folds
    from tumorlens.training.data import Extra, TrainingData
    from tumorlens.training.progress import EpochBar

    changes = {"seed": seed, "epochs": epochs}
    stated = [f"{key}={value}" for key, value in changes.items() if value is not None]
    config = TrainConfig.from_toml(recipe_path(recipe), [*overrides, *stated])
    if str(recipe) == _FINE_TUNING and init is None and not resume:
        note(
            f"the recipe {_FINE_TUNING} is for trained weights, but training starts from random "
            "ones; add --init default to start from those of the bundled network"
        )
    options = RunOptions(
        name=name, resume=resume, cache_folder=cache, threads=threads, init=init,
        teacher=teacher, device=device,
    )  # fmt: skip
    parts = splits.load(split, data.parent)
    chosen = TrainingData(
        parts.grouped(Manifest.load(data)),
        parts,
        [Extra.load(path, part) for path, part in extras],
        hold_out,
        allow_partial,
    )

    def bar(fold: int | None = None) -> EpochBar:
        if fold is not None:
            note(f"fold {fold}")
        return EpochBar(config.epochs, quiet=is_quiet())

    if kfold:
        if fold_bundles := train_folds(config, chosen, out, options, bar):
            _evaluate(fold_bundles, data, split, out / "report", device)
        return
    with bar() as watcher:
        folder = train(config, chosen, out, options, [watcher])
    if folder is not None:
        click.echo(f"bundle: {folder}")


def _evaluate(
    bundles: Sequence[Path], data: Path, split: str, report: Path, device: "Device"
) -> None:
    """Evaluate the folds together, as `tumorlens evaluate` does."""
    from tumorlens.cli import evaluate

    click.get_current_context().invoke(
        evaluate.command,
        bundles=tuple(map(str, bundles)),
        data=(data,),
        split_name=split,
        report=report,
        device=device,
    )

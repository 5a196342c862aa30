"""``tumorlens train``: from a recipe to a bundle."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tumorlens.cli import options
from tumorlens.cli.terminal import is_quiet, note
from tumorlens.errors import needing

if TYPE_CHECKING:
    from tumorlens.config import Device


@click.command(name="train")
@click.argument("recipe", type=click.Path(path_type=Path))
@options.data
@options.split(
    "Split by name (folder, clean, clean-cv:K, patient-cv:K) or file, here or beside the manifest."
)
@options.extra_images(
    "Further images to train on, for the recipe's `extra_share` of each batch: the train part of "
    "SPLIT, or `all`."
)
@click.option("--kfold", is_flag=True,
              help="SPLIT is in folds: train on each, and score all images by the networks that "
              "did not see them, in OUT/report.")  # fmt: skip
@click.option("--hold-out", multiple=True, metavar="SOURCE",
              help="Source or family that takes no part, to be tested on later.")  # fmt: skip
@click.option("--out", required=True, type=options.FOLDER, help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint.")
@click.option("--init", type=click.Path(path_type=Path), metavar="BUNDLE|RUN",
              help="Begin with trained weights, not random ones: a bundled network by its name, "
              "a bundle, or the folder of a finished run. Refused where a test image "
              "trained it.")  # fmt: skip
@click.option("--teacher", type=click.Path(path_type=Path), metavar="RUN",
              help="Folder that `tumorlens train teacher` wrote for the same split; for recipes "
              "with a `distillation_weight`.")  # fmt: skip
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of the recipe, such as optimizer.learning_rate=1e-3.",
)
@click.option("--seed", type=int, help="Instead of the recipe's seed.")
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the recipe's epochs.")
@click.option("--name", default="model", show_default=True, help="The bundle's name.")
@options.threads
@options.device
@options.cache
@click.option("--allow-partial", is_flag=True, help="Accept a manifest that lacks listed images.")
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

    RECIPE is a TOML file, or the name of a bundled one (default, teacher, folder, paper...). A
    run that was killed goes on with --resume and ends with the same weights. For several processes:
    torchrun --nproc-per-node 2 -m tumorlens train ...

    With --kfold there is a bundle for each fold, OUT/fold-K/bundle, and the report is that of
    `tumorlens evaluate`: rates by fold, their mean, and all images pooled, with intervals over
    groups.
    """
    with needing("train", "training"):
        import torch  # noqa: F401 - only to see whether the extra is there
    import msgspec

    from tumorlens.config import TrainConfig, recipe_path
    from tumorlens.datasets import splits
    from tumorlens.datasets.manifest import Manifest
    from tumorlens.training.cross_validation import train_folds
    from tumorlens.training.data import Extra, TrainingData
    from tumorlens.training.progress import EpochBar
    from tumorlens.training.runner import RunOptions, train

    config = TrainConfig.from_toml(recipe_path(recipe), overrides)
    changes = {k: v for k, v in {"seed": seed, "epochs": epochs}.items() if v is not None}
    config = msgspec.structs.replace(config, **changes)
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
        if made := train_folds(config, chosen, out, options, bar):
            _evaluate(made, data, split, out / "report", device)
        return
    with bar() as watcher:
        folder = train(config, chosen, out, options, [watcher])
    if folder is not None:
        click.echo(f"bundle: {folder}")


def _evaluate(
    bundles: Sequence[Path], data: Path, split: str, report: Path, device: "Device"
) -> None:
    """Pool the folds' answers, as `tumorlens evaluate` does."""
    from tumorlens.cli import evaluate

    click.get_current_context().invoke(
        evaluate.command,
        bundles=tuple(map(str, bundles)),
        data=(data,),
        split_name=split,
        report=report,
        device=device,
    )

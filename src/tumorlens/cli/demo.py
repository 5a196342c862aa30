"""``tumorlens demo``: the main steps on a synthetic set, in less than a minute."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tumorlens.cli import options
from tumorlens.cli.progress import bars
from tumorlens.cli.terminal import error, is_quiet, progress_console
from tumorlens.errors import EXIT_SOME_INPUTS_FAILED, needing
from tumorlens.labels import RESEARCH_NOTICE
from tumorlens.progress import Progress
from tumorlens.text import printable

if TYPE_CHECKING:
    from tumorlens.datasets.manifest import Manifest
    from tumorlens.datasets.splits import Split
    from tumorlens.demo.walkthrough import DemoResult
    from tumorlens.inference.classifier import Classifier


@click.command("demo")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--output", type=options.FOLDER, metavar="DIR",
              default="tumorlens-demo", show_default=True, help="Folder to write to.")  # fmt: skip
@click.option("--train", is_flag=True,
              help="First train the phantom network again (about a minute).")  # fmt: skip
@click.option("--patients", type=click.IntRange(5, 2000), metavar="N",
              help="Number of phantom patients for each class. Default: 50, or 150 with "
              "--train.")  # fmt: skip
@click.option("--seed", type=options.SEED, default=0, show_default=True,
              help="Seed of the phantoms.")  # fmt: skip
@click.option("--bundle", default="default", show_default=True, metavar="NAME_OR_PATH",
              help="Bundle that classifies your own images.")  # fmt: skip
def command(
    paths: tuple[str, ...],
    output: Path,
    train: bool,
    patients: int | None,
    seed: int,
    bundle: str,
) -> None:
    """Make phantoms, audit and split them, evaluate a network on them, and write a report.

    The phantoms are synthetic heads with and without a synthetic tumour; figures measured on them
    do not apply to patients. PATH names images of your own to classify as well: a file, a folder or
    a pattern.
    """
    if train:
        with needing("train", "tumorlens demo --train"):
            import tumorlens.training.runner  # noqa: F401 - only to see whether the extra is there
    from threadpoolctl import threadpool_limits

    from tumorlens.demo import walkthrough
    from tumorlens.inference.classifier import Classifier

    if not walkthrough.is_free(output):
        raise click.BadParameter(
            f"{printable(str(output))} contains other files; name a new or empty folder",
            param_hint="--output",
        )
    # Loaded before any work: a bundle that cannot be used should say so at once.
    answering = Classifier.load(bundle) if paths else None
    loaded = None if train else Classifier.load("phantom", threads=1)
    steps = itertools.count(1)

    @contextmanager
    def step(title: str) -> Iterator[Progress]:
        console = progress_console(highlight=False)
        console.print(f"{next(steps)}/{6 if train else 5} {title} ...", soft_wrap=True)
        with bars(console) as named:
            yield named("   ")

    def classifier_for(manifest: "Manifest", split: "Split") -> Classifier:
        if loaded is not None:
            return loaded
        with step("Training a network on the training patients"):
            return _trained(output, seed, manifest, split)

    # For small images and a small network, several threads are slower than one.
    with threadpool_limits(limits=1):
        outcome, page = walkthrough.run(
            output, patients or (150 if train else 50), seed, classifier_for, step,
            trained_anew=train, paths=paths, answering=answering,
        )  # fmt: skip
    _print(outcome, page)
    if outcome.failed:
        click.get_current_context().exit(EXIT_SOME_INPUTS_FAILED)


def _trained(folder: Path, seed: int, manifest: "Manifest", split: "Split") -> "Classifier":
    """Train with the bundled recipe, in a new folder below ``folder``; load the result."""
    import msgspec

    from tumorlens.config import TrainConfig, recipe_path
    from tumorlens.demo import walkthrough
    from tumorlens.inference.classifier import Classifier
    from tumorlens.training.data import TrainingData
    from tumorlens.training.progress import EpochBar
    from tumorlens.training.runner import RunOptions, train

    config = TrainConfig.from_toml(recipe_path("phantom"))
    config = msgspec.structs.replace(config, seed=seed)
    # One thread: the weights are then the same on any number of cores.
    how = RunOptions(name="phantom", cache_folder=folder / "cache", threads=1)
    out = _fresh(folder / "training")
    with EpochBar(config.epochs, quiet=is_quiet()) as epochs:
        bundle = train(config, TrainingData(manifest, split), out, how, [epochs])
    return Classifier(walkthrough.declare_use(bundle or out / "bundle"), threads=1)


def _fresh(folder: Path) -> Path:
    """``folder``, or a numbered one if it exists: an earlier run is never overwritten."""
    candidate, number = folder, 1
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate


def _print(outcome: "DemoResult", page: Path) -> None:
    from tumorlens.demo import walkthrough
    from tumorlens.inference.record import Prediction
    from tumorlens.reporting import evaluation_report

    accuracy = outcome.evaluation.estimates["accuracy"]
    click.echo(
        f"Phantoms: accuracy {evaluation_report.show('accuracy', accuracy)} on unseen patients"
    )
    for image in outcome.images:
        path, answer = printable(image.path), image.answer
        if isinstance(answer, Prediction):
            click.echo(f"{path}: {answer.decision}: {answer.summary}")
        else:
            error(answer.summary)
    click.echo(f"Report: {page}")
    click.echo(walkthrough.SYNTHETIC)
    click.echo(RESEARCH_NOTICE)

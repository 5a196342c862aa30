"""``tumorlens evaluate``: score a bundle on a split, with intervals and controls."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tumorlens.labels import RESEARCH_NOTICE

if TYPE_CHECKING:
    from rich.table import Table

    from tumorlens.evaluation.evaluator import Evaluation
    from tumorlens.evaluation.record import Setting

_SHOWN = (
    "log_loss", "macro_f1", "mcc", "expected_calibration_error", "missed_tumor_rate",
    "false_alarm_rate",
)  # fmt: skip
_MIN_GROUPS = 10
"""Groups below which a subset is left to the report."""


@click.command(
    name="evaluate",
    short_help="Score a bundle on a split.",
    epilog="Example: tumorlens evaluate folder --data nickparvar.csv --split folder --report out",
)
@click.argument("bundle")
@click.option(
    "--data", required=True, metavar="MANIFEST", type=click.Path(dir_okay=False, path_type=Path),
    help="Manifest of the images, as `tumorlens data import` writes it.",
)  # fmt: skip
@click.option(
    "--split", "split_name", required=True, metavar="NAME_OR_FILE[:FOLD]",
    help="A split in the box (folder, clean, clean-cv:0 to clean-cv:4) or a split file.",
)  # fmt: skip
@click.option(
    "--report", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="Folder for index.html, evaluation.json, predictions.csv and figures.",
)  # fmt: skip
@click.option(
    "--part", default="test", show_default=True,
    type=click.Choice(["test", "validation", "train"]), help="Part of the split to score.",
)  # fmt: skip
@click.option(
    "--resamples", default=2000, show_default=True, type=click.IntRange(min=100),
    help="Resamples of groups for the intervals.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of those.")
def command(
    bundle: str, data: Path, split_name: str, report: Path, part: str, resamples: int, seed: int
) -> None:
    """Score BUNDLE (a name in the box or a folder) on one part of a split.

    The exported file is run, as users run it. Every number has a 95% interval from resampling
    groups, and stands beside two controls and the figures of the literature.
    """
    from tumorlens import bundle as bundles
    from tumorlens.datasets.manifest import Manifest
    from tumorlens.evaluation import evaluator, protocols
    from tumorlens.evaluation import report as reports
    from tumorlens.evaluation.record import Setting
    from tumorlens.evaluation.resampling import Sampling
    from tumorlens.inference.classifier import Classifier

    classifier = Classifier(bundles.load(bundle), answer_all=True)
    manifest = Manifest.load(data)
    split = protocols.load_split(split_name)
    parts = split.parts(manifest)
    protocols.require_part(split, parts, part)
    with _bars() as bars:
        evaluation = evaluator.evaluate(
            classifier,
            manifest,
            parts,
            part=part,
            sampling=Sampling(resamples, seed),
            progress=bars("scoring"),
            control_progress=bars("reading for controls"),
        )
    line = _command_line(bundle, data, split_name, report, part, resamples, seed)
    setting = Setting(classifier.bundle, split.info, manifest.sha256, line)
    page = reports.write(report, evaluation, setting, classifier, manifest)
    _print(evaluation, setting, page)


def _command_line(
    bundle: str, data: Path, split: str, report: Path, part: str, resamples: int, seed: int
) -> str:
    """The command that makes the report, without folders of this machine: of these only the name.

    What the data, the split and the bundle are is said by their hashes.
    """
    words = ["tumorlens", "evaluate", _portable(bundle), "--data", _portable(str(data))]
    words += ["--split", _portable(split), "--report", _portable(str(report)), "--part", part]
    words += ["--resamples", str(resamples), "--seed", str(seed)]
    return shlex.join(words)


def _portable(argument: str) -> str:
    return Path(argument).name if Path(argument).is_absolute() else argument


@contextmanager
def _bars() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Lend a function that makes named progress bars; on stderr, and only on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as p:

        def bar(name: str) -> Callable[[int, int], None]:
            task = p.add_task(name, total=None, visible=False)
            return lambda done, total: p.update(task, completed=done, total=total, visible=True)

        yield bar


def _print(evaluation: "Evaluation", setting: "Setting", page: Path) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    cautions = setting.cautions(evaluation)
    clean = not any(caution.severe for caution in cautions)
    console.print(_table(evaluation, setting, "" if clean else "red"))
    if not clean:
        console.print(Text("NOT A CLEAN RESULT. Do not quote these numbers.", "bold red"))
    for caution in cautions:
        console.print(Text(caution.text, "red" if caution.severe else "yellow"))
    console.print(Text(f"Report: {page}"), soft_wrap=True)
    console.print(Text(RESEARCH_NOTICE, "dim"))


def _table(evaluation: "Evaluation", setting: "Setting", style: str) -> "Table":
    """Metrics of each subset in a column, then the controls and the paper."""
    from rich import box
    from rich.table import Table

    from tumorlens.evaluation.protocols import PAPER
    from tumorlens.evaluation.report import TITLES, comparison, show

    shown = [m for m in evaluation.measured if m.groups >= _MIN_GROUPS or m.subset.name == "all"]
    name, split = setting.bundle.info.name, setting.split.name
    title = f"{name} on {split}, {evaluation.part} (95% intervals over groups)"
    table = Table(title=title, box=box.SIMPLE, padding=(0, 1, 0, 0), title_justify="left")
    table.add_column("")
    for m in shown:
        header = f"{m.subset.title}\n{m.images} images, {m.groups} groups"
        table.add_column(header, justify="right", style=style)
    (_, own), *controls = comparison(evaluation)
    table.add_row("Accuracy", *(show("accuracy", own[m.subset.name]) for m in shown))
    for metric in _SHOWN:
        table.add_row(TITLES[metric], *(show(metric, m.estimates[metric]) for m in shown))
    table.add_section()
    for control, accuracy in controls:
        table.add_row(control, *(show("accuracy", accuracy[m.subset.name]) for m in shown))
    paper = f"{100 * PAPER.test_accuracy:.2f}%, log-loss {PAPER.test_log_loss}"
    note = "" if setting.protocol(evaluation).comparable else "\nnot comparable"
    table.add_row(f"{PAPER.citation}, folder", paper + note)
    return table

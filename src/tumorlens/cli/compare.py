"""``tumorlens compare``: several bundles on the same images, with paired differences."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tumorlens.cli import options, terminal

if TYPE_CHECKING:
    from rich.table import Table

    from tumorlens.evaluation.comparison import Comparison


@click.command(
    name="compare",
    epilog="\b\nExample:\n"
    "  tumorlens compare default runs/mine --data mine.csv --split mine-split.csv",
)
@click.argument("bundles", metavar="RUN|BUNDLE...", nargs=-1, required=True)
@options.several_data
@options.named_split("A bundled split or a split file.")
@options.part
@click.option("--report", default="comparison", show_default=True, metavar="DIR",
              type=options.FOLDER,
              help="Folder for index.html, comparison.json and curves.png.")  # fmt: skip
@options.resamples
@options.resampling_seed
def command(
    bundles: tuple[str, ...],
    data: tuple[Path, ...],
    split_name: str,
    part: str,
    report: Path,
    resamples: int,
    seed: int,
) -> None:
    """Score several bundles on the same images and compare them.

    Each is the name of a bundled network, the folder of a bundle, or the folder of a training run.
    The others are compared with the first. Differences are paired, with 95% intervals from
    resampling patients and McNemar's exact test. The report also says how many of the images each
    bundle was trained on.
    """
    from tumorlens.bundle import load
    from tumorlens.cli.evaluate import command_line
    from tumorlens.cli.progress import bars
    from tumorlens.datasets import splits
    from tumorlens.datasets.manifest import Manifest, join
    from tumorlens.evaluation import comparison as comparisons
    from tumorlens.evaluation import protocols
    from tumorlens.evaluation.resampling import Sampling
    from tumorlens.inference.classifier import Classifier
    from tumorlens.reporting import comparison_report

    if len(bundles) < 2:
        raise click.UsageError("name at least two runs or bundles to compare")
    if len(set(bundles)) < len(bundles):
        raise click.UsageError("a bundle is named twice")
    loaded = [load(name) for name in bundles]
    names = comparisons.unique_names(bundles, [bundle.info.name for bundle in loaded])
    classifiers = {
        name: Classifier(bundle, answer_all=True)
        for name, bundle in zip(names, loaded, strict=True)
    }
    manifest = join([Manifest.load(path) for path in data])
    split = splits.load(split_name, data[0].parent)
    manifest = split.grouped(manifest)
    protocols.require_part(split, split.parts(manifest), part)
    line = command_line("compare", bundles, data, split_name, {}, part, resamples, seed)
    with bars() as progress:
        comparison = comparisons.compare(
            classifiers, manifest, split, part=part, sampling=Sampling(resamples, seed),
            command=line, progress=progress("scoring"),
        )  # fmt: skip
    _show(comparison, comparison_report.write(report, comparison))


def _show(comparison: "Comparison", page: Path) -> None:
    """Print both tables, then the warnings, then the path of the report."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    console.print(_metrics(comparison))
    console.print(_differences(comparison))
    for network in comparison.networks:
        style = "yellow" if network.evaluation.quotable else "red"
        for warning in network.evaluation.warnings:
            console.print(Text(f"{network.name}: {warning.text}", style))
    terminal.finish(console, Report=page)


def _metrics(comparison: "Comparison") -> "Table":
    from tumorlens.cli.evaluation_tables import intervals
    from tumorlens.evaluation import metrics
    from tumorlens.evaluation.comparison import COMPARED
    from tumorlens.reporting.evaluation_report import show, titles

    first = comparison.first.evaluation
    classes, groups = first.classes, first.measured[0].groups
    split, images = first.plan.split.info.name, len(first.records)
    title = f"{split}, {first.part}: {images} images, {groups} groups"
    names = (network.name for network in comparison.networks)
    table = terminal.table(f"{title} ({intervals(groups)})", "", *names)
    for metric in metrics.asked(COMPARED, classes):
        row = (
            show(metric, network.evaluation.estimates[metric]) for network in comparison.networks
        )
        table.add_row(titles(classes)[metric], *row)
    return table


def _differences(comparison: "Comparison") -> "Table":
    from tumorlens.evaluation import metrics
    from tumorlens.evaluation.comparison import COMPARED
    from tumorlens.reporting.comparison_report import show_difference, show_p
    from tumorlens.reporting.evaluation_report import titles

    differences, classes = comparison.differences, comparison.first.evaluation.classes
    title = f"Difference from {comparison.first.name}, paired"
    table = terminal.table(title, "", *(difference.name for difference in differences))
    for metric in metrics.asked(COMPARED, classes):
        cells = (
            show_difference(metric, difference.estimates[metric]) for difference in differences
        )
        table.add_row(titles(classes)[metric], *cells)
    table.add_section()
    table.add_row(
        "only this bundle correct", *(str(difference.only_right) for difference in differences)
    )
    table.add_row(
        f"only {comparison.first.name} correct",
        *(str(difference.only_reference_right) for difference in differences),
    )
    table.add_row(
        "McNemar's exact test, p", *(show_p(difference.p_value) for difference in differences)
    )
    return table

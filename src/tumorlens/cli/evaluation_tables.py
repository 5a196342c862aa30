"""What ``tumorlens evaluate`` and ``compare`` print: numbers, warnings, the report's path.

Commands import this module only when they are run, because it is slow to import.
"""

from pathlib import Path

from rich.table import Table
from rich.text import Text

from tumorlens.cli import terminal
from tumorlens.evaluation import metrics, record
from tumorlens.evaluation.breakdown import Breakdown
from tumorlens.evaluation.comparison import COMPARED, Comparison
from tumorlens.evaluation.conformal import Sets
from tumorlens.evaluation.corruptions.run import Corruptions
from tumorlens.evaluation.evaluator import Evaluation
from tumorlens.evaluation.probes.result import ProbeResult
from tumorlens.evaluation.resampling import MIN_GROUPS
from tumorlens.labels import UNANSWERABLE, ClassSet
from tumorlens.reporting.comparison_report import show_difference, show_p
from tumorlens.reporting.evaluation_report import comparison, set_rows, show, show_rate, titles
from tumorlens.text import percent

_SHOWN = (
    "missed_tumor_rate", "false_alarm_rate", "log_loss", "macro_f1", "mcc",
    "expected_calibration_error",
)  # fmt: skip


def print_tables(
    evaluation: Evaluation,
    page: Path,
    probes: tuple[ProbeResult, ...] = (),
    corruptions: Corruptions | None = None,
) -> None:
    """Print the tables, then the warnings, then the path of the report."""
    console = terminal.answer_console()
    style = "" if evaluation.quotable else "red"
    console.print(_main(evaluation, style))
    for breakdown in evaluation.breakdowns:
        console.print(_breakdown(breakdown, style, evaluation))
    if probes:
        console.print(_probes(probes))
    if corruptions is not None:
        console.print(_corruptions(corruptions))
    sets = record.prediction_sets(evaluation)
    if sets is not None:
        console.print(_sets(sets, style, evaluation.classes))
    if evaluation.others.records:
        console.print(Text(_others(evaluation)))
    if not evaluation.quotable:
        console.print(Text("NOT A CLEAN RESULT. Do not quote these numbers.", "bold red"))
    for warning in evaluation.warnings:
        console.print(Text(warning.text, "red" if warning.severe else "yellow"))
    terminal.finish(console, Report=page)


def intervals(groups: int) -> str:
    """The kind of the intervals in a table, or why there are none."""
    if groups < MIN_GROUPS:
        return f"no intervals: fewer than {MIN_GROUPS} groups"
    return "95% intervals over groups"


def _main(evaluation: Evaluation, style: str) -> Table:
    """Metrics of each subset in a column, then the controls and, for its images, the paper."""
    # Subsets without intervals are shown only in the report.
    subsets = [m for m in evaluation.measured if m.groups >= MIN_GROUPS or m.subset.name == "all"]
    name, split = evaluation.title, evaluation.plan.split.info.name
    heads = [f"{m.subset.title}\n{m.images} images, {m.groups} groups" for m in subsets]
    title = f"{name} on {split}, {evaluation.part} ({intervals(evaluation.measured[0].groups)})"
    table = terminal.table(title, "", *heads, style=style)
    (_, own), *controls = comparison(evaluation)
    table.add_row("Accuracy", *(show("accuracy", own[m.subset.name]) for m in subsets))
    named = titles(evaluation.classes)
    for metric in metrics.asked(_SHOWN, evaluation.classes):
        table.add_row(named[metric], *(show(metric, m.estimates[metric]) for m in subsets))
    if evaluation.patients is not None:
        table.add_section()
        voted = evaluation.patients.estimates
        for metric in metrics.asked(voted, evaluation.classes):
            estimate, title = voted[metric], f"{named[metric]} by patient (majority of the images)"
            table.add_row(title, show(metric, estimate))
    table.add_section()
    for control, accuracy in controls:
        table.add_row(control, *(show("accuracy", accuracy[m.subset.name]) for m in subsets))
    protocol = evaluation.protocol
    if protocol.paper is not None:
        paper = protocol.paper
        note = "" if protocol.comparable else "\nnot comparable"
        figures = f"{percent(paper.test_accuracy)}, log-loss {paper.test_log_loss}"
        table.add_row(f"{paper.citation}, folder", figures + note)
    return table


def _breakdown(breakdown: Breakdown, style: str, evaluation: Evaluation) -> Table:
    rates = metrics.asked(metrics.RATES, evaluation.classes)
    table = terminal.table(f"By {breakdown.title.lower()}", "", "images (groups)")
    for metric in rates:
        table.add_column(titles(evaluation.classes)[metric], justify="right", style=style)
    for row in breakdown.rows:
        cells = (show(metric, row.estimates[metric]) for metric in rates)
        table.add_row(row.value, f"{row.images} ({row.groups})", *cells)
    if breakdown.field == "fold":
        table.add_section()
        means = (show(metric, breakdown.means[metric]) for metric in rates)
        table.add_row("mean over folds", "", *means)
        table.add_row("standard deviation", "", f"{100 * breakdown.deviation:.2f} points")
    return table


def _probes(findings: tuple[ProbeResult, ...]) -> Table:
    table = terminal.table("Probes for shortcuts", "", "images", "share", "expected")
    for finding in findings:
        if not finding.rates:
            table.add_row(f"{finding.title}: not run, see the report", "–", "–", "")
        for rate in finding.rates:
            table.add_row(
                f"{finding.title}: {rate.title}", str(rate.images), show_rate(rate.estimate),
                rate.wanted,
            )  # fmt: skip
    return table


def _corruptions(corruptions: Corruptions) -> Table:
    title = f"Errors on {corruptions.images} corrupted images (strength 1 to 5); uncorrupted "
    relative = [] if corruptions.reference is None else ["relative"]
    table = terminal.table(
        f"{title}{percent(corruptions.own.clean, 1)}", "", *map(str, range(1, 6)), "mean", *relative
    )
    for row in corruptions.rows:
        more = [f"{row.relative:.2f}"] if row.relative is not None else []
        errors = (percent(error, 1) for error in (*row.errors, row.mean))
        table.add_row(row.corruption.title, *errors, *more)
    table.add_section()
    mean = show_rate(corruptions.mean_error)
    more = [] if corruptions.relative is None else [f"{corruptions.relative:.2f}"]
    table.add_row("mean corruption error", *[""] * 5, mean, *more)
    return table


def _sets(sets: Sets, style: str, classes: ClassSet) -> Table:
    table = terminal.table(
        f"Prediction sets, stated coverage {percent(sets.stated, 0)} (95% intervals)",
        "", "images", "coverage", "binomial interval", "mean size", "one class",
        style=style,
    )  # fmt: skip
    for name, covered in set_rows(sets):
        low, high = covered.exact
        table.add_row(
            classes.display_name(name), str(covered.images), show_rate(covered.coverage),
            f"{100 * low:.1f} to {100 * high:.1f}", f"{covered.size.value:.2f}",
            percent(covered.singletons.value, 1),
        )  # fmt: skip
    if sets.without:
        table.caption = f"{sets.without} other images have answers for which no sets were fitted"
    return table


def _others(evaluation: Evaluation) -> str:
    table = record.answers(evaluation)
    rows = [table[name] for name in UNANSWERABLE if name in table]
    names = evaluation.classes.display_names
    counts = {name: sum(row[name] for row in rows) for name in names}
    said = ", ".join(f"{n} {names[name]}" for name, n in counts.items() if n)
    return (
        f"{sum(counts.values())} images of other diseases, for which no answer is correct: {said}."
    )


def print_comparison(comparison: Comparison, page: Path) -> None:
    """Print both tables, then the warnings, then the path of the report."""
    console = terminal.answer_console()
    console.print(_compared_metrics(comparison))
    console.print(_differences(comparison))
    for network in comparison.networks:
        style = "yellow" if network.evaluation.quotable else "red"
        for warning in network.evaluation.warnings:
            console.print(Text(f"{network.name}: {warning.text}", style))
    terminal.finish(console, Report=page)


def _compared_metrics(comparison: Comparison) -> Table:
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


def _differences(comparison: Comparison) -> Table:
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

"""What ``tumorlens evaluate`` prints: the main numbers, warnings, and where the report is."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tumorlens.labels import RESEARCH_NOTICE, UNANSWERABLE, label_name

if TYPE_CHECKING:
    from rich.table import Table

    from tumorlens.evaluation.breakdown import Breakdown
    from tumorlens.evaluation.conformal import Sets
    from tumorlens.evaluation.corruptions.run import Corruptions
    from tumorlens.evaluation.evaluator import Evaluation
    from tumorlens.evaluation.probes.result import ProbeResult
    from tumorlens.evaluation.record import Setting

_SHOWN = (
    "missed_tumor_rate", "false_alarm_rate", "log_loss", "macro_f1", "mcc",
    "expected_calibration_error",
)  # fmt: skip
_OF_PRESENCE = ("missed_tumor_rate", "false_alarm_rate")
_MIN_GROUPS = 10
"""Subsets of fewer groups are shown in the report only."""


def show(
    evaluation: "Evaluation",
    setting: "Setting",
    page: Path,
    probes: "tuple[ProbeResult, ...]" = (),
    corruptions: "Corruptions | None" = None,
) -> None:
    """Print the tables, then the warnings, then the path of the report."""
    from rich.console import Console
    from rich.text import Text

    from tumorlens.evaluation import record

    console = Console()
    warnings = setting.warnings(evaluation)
    clean = not any(warning.severe for warning in warnings)
    style = "" if clean else "red"
    console.print(_main(evaluation, setting, style))
    for breakdown in evaluation.breakdowns:
        console.print(_breakdown(breakdown, style, evaluation))
    if probes:
        console.print(_probes(probes))
    if corruptions is not None:
        console.print(_corruptions(corruptions))
    sets = record.prediction_sets(evaluation, setting)
    if sets is not None:
        console.print(_sets(sets, style))
    if evaluation.others.records:
        console.print(Text(_others(evaluation)))
    if not clean:
        console.print(Text("NOT A CLEAN RESULT. Do not quote these numbers.", "bold red"))
    for warning in warnings:
        console.print(Text(warning.text, "red" if warning.severe else "yellow"))
    console.print(Text(f"Report: {page}"), soft_wrap=True)
    console.print(Text(RESEARCH_NOTICE, "dim"))


def _table(title: str) -> "Table":
    from rich import box
    from rich.table import Table

    return Table(title=title, box=box.SIMPLE, padding=(0, 1, 0, 0), title_justify="left")


def _main(evaluation: "Evaluation", setting: "Setting", style: str) -> "Table":
    """Metrics of each subset in a column, then the controls; the paper where images are its."""
    from tumorlens.reporting.evaluation_report import comparison, show, titles

    shown = [m for m in evaluation.measured if m.groups >= _MIN_GROUPS or m.subset.name == "all"]
    name, split = setting.title, setting.split.name
    table = _table(f"{name} on {split}, {evaluation.part} (95% intervals over groups)")
    table.add_column("")
    for m in shown:
        header = f"{m.subset.title}\n{m.images} images, {m.groups} groups"
        table.add_column(header, justify="right", style=style)
    (_, own), *controls = comparison(evaluation)
    table.add_row("Accuracy", *(show("accuracy", own[m.subset.name]) for m in shown))
    named = titles(evaluation.classes)
    for metric in _shown(evaluation, _SHOWN):
        table.add_row(named[metric], *(show(metric, m.estimates[metric]) for m in shown))
    if evaluation.patients is not None:
        table.add_section()
        voted = evaluation.patients.estimates
        for metric in _shown(evaluation, voted):
            estimate, title = voted[metric], f"{named[metric]} by patient's majority"
            table.add_row(title, show(metric, estimate))
    table.add_section()
    for control, accuracy in controls:
        table.add_row(control, *(show("accuracy", accuracy[m.subset.name]) for m in shown))
    protocol = setting.protocol(evaluation)
    if protocol.paper is not None:
        paper = protocol.paper
        note = "" if protocol.comparable else "\nnot comparable"
        figures = f"{100 * paper.test_accuracy:.2f}%, log-loss {paper.test_log_loss}"
        table.add_row(f"{paper.citation}, folder", figures + note)
    return table


def _breakdown(breakdown: "Breakdown", style: str, evaluation: "Evaluation") -> "Table":
    from tumorlens.evaluation import metrics
    from tumorlens.reporting.evaluation_report import show, titles

    table = _table(f"By {breakdown.title.lower()}")
    table.add_column("")
    table.add_column("images (groups)", justify="right")
    shown = _shown(evaluation, metrics.RATES)
    for metric in shown:
        table.add_column(titles(evaluation.classes)[metric], justify="right", style=style)
    for row in breakdown.rows:
        rates = (show(metric, row.estimates[metric]) for metric in shown)
        table.add_row(row.value, f"{row.images} ({row.groups})", *rates)
    if breakdown.field == "fold":
        table.add_section()
        means = (show(metric, breakdown.means[metric]) for metric in metrics.RATES)
        table.add_row("mean over folds", "", *means)
        table.add_row("its standard deviation", "", f"{100 * breakdown.deviation:.2f} points")
    return table


def _shown(evaluation: "Evaluation", metrics: Iterable[str]) -> list[str]:
    """Without the rates of missed findings and false alarms where no class means "none"."""
    asked = evaluation.classes.no_finding is not None
    return [name for name in metrics if asked or name not in _OF_PRESENCE]


def _probes(findings: "tuple[ProbeResult, ...]") -> "Table":
    from tumorlens.reporting.evaluation_report import show_rate

    table = _table("Probes for shortcuts")
    table.add_column("")
    table.add_column("images", justify="right")
    table.add_column("share", justify="right")
    table.add_column("expected", justify="right")
    for finding in findings:
        for rate in finding.rates:
            table.add_row(
                f"{finding.title}: {rate.title}", str(rate.images), show_rate(rate.estimate),
                rate.wanted,
            )  # fmt: skip
    return table


def _corruptions(found: "Corruptions") -> "Table":
    from tumorlens.reporting.evaluation_report import show_rate

    title = f"Errors on {found.images} corrupted images (strength 1 to 5); untouched "
    table = _table(f"{title}{100 * found.own.clean:.1f}%")
    table.add_column("")
    for strength in range(1, 6):
        table.add_column(str(strength), justify="right")
    table.add_column("mean", justify="right")
    if found.reference is not None:
        table.add_column("relative", justify="right")
    for row in found.rows:
        more = [f"{row.relative:.2f}"] if row.relative is not None else []
        table.add_row(row.title, *(f"{100 * e:.1f}%" for e in row.errors), f"{100 * row.mean:.1f}%",
                      *more)  # fmt: skip
    table.add_section()
    mean = show_rate(found.mean_error)
    more = [] if found.relative is None else [f"{found.relative:.2f}"]
    table.add_row("mean corruption error", *[""] * 5, mean, *more)
    return table


def _sets(found: "Sets", style: str) -> "Table":
    from tumorlens.reporting.evaluation_report import set_rows, show_rate

    table = _table(f"Prediction sets, stated coverage {found.stated:.0%} (95% intervals)")
    table.add_column("")
    for title in ("images", "contain the truth", "if independent", "mean size", "one class"):
        table.add_column(title, justify="right", style=style)
    for name, one in set_rows(found):
        low, high = one.exact
        table.add_row(
            label_name(name), str(one.images), show_rate(one.coverage),
            f"{100 * low:.1f} to {100 * high:.1f}", f"{one.size.value:.2f}",
            f"{one.singletons.value:.1%}",
        )  # fmt: skip
    if found.without:
        table.caption = f"{found.without} further images were held back and come without a set"
    return table


def _others(evaluation: "Evaluation") -> str:
    from tumorlens.evaluation.record import answers

    table = answers(evaluation)
    rows = [table[name] for name in UNANSWERABLE if name in table]
    row = {name: sum(one[name] for one in rows) for name in evaluation.classes.names}
    said = ", ".join(f"{n} {label_name(name)}" for name, n in row.items() if n)
    return f"{sum(row.values())} images of other diseases, for which no answer is correct: {said}."

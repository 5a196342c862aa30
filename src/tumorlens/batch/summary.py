"""The summary of a batch for people: a table in the terminal, and the same as an HTML page."""

from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from tumorlens.batch.run import Report
from tumorlens.batch.store import open_store
from tumorlens.reporting import html
from tumorlens.text import percent

SUMMARY: Final = "summary.html"
_SLOW: Final = 10.0
"""Inputs per second, below which they are counted per minute."""


class Line(NamedTuple):
    """One line of the table."""

    what: str
    number: int
    share: str
    """Of the images and series, or empty."""


class Section(NamedTuple):
    """Lines under a heading."""

    title: str
    lines: list[Line]


def sections(report: Report) -> list[Section]:
    """Everything that is counted; empty sections are left out."""
    tally = report.tally
    display_names = report.about.display_names
    # One line for each class, also where two have the same display name.
    named = [(display_names[name], count) for name, count in tally.labels.items()]
    all_sections = (
        Section("Inputs", list(_inputs(report))),
        Section("Answers", _lines(tally.answers.items())),
        Section("Classes, of those classified", _lines(named)),
        Section("Refused", _lines(tally.refused.items())),
        Section("Errors", _lines(tally.errors.items())),
    )
    return [section for section in all_sections if section.lines]


def text(report: Report) -> str:
    """The table in plain text."""
    parts = sections(report)
    width = max(len(line.what) for part in parts for line in part.lines)
    drawn = []
    for part in parts:
        drawn.append(part.title)
        drawn += [f"  {line.what:{width}}  {line.number:>10,}  {line.share}" for line in part.lines]
    return "\n".join(line.rstrip() for line in drawn) + "\n"


def write_html(report: Report, out: str) -> None:
    """Write ``summary.html`` beside the parts."""
    page = html.render("batch.html", report=report, sections=sections(report))
    open_store(out).write(SUMMARY, page.encode("utf-8", "backslashreplace"))


def _inputs(report: Report) -> Iterator[Line]:
    yield Line("answered", report.tally.inputs, "")
    if report.inputs is not None:
        yield Line("found", report.inputs, "")
    if report.complete and report.gone:
        yield Line("fewer than in the run before", report.gone, "")
    yield Line("rows", report.tally.rows, "")
    if skipped := max((run.skipped for run in report.runs), default=0):
        yield Line("files that are not images", skipped, "")
    if (rate := report.per_second) is not None:
        yield _speed(rate)


def _speed(per_second: float) -> Line:
    """Whole numbers, also of volumes that take seconds each."""
    if per_second < _SLOW:
        return Line("inputs per minute", round(60 * per_second), "")
    return Line("inputs per second", round(per_second), "")


def _lines(counts: Collection[tuple[str, int]]) -> list[Line]:
    total = sum(count for _, count in counts)
    ordered = sorted(counts, key=lambda pair: (-pair[1], pair[0]))
    return [Line(name, count, percent(count / total, 1)) for name, count in ordered]

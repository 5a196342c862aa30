"""Predictions as a table for the terminal."""

import io
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tumorlens.inference.record import (
    ABSTAINED,
    CLASSIFIED,
    DETECTED,
    FAILED,
    REJECTED,
    Answer,
    Failure,
    FailureReason,
    Result,
    StudyPrediction,
    VolumePrediction,
)
from tumorlens.labels import BRAIN_TUMORS, RESEARCH_NOTICE, ClassSet
from tumorlens.text import printable, probability_percent

_WIDE: Final = 120
"""Terminal columns from which each class has a table column."""
_MOST_COLUMNS: Final = 8
"""Most classes that have table columns."""
_NARROW: Final = 72
"""Terminal columns below which a list is written instead of a table."""
_LEAST_ANSWER: Final = 34
"""Fewest terminal columns for the summary, which is wrapped."""
_LEAST_PATH: Final = 12
"""Fewest for a path, which is shortened."""
_MERGED_FROM: Final = 4
"""Fewest files with the same error that are one line."""
_UNBOUNDED: Final = 100_000
_STYLES: Final = {
    CLASSIFIED: "bold",
    DETECTED: "bold magenta",
    ABSTAINED: "yellow",
    REJECTED: "yellow",
    FAILED: "red",
}

Results = Sequence[Result]


def render(results: Results, *, width: int | None, color: bool = False) -> str:
    """Format ``results`` for ``width`` columns; None: for a file or pipe, without wrapping.

    Below the table are reasons, errors, notes, the model and the research notice. Neighbouring
    files of a folder that fail for the same reason, as those of a damaged series, are one line.
    """
    results = list(_merged(results))
    out = io.StringIO()
    console = Console(
        file=out,
        width=width or _UNBOUNDED,
        force_terminal=color,
        color_system="standard" if color else None,
        legacy_windows=False,
        emoji=False,
        highlight=False,
        markup=False,
    )
    body = _list(results, width) if width and width < _NARROW else [_table(results, width, console)]
    console.print(*body, *_footer(results), sep="\n")
    return "\n".join(line.rstrip() for line in out.getvalue().strip("\n").splitlines()) + "\n"


def _merged(results: Results) -> Iterator[Result]:
    for fault, group in groupby(results, _fault):
        same = list(group)
        if fault is None or len(same) < _MERGED_FROM:
            yield from same
            continue
        folder, kind, reason = fault
        path = f"{folder} ({len(same)} files)"
        such = f"{len(same)} files, such as {Path(same[0].path).name}"
        message = f"{folder}: {such}{reason}; --format csv lists each"
        yield Failure(path=path, error=FailureReason(kind=kind, message=message))


def _fault(result: Result) -> tuple[str, str, str] | None:
    """The folder of a file that failed, and why; None if its message does not name it first."""
    if not isinstance(result, Failure) or not result.error.message.startswith(result.path):
        return None
    where, reason = result.path, result.error.message
    return str(Path(where).parent), result.error.kind, reason.removeprefix(where)


def elide(path: str, room: int) -> str:
    """Shorten a printable path to ``room`` characters, at its front."""
    return path if len(path) <= room else "…" + path[len(path) - room + 1 :]


def _list(results: Results, width: int) -> Iterator[RenderableType]:
    for result in results:
        yield Text(elide(printable(result.path), width))
        yield Text(f"  {result.decision}", style=_STYLES[result.decision])
        for line in _sentences(result, width - 2):
            yield Padding(line, (0, 0, 0, 2))


def _table(results: Results, width: int | None, console: Console) -> Table:
    """With a column for each class if they fit, and paths as long as the rest leaves room for."""
    classes = _classes(results)
    columns = classes if len(classes) <= _MOST_COLUMNS else None
    if width is None:
        return _draw(results, width, _UNBOUNDED, columns)

    def room(columns: ClassSet | None) -> int:
        return width - console.measure(_draw(results, width, 0, columns)).minimum

    if columns and (width < _WIDE or room(columns) < _LEAST_PATH):
        columns = None
    return _draw(results, width, max(room(columns), _LEAST_PATH), columns)


def _draw(results: Results, width: int | None, room: int, classes: ClassSet | None) -> Table:
    """``room``: columns for the paths; ``classes``: those that have a column."""
    table = Table(
        box=None if width is None else box.SIMPLE_HEAD, show_edge=False, header_style="bold"
    )
    table.add_column("image" if room else "", no_wrap=True)
    table.add_column("decision", no_wrap=True)
    table.add_column("answer", no_wrap=width is None, min_width=_LEAST_ANSWER)
    for name in map(printable, classes.display_names.values() if classes else ()):
        # rich takes the longest word for the least width, even where nothing is wrapped.
        table.add_column(name, justify="right", no_wrap=True, min_width=cell_len(name))
    for result in results:
        first, *below = _sentences(result, _UNBOUNDED)
        path = Text(elide(printable(result.path), room) if room else "")
        cells = _probabilities(result, classes) if classes else ()
        table.add_row(path, Text(result.decision, style=_STYLES[result.decision]), first, *cells)
        for line in below:
            table.add_row("", "", line)
    return table


def _sentences(result: Result, room: int) -> Iterator[Text]:
    """The lines of the answer."""
    if isinstance(result, Failure):
        yield Text(result.error.kind, style="red")
        return
    yield Text(printable(result.summary))
    if left_open := _left_open(result):
        yield Text(left_open, style="dim")
    if isinstance(result, VolumePrediction):
        yield Text(_where(result, room), style="dim")
    if isinstance(result, StudyPrediction):
        used = [
            series.sequence or "unknown sequence" for series in result.members if series.weight > 0
        ]
        yield Text(f"study, from {len(used)} series: {', '.join(used)}", style="dim")


def _left_open(result: Answer) -> str:
    """The other classes in the prediction set; empty if the kind is uncertain anyway."""
    names = result.model.class_set.display_names
    others = [names[c] for c in result.prediction_set or () if c != result.label]
    if result.label is None or not others:
        return ""
    return printable("not excluded: " + ", ".join(others))


def _why_held(result: Answer) -> str:
    """The reason, and what is not excluded."""
    names = result.model.class_set.display_names
    left = [names[name] for name in result.prediction_set or ()]
    return f"{result.reason}; not excluded: {', '.join(left)}" if left else result.reason


def _classes(results: Results) -> ClassSet:
    """The classes of the model that answered."""
    answers = (result for result in results if not isinstance(result, Failure))
    return next((answer.model.class_set for answer in answers), BRAIN_TUMORS)


def _probabilities(result: Result, classes: ClassSet) -> Iterator[Text]:
    for name in classes.names:
        text = probability_percent(result.probabilities[name]) if result.probabilities else ""
        yield Text(text, style="bold" if name == result.label else "dim")


def _where(result: VolumePrediction, room: int) -> str:
    """The slices of the finding, counted from 1.

    With the series description and the middle slice as far as they fit into ``room``.
    """
    finding, count = result.finding, len(result.slices)
    if finding is None:
        where = middle = f"{count} slices"
    elif finding.first == finding.last:
        where = middle = f"slice {finding.first + 1} of {count}"
    else:
        where = f"slices {finding.first + 1}-{finding.last + 1} of {count}"
        middle = f"{where}, middle {finding.middle + 1}"
    described = result.series.description if result.series else None
    longest = f"{printable(described)}: {middle}" if described else middle
    return next((text for text in (longest, middle) if len(text) <= room), where)


def _footer(results: Results) -> list[Text]:
    """Paragraphs: reasons that the table does not give, errors and notes, the model."""
    answers = [result for result in results if not isinstance(result, Failure)]
    held = [answer for answer in answers if answer.reason and answer.decision != REJECTED]
    reasons = [Text(printable(f"{r.path}: {_why_held(r)}"), style="yellow") for r in held]
    notes = [
        Text(printable(result.summary), style="red")
        for result in results
        if isinstance(result, Failure)
    ]
    notes += [Text(printable(f"{r.path}: {note}")) for r in results for note in r.notes]
    about = [Text(RESEARCH_NOTICE, style="dim")]
    if answers:
        model = answers[0].model
        name = printable(f"{model.name} {model.version}")
        about.insert(0, Text(f"model {name}, sha256 {model.sha256[:12]}", style="dim"))
    paragraphs = (reasons, notes, about)
    return [line for lines in paragraphs if lines for line in (Text(), *lines)]

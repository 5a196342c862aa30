"""Predictions as a table for people, in the width there is."""

import io
from collections.abc import Iterator, Sequence
from typing import Final

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from tumorlens.cli.terminal import printable
from tumorlens.inference.classifier import Failure, Prediction
from tumorlens.inference.decision import ABSTAINED, REJECTED
from tumorlens.inference.postprocessing import percent
from tumorlens.inference.volume import Result, VolumePrediction
from tumorlens.labels import CLASSES, DISPLAY_NAMES, RESEARCH_NOTICE

_WIDE: Final = 100
"""Columns from which every class gets its own."""
_MEDIUM: Final = 64
"""Columns from which there is room for a bar."""
_NARROW: Final = 48
"""Columns below which a table has no room: name and answer stand beneath each other."""
_BELOW_ROOM: Final = 24
"""Columns for what stands below an answer in a terminal."""
_UNBOUNDED: Final = 100_000
_BAR_CELLS: Final = 12
_HELD_BACK: Final = {ABSTAINED: "not sure", REJECTED: "refused"}
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"

Results = Sequence[Result]


def render(results: Results, *, width: int | None, color: bool = False) -> str:
    """Draw ``results`` in ``width`` columns; None, where no terminal is looking, in plain lines.

    Beneath stand what failed and why, the model, and the research notice.
    """
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


def bar(share: float) -> str:
    """A bar of block characters, ``_BAR_CELLS`` wide for 1."""
    eighths = round(share * _BAR_CELLS * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).strip().ljust(_BAR_CELLS)


def elide(path: str, room: int) -> str:
    """Cut the front of a printable path, whose end tells more, to ``room`` characters."""
    return path if len(path) <= room else "…" + path[len(path) - room + 1 :]


def _list(results: Results, width: int) -> Iterator[RenderableType]:
    for result in results:
        yield Text(elide(printable(result.path), width))
        if isinstance(result, Failure):
            yield Text(f"  failed: {result.error.kind}", style="red")
        else:
            share = _top(result)
            yield Text("  ").append_text(_answer(result)).append(f" {share}" if share else "")
            if left_open := _left_open(result, width - 2):
                yield Text(f"  {left_open}", style="dim")
            if isinstance(result, VolumePrediction):
                yield Text("  " + _where(result, width - 2), style="dim")


def _table(results: Results, width: int | None, console: Console) -> Table:
    """First without names, to see what room they have."""
    room = _UNBOUNDED
    if width is not None:
        room = width - console.measure(_draw(results, width, 0)).maximum
    return _draw(results, width, room)


def _draw(results: Results, width: int | None, room: int) -> Table:
    table = Table(
        box=None if width is None else box.SIMPLE_HEAD, show_edge=False, header_style="bold"
    )
    table.add_column("picture" if room else "", no_wrap=True)
    table.add_column("answer", no_wrap=True)
    for name in CLASSES if _every_class(width) else ("probability",):
        table.add_column(DISPLAY_NAMES.get(name, name), justify="right", no_wrap=True)
    for result in results:
        path = Text(elide(printable(result.path), room) if room else "")
        if isinstance(result, Failure):
            table.add_row(path, Text(f"failed: {result.error.kind}", style="red"))
        else:
            table.add_row(path, _answer(result), *_shares(result, width))
            room_below = _UNBOUNDED if width is None else _BELOW_ROOM
            if left_open := _left_open(result, room_below):
                table.add_row("", Text(left_open, style="dim"))
            if isinstance(result, VolumePrediction):
                table.add_row("", Text(_where(result, room_below), style="dim"))
    return table


def _every_class(width: int | None) -> bool:
    return width is None or width >= _WIDE


def _answer(result: Prediction | VolumePrediction) -> Text:
    if result.label is None:
        return Text(_HELD_BACK[result.decision], style="yellow")
    return Text(DISPLAY_NAMES[result.label], style="bold")


def _left_open(result: Prediction | VolumePrediction, room: int) -> str:
    """The other classes that an answer leaves open; empty where none is given.

    A set without an answer stands in the footer: here "no tumour" would look like one.
    """
    others = [DISPLAY_NAMES[c] for c in result.prediction_set or () if c != result.label]
    if result.label is None or not others:
        return ""
    listed = "or " + " or ".join(others)
    return listed if len(listed) <= room else f"or {len(others)} other classes"


def _why_held(result: Prediction | VolumePrediction) -> str:
    """The reason, and what is not excluded."""
    left = [DISPLAY_NAMES[name] for name in result.prediction_set or ()]
    return f"{result.reason}; not excluded: {', '.join(left)}" if left else result.reason


def _top(result: Prediction | VolumePrediction) -> str:
    """The answer's probability; nothing where none is given."""
    return percent(result.probabilities[result.label]) if result.label is not None else ""


def _shares(result: Prediction | VolumePrediction, width: int | None) -> Iterator[Text]:
    if _every_class(width):
        for name, value in result.probabilities.items():
            shown = "" if result.decision == REJECTED else percent(value)
            yield Text(shown, style="bold" if name == result.label else "dim")
        return
    drawn = Text()
    if width and width >= _MEDIUM and result.label is not None:
        drawn.append(bar(result.probabilities[result.label]) + " ", style="cyan")
    yield drawn.append(f"{_top(result):>6}")


def _where(result: VolumePrediction, room: int) -> str:
    """Which slices of which series hold the finding, counted from 1, as people count.

    The series has a name, and the middle is told, where that fits into ``room``.
    """
    found, count = result.finding, len(result.slices)
    if found is None:
        where = middle = f"{count} slices"
    elif found.first == found.last:
        where = middle = f"slice {found.first + 1} of {count}"
    else:
        where = f"slices {found.first + 1}-{found.last + 1} of {count}"
        middle = f"{where}, middle {found.middle + 1}"
    described = result.series.description if result.series else None
    longest = f"{printable(described)}: {middle}" if described else middle
    return next((text for text in (longest, middle) if len(text) <= room), where)


def _footer(results: Results) -> list[Text]:
    failures = [result for result in results if isinstance(result, Failure)]
    held = [r for r in results if not isinstance(r, Failure) and r.reason]
    lines = [Text()]
    lines += [Text(printable(f"{r.path}: {_why_held(r)}"), style="yellow") for r in held]
    lines += [Text()] if held else []
    lines += [Text(printable(failure.error.message), style="red") for failure in failures]
    for result in results:
        if not isinstance(result, Failure):
            lines += [Text(printable(f"{result.path}: {note}")) for note in result.notes]
    lines += [Text()] if len(lines) > 1 else []
    model = next((result.model for result in results if not isinstance(result, Failure)), None)
    if model is not None:
        name = printable(f"{model.name} {model.version}")
        lines.append(Text(f"model {name}, sha256 {model.sha256[:12]}", style="dim"))
    return [*lines, Text(RESEARCH_NOTICE, style="dim")]

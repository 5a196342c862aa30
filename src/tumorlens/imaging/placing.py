"""Slices of a series that do not state their position, among others that do.

A slice whose position is missing or is not a number must neither be lost nor become a separate
image. Where the positions of the others follow SliceLocation or InstanceNumber, its position is
derived from that.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from tumorlens.imaging.geometry.slice_ordering import Frame

_FEWEST: Final = 3
"""Fewest slices that a line is fitted to."""
_OFF: Final = 0.1
"""How far a slice may lie off the line, as a part of a step."""
_GUIDES: Final[tuple[tuple[str, Callable[[Frame], float | None]], ...]] = (
    ("SliceLocation", lambda frame: frame.location_mm),
    ("InstanceNumber", lambda frame: frame.number),
)
ALONE: Final = "the file does not say where in its series the slice lies; it is answered by itself"


class _Line(NamedTuple):
    """Positions of slices as a linear function of a number in their headers."""

    name: str
    guide: Callable[[Frame], float | None]
    slope: np.ndarray
    offset: np.ndarray


def with_positions(frames: Sequence[Frame]) -> list[Frame]:
    """``frames``, those without a position placed among the others, with a note."""
    placed = [frame for frame in frames if frame.placed]
    if len(placed) < _FEWEST or len(placed) == len(frames):
        return list(frames)
    alike: dict[tuple[int, int], list[Frame]] = defaultdict(list)
    for frame in placed:
        if np.allclose(frame.row or (), placed[0].row or (), atol=0.01):  # others are not parallel
            alike[frame.shape].append(frame)
    lines = {shape: list(_lines(group)) for shape, group in alike.items()}
    return [
        frame if frame.placed else _guided(frame, alike[frame.shape], lines.get(frame.shape, []))
        for frame in frames
    ]


def _guided(frame: Frame, alike: Sequence[Frame], lines: Sequence[_Line]) -> Frame:
    for line in lines:
        at = line.guide(frame)
        if at is None:
            continue
        x, y, z = (float(value) for value in line.slope * at + line.offset)
        facts = msgspec.structs.replace(frame.facts, position_mm=(x, y, z))
        note = f"the slice's position is not stated; it is taken from {line.name}"
        spacing, aspect = frame.spacing_mm, frame.aspect
        if frame.turn is None and alike[0].turn and alike[0].turn.exchanged:
            spacing, aspect = spacing and spacing[::-1], aspect and aspect[::-1]
        return msgspec.structs.replace(
            frame, facts=facts, row=alike[0].row, column=alike[0].column,
            spacing_mm=spacing or alike[0].spacing_mm, aspect=aspect,
            turn=frame.turn or alike[0].turn, notes=(*frame.notes, note),
        )  # fmt: skip
    return msgspec.structs.replace(frame, notes=(*frame.notes, ALONE))


def _lines(alike: Sequence[Frame]) -> Iterator[_Line]:
    """One for each number that all of the slices have and that their positions follow."""
    positions = np.array([frame.facts.position_mm for frame in alike])
    for name, guide in _GUIDES:
        values = [value for frame in alike if (value := guide(frame)) is not None]
        if len(values) == len(alike) and (line := _fitted(values, positions)) is not None:
            yield _Line(name, guide, *line)


def _fitted(values: Sequence[float], positions: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Slope and offset; None where positions (N, 3) do not follow ``values`` evenly."""
    if len(set(values)) < _FEWEST:
        return None
    slope, offset = np.polyfit(values, positions, 1)
    off = np.abs(positions - np.outer(values, slope) - offset).max()
    steps = np.diff(np.sort(np.asarray(values)))
    step = float(np.linalg.norm(slope)) * float(np.median(steps))
    return (slope, offset) if off <= _OFF * step else None

"""Slices of a series that do not say where they lie, among others that do.

One position that is missing or is no number must not cost the slice, nor make it a picture of its
own. Where SliceLocation or InstanceNumber of the others follows their positions, it tells the
place.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from tumorlens.imaging.slice_ordering import Frame

_FEWEST: Final = 3
"""Fewer slices tell no line."""
_OFF: Final = 0.1
"""Part of a step by which a slice may lie off the line."""
_GUIDES: Final[tuple[tuple[str, Callable[[Frame], float | None]], ...]] = (
    ("SliceLocation", lambda frame: frame.location_mm),
    ("InstanceNumber", lambda frame: frame.number),
)
ALONE: Final = "the file does not say where in its series the slice lies; it is answered by itself"


def with_places(frames: Sequence[Frame]) -> list[Frame]:
    """``frames``, those without a position placed among the others, with a note."""
    placed = [frame for frame in frames if frame.placed]
    if len(placed) < _FEWEST or len(placed) == len(frames):
        return list(frames)
    return [frame if frame.placed else _guided(frame, placed) for frame in frames]


def _guided(frame: Frame, placed: Sequence[Frame]) -> Frame:
    alike = [
        other for other in placed if other.shape == frame.shape and _is_parallel(other, placed)
    ]
    for name, guide in _GUIDES:
        at = guide(frame)
        known = [(value, other) for other in alike if (value := guide(other)) is not None]
        if at is None or len(known) < _FEWEST or len(known) < len(alike):
            continue
        position = _on_line(
            at, [value for value, _ in known],
            np.array([other.place.position_mm for _, other in known]),
        )  # fmt: skip
        if position is not None:
            x, y, z = (float(value) for value in position)
            place = msgspec.structs.replace(frame.place, position_mm=(x, y, z))
            note = f"the slice's position is not stated; {name} tells it"
            return msgspec.structs.replace(
                frame, place=place, row=alike[0].row, column=alike[0].column,
                spacing_mm=frame.spacing_mm or alike[0].spacing_mm, notes=(*frame.notes, note),
            )  # fmt: skip
    return msgspec.structs.replace(frame, notes=(*frame.notes, ALONE))


def _is_parallel(frame: Frame, placed: Sequence[Frame]) -> bool:
    return np.allclose(frame.row or (), placed[0].row or (), atol=0.01)


def _on_line(at: float, values: Sequence[float], positions: np.ndarray) -> np.ndarray | None:
    """The position for ``at``; None where positions (N, 3) do not follow ``values`` evenly."""
    if len(set(values)) < _FEWEST:
        return None
    line = np.polyfit(values, positions, 1)
    off = np.abs(positions - np.outer(values, line[0]) - line[1]).max()
    steps = np.diff(np.sort(np.asarray(values)))
    step = float(np.linalg.norm(line[0])) * float(np.median(steps))
    found: np.ndarray = line[0] * at + line[1]
    return found if off <= _OFF * step else None

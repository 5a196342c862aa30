"""Order slices in space: split by orientation and size, sort along the normal, note oddities.

Names and instance numbers say little about where a slice lies; ImagePositionPatient and
ImageOrientationPatient (PS3.3 C.7.6.2.1.1) do. Where these are not plausible, SliceLocation and
then InstanceNumber stand in, with a note.
"""

import os
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from tumorlens.imaging.facts import SliceFacts, Vector, normal
from tumorlens.imaging.geometry.contrasts import FOLDER, Traits, Volume, same_position, separate
from tumorlens.imaging.geometry.slice_spacing import (
    ROUNDED,
    placed_evenly,
    spacing_notes,
    usual_distance,
)
from tumorlens.imaging.geometry.turn import Turn
from tumorlens.text import natural

_SAME_DIRECTION: Final = 0.01
"""Largest difference of direction cosines within one stack."""
_SAME_POSITION_MM: Final = 0.01
_ONE_PLACE: Final = 0.5
"""Part of a slice's thickness: a series that extends over less has implausible positions ..."""
_ONE_PLACE_MM: Final = 0.5
"""... as has one that extends over less than this, as the thickness may be in metres too."""
_UNORDERED: Final = (
    "neither positions nor numbers of the slices are stated; they are in the order of their names, "
    "which may be wrong"
)
_BY_STACK: Final = (
    "positions of the slices are not stated; they are in the order of InStackPositionNumber"
)
_MAX_ORIENTATIONS: Final = 64
"""Orientations in one series beyond which slices are not compared, and form no stacks."""
_FEWEST_WITHOUT_POSITIONS: Final = 3
"""Fewer slices at one position are copies, and fewer without a position are single images."""
_FEWEST_AMBIGUOUS: Final = 2
"""From so many positions with several slices that nothing distinguishes, volumes may be mixed."""
_SHARED: Final = 0.5
"""Part of the positions at which each of several volumes has a slice."""
_MORE: Final = 1.5
"""Positions are not plausible where SliceLocation distinguishes this many times more slices."""


class Frame(msgspec.Struct, frozen=True):
    """One slice before its pixels are read."""

    facts: SliceFacts
    shape: tuple[int, int]
    """(rows, columns)."""
    row: Vector | None = None
    column: Vector | None = None
    spacing_mm: tuple[float, float] | None = None
    """(row, column)."""
    aspect: tuple[float, float] | None = None
    """Height and width of a pixel as a ratio, if they are not stated in millimetres."""
    turn: Turn | None = None
    """How its pixels are turned when they are read; everything else here is of the turned slice."""
    thickness_mm: float | None = None
    order: tuple[float, ...] = ()
    """Which of several at one position comes first: acquisition, echo, time, instance number."""
    windowed: bool = False
    """Whether the file says how to window it."""
    traits: Traits = ()
    """How it was taken: component, echo, b-value, time point..."""
    location_mm: float | None = None
    """SliceLocation."""
    number: float | None = None
    """InstanceNumber."""
    in_stack: float | None = None
    """InStackPositionNumber (C.7.6.16.2.2)."""
    outside_training: bool = False
    """``AcquisitionFacts.outside_training`` of it."""
    is_disputed: bool = False
    """Whether another file has its SOP Instance UID and position but other pixels."""
    notes: tuple[str, ...] = ()
    """What is odd about its file: an element that is passed over."""

    @property
    def placed(self) -> bool:
        """Whether its position in the patient is known."""
        return self.row is not None and self.facts.position_mm is not None


class Stack(msgspec.Struct, frozen=True):
    """Slices of one volume, in order."""

    frames: tuple[Frame, ...]
    slice_spacing_mm: float | None
    notes: tuple[str, ...]
    folder: str | None = None
    """Where its files lie, if slices of the series in other folders are other volumes."""


def split(frames: Sequence[Frame], *, keep_order: bool = False) -> list[Stack]:
    """Sort ``frames`` into stacks, the largest first.

    Of volumes at the same positions (echoes, phases) one is kept. A frame that does not say where
    it lies is a stack of its own, or, with ``keep_order`` (the frames are those of one file), one
    of a stack in the given order.
    """
    placed = [frame for frame in frames if frame.placed]
    stacks = [stack for group in _alike(placed) for stack in _volumes(group)]
    unplaced = [frame for frame in frames if not frame.placed]
    if keep_order and len(unplaced) > 1:
        stacks.extend(_by_stack_position(unplaced))
    else:
        stacks.extend(Stack((frame,), None, ()) for frame in unplaced)
    return sorted(stacks, key=lambda stack: -len(stack.frames))


def _by_stack_position(frames: Sequence[Frame]) -> list[Stack]:
    """Frames of one file by StackID and the position in it; in the given order without these."""
    along = [frame.in_stack for frame in frames if frame.in_stack is not None]
    if len(along) < len(frames) or _count(along) < _FEWEST_WITHOUT_POSITIONS:
        notes = ("positions of the slices are not stated; they are in the order of the file",)
        return [Stack(tuple(frames), None, notes)]
    groups: dict[tuple[object, ...], list[Frame]] = {}
    for frame in frames:
        groups.setdefault((frame.shape, dict(frame.traits).get("stack")), []).append(frame)
    return [stack for group in groups.values() for stack in _counted(group)]


def _counted(frames: Sequence[Frame]) -> list[Stack]:
    """One stack for each volume, by the number in the stack: no lengths are known."""
    along = [frame.in_stack or 0.0 for frame in frames]
    stacks = []
    for volume in separate([frame.traits for frame in frames], along, None):
        clusters = _clusters(
            [along[i] for i in volume.indices], [frames[i] for i in volume.indices]
        )
        chosen = [cluster[0] for cluster in clusters]
        notes = [_BY_STACK, *volume.notes, *_repeats(len(volume.indices) - len(chosen))]
        if missing := round(chosen[-1][0] - chosen[0][0]) + 1 - len(chosen):
            notes.append(f"{missing} positions between the first and the last have no slice")
        notes += _ambiguous(clusters)
        stacks.append(Stack(tuple(frame for _, frame in chosen), None, tuple(notes)))
    return stacks


def split_unplaced(frames: Sequence[Frame]) -> list[Stack]:
    """Sort frames of one series whose positions are not stated, by SliceLocation or number.

    Those of a size that neither tells apart are in the order of their names, with a note; a few of
    them, or time points, are stacks of their own.
    """
    groups: dict[tuple[int, int], list[Frame]] = {}
    for frame in frames:
        groups.setdefault(frame.shape, []).append(frame)
    stacks = [stack for group in groups.values() for stack in _unplaced_volumes(group)]
    return sorted(stacks, key=lambda stack: -len(stack.frames))


def _unplaced_volumes(frames: Sequence[Frame]) -> list[Stack]:
    """Frames of one size, first divided by folder where numbers are repeated in each."""
    folders = [((FOLDER, folder),) for folder in _folders(frames)]
    parts = separate(folders, [frame.number or 0.0 for frame in frames], None)
    return [
        msgspec.structs.replace(stack, notes=(*part.notes, *stack.notes), folder=part.folder)
        for part in parts
        for stack in _unplaced([frames[index] for index in part.indices])
    ]


def _unplaced(frames: Sequence[Frame]) -> list[Stack]:
    order = _substitute(frames, distinct=1)
    # Without any order they may be separate images, not slices of one volume.
    if order is None and (len(frames) < _FEWEST_WITHOUT_POSITIONS or _are_times(frames)):
        return [Stack((frame,), None, ()) for frame in frames]
    if order is None:
        return _by_substitute(frames, _by_name(frames), _UNORDERED)
    note = f"positions of the slices are not stated; they are in the order of {order.name}"
    return _by_substitute(frames, order, note)


def _are_times(frames: Sequence[Frame]) -> bool:
    """Whether each is of a time point of its own."""
    times = {value for frame in frames for name, value in frame.traits if name == "time point"}
    return len(times) == len(frames)


def _by_name(frames: Sequence[Frame]) -> "_Order":
    ranked = sorted(range(len(frames)), key=lambda i: natural("\0".join(_rank(frames[i])[1:])))
    along = [0.0] * len(frames)
    for rank, index in enumerate(ranked):
        along[index] = float(rank)
    return _Order("their names", along, in_mm=False)


class _Order(NamedTuple):
    """What stands in for the position."""

    name: str
    along: list[float]
    in_mm: bool


def _substitute(frames: Sequence[Frame], distinct: int) -> _Order | None:
    """What distinguishes more slices than their ``distinct`` positions do; None where nothing does.

    InstanceNumber is trusted only where all positions are the same, and not in a series of time
    points, which it counts too.
    """
    if len(frames) < _FEWEST_WITHOUT_POSITIONS:
        return None
    locations = [frame.location_mm for frame in frames if frame.location_mm is not None]
    if len(locations) == len(frames) and _count(locations) > _MORE * distinct:
        return _Order("SliceLocation", locations, in_mm=True)
    if _are_times(frames):
        return None
    numbers = [frame.number for frame in frames if frame.number is not None]
    if distinct == 1 and len(numbers) == len(frames) == _count(numbers):
        return _Order("InstanceNumber", numbers, in_mm=False)
    return None


def _distinct(along: Sequence[float], thickness_mm: float | None) -> int:
    """How many positions differ; 1 where all lie within a part of a slice: in metres, or wrong."""
    least = max(_ONE_PLACE_MM, _ONE_PLACE * (thickness_mm or 0.0))
    return 1 if max(along) - min(along) < least else _count(along)


def _count(values: Sequence[float]) -> int:
    return len({round(value, 3) for value in values})


def _volumes(frames: Sequence[Frame]) -> list[Stack]:
    """Sort frames of one size and orientation along the normal of the first."""
    axis = np.asarray(normal(frames[0].row or (0, 0, 0), frames[0].column or (0, 0, 0)))
    along = [float(axis @ np.asarray(frame.facts.position_mm)) for frame in frames]
    thickness_mm = frames[0].thickness_mm
    if (order := _substitute(frames, _distinct(along, thickness_mm))) is not None:
        note = f"positions of the slices are not plausible; they are in the order of {order.name}"
        return _by_substitute(frames, order, note)
    even = placed_evenly(along, [frame.number for frame in frames], thickness_mm)
    if even is None:
        return _stacks(frames, along)
    return [_with_note(stack, ROUNDED) for stack in _stacks(frames, even)]


def _by_substitute(frames: Sequence[Frame], order: _Order, note: str) -> list[Stack]:
    if order.in_mm:
        return [_with_note(stack, note) for stack in _stacks(frames, order.along)]
    # Numbers go on from one volume to the next, so all differing traits separate volumes.
    first, *others = separate([frame.traits for frame in frames], [0.0] * len(frames), None)
    if len(first.indices) < _FEWEST_WITHOUT_POSITIONS:
        first, others = Volume(list(range(len(frames))), []), []
    stacks = []
    for volume in (first, *others):
        chosen = sorted(volume.indices, key=lambda index: order.along[index])
        stack = Stack(tuple(frames[index] for index in chosen), None, tuple(volume.notes))
        stacks.append(_with_note(stack, note))
    return stacks


def _with_note(stack: Stack, note: str) -> Stack:
    return msgspec.structs.replace(stack, notes=(note, *stack.notes))


def _stacks(frames: Sequence[Frame], along: Sequence[float]) -> list[Stack]:
    """One stack for each volume, by position."""
    traits: list[Traits] = [
        (*frame.traits, (FOLDER, folder))
        for frame, folder in zip(frames, _folders(frames), strict=True)
    ]
    volumes = separate(traits, along, frames[0].thickness_mm)
    return [_sorted(volume, frames, along) for volume in volumes]


def _folders(frames: Sequence[Frame]) -> list[str]:
    """The folder of each; that of the first for copies of it."""
    folders: dict[tuple[object, ...], str] = {}
    return [folders.setdefault(_identity(frame), _folder(frame)) for frame in frames]


def _folder(frame: Frame) -> str:
    path, member = frame.facts.path, frame.facts.member
    return os.path.dirname(path if member is None else f"{path}/{member}")  # noqa: PTH120


def _identity(frame: Frame) -> tuple[object, ...]:
    """What copies of a slice have alike."""
    facts = frame.facts
    if facts.sop_instance_uid is None or frame.is_disputed:
        return facts.path, facts.member, facts.frame
    return facts.sop_instance_uid, facts.frame, facts.position_mm


def _alike(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Group by size and, within a small angle, orientation."""
    heads: dict[tuple[int, int], list[tuple[tuple[float, ...], list[Frame]]]] = {}
    for frame in frames:
        alike = heads.setdefault(frame.shape, [])
        axes = (*(frame.row or ()), *(frame.column or ()))
        match = _first_match([known for known, _ in alike[:_MAX_ORIENTATIONS]], axes)
        if match is None:
            alike.append((axes, [frame]))
        else:
            alike[match][1].append(frame)
    return [group for alike in heads.values() for _, group in alike]


def _first_match(known: Sequence[tuple[float, ...]], axes: tuple[float, ...]) -> int | None:
    if not known:
        return None
    near = np.abs(np.asarray(known) - np.asarray(axes)).max(axis=1) < _SAME_DIRECTION
    return int(np.argmax(near)) if near.any() else None


def _sorted(volume: Volume, all_frames: Sequence[Frame], all_along: Sequence[float]) -> Stack:
    """Sort the frames of ``volume`` by position; keep the first of several at one."""
    frames = [all_frames[index] for index in volume.indices]
    clusters = _clusters([all_along[index] for index in volume.indices], frames)
    chosen = [cluster[0] for cluster in clusters]
    distances = np.diff([at for at, _ in chosen])
    repeated = len(frames) - len(chosen)
    notes = [*volume.notes, *_repeats(repeated), *_ambiguous(clusters),
             *spacing_notes(distances, frames[0].thickness_mm)]  # fmt: skip
    located = tuple(_located(frame, at) for at, frame in chosen)
    return Stack(located, usual_distance(distances), tuple(notes), volume.folder)


def _clusters(along: Sequence[float], frames: Sequence[Frame]) -> list[list[tuple[float, Frame]]]:
    """The frames at each position, by position; the one to use comes first."""
    near = same_position(along, frames[0].thickness_mm, _SAME_POSITION_MM)
    clusters: list[list[tuple[float, Frame]]] = []
    for at, frame in sorted(zip(along, frames, strict=True), key=lambda pair: pair[0]):
        if clusters and at - clusters[-1][0][0] < near:
            clusters[-1].append((at, frame))
        else:
            clusters.append([(at, frame)])
    return [sorted(cluster, key=lambda pair: _rank(pair[1])) for cluster in clusters]


def _ambiguous(clusters: Sequence[Sequence[tuple[float, Frame]]]) -> list[str]:
    """A note where nothing but their names tells slices at one position apart.

    Numbers tell a few slices apart that were acquired again, but not whole volumes.
    """
    alike = several = 0
    for cluster in clusters:
        if len(cluster) > 1:
            (_, first), (_, second) = cluster[:2]
            is_copy = _identity(first) == _identity(second)
            alike += first.order == second.order and not is_copy
            several += not is_copy
    are_volumes = several >= max(_FEWEST_WITHOUT_POSITIONS, _SHARED * len(clusters))
    if alike < _FEWEST_AMBIGUOUS and not are_volumes:
        return []
    return [
        "the files do not state which slices at one position belong together; "
        "several volumes may be mixed"
    ]


def _rank(frame: Frame) -> tuple[tuple[float, ...], str, str]:
    return frame.order, frame.facts.path, frame.facts.member or ""


def _located(frame: Frame, along_mm: float) -> Frame:
    facts = msgspec.structs.replace(frame.facts, along_mm=round(along_mm, 4))
    return msgspec.structs.replace(frame, facts=facts)


def _repeats(count: int) -> list[str]:
    if not count:
        return []
    what = "1 slice repeats" if count == 1 else f"{count} slices repeat"
    return [f"{what} the position of another and {'is' if count == 1 else 'are'} left out"]

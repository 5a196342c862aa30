"""One series, several volumes: contrasts, echoes, phases, time points at the same positions.

A scanner stores magnitude and phase images, several echoes, b-values or time points as one series.
Stacked by position they would be mixed slice by slice, and the answer would be about an image
that was never acquired. So one of these volumes is used, and notes name the others. Anonymisers may
leave several patients with the same UIDs, each in a folder: then each folder is a volume.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.imaging.geometry.slice_spacing import usual_distance
from tumorlens.imaging.geometry.trait_values import NO_SLICES, left_out, listed, rank, word, words

MAGNITUDE: Final = "magnitude"
COMPONENT: Final = "component"
"""The trait that says which part of a complex signal an image shows (PS3.3 C.8.13.3.1.1)."""

Trait = tuple[str, float | str]
"""How an image was taken: a name, as notes say it, and what the file states."""
Traits = tuple[Trait, ...]

_NEAR: Final = 0.1
"""Slices nearer than this part of the usual distance are at one position: rounding, not spacing."""
_OVERLAP: Final = 0.5
"""Part of a group that must lie at another's positions for both to be volumes of one region."""
_COMPLETE: Final = 0.8
"""A volume has at least this part of the positions of the fullest one."""
_FEWEST: Final = 3
"""Fewer slices that state another contrast have odd headers, and are not a volume."""
_OTHER: Final = 0.1
"""Relative difference from which two numbers are two contrasts, not rounding."""
_SOFT: Final = frozenset({"acquisition", "trigger time", "stack"})
"""Traits that parts of one volume have too: odd slices are acquired first, then the even ones."""
AGENT: Final = "contrast agent"
IMAGE_TYPE: Final = "image type"
DIMENSION: Final = "dimension"
"""A trait of this name and a number is one of the indices by which a file sorts its frames."""
WINDOW: Final = "window"
FOLDER: Final = "folder"
"""The trait that says where an image lies. It is no part of how it was taken."""
_FOLDERS: Final = (
    "slices of this series lie in several folders, and form one volume only within each; each "
    "folder is a separate volume"
)
_REGULAR: Final = 0.8
"""Part of the distances that must be the usual one, for slices to be one volume."""
_SAME_DISTANCE: Final = 0.1
"""Relative difference up to which a distance is the usual one."""
_TURNS: Final = frozenset({"acquisition time", "content time", "instance number", "frame number"})
"""Traits that may differ in each slice: volumes are acquired in turns, or one after the other."""
_SAME_MM: Final = 0.01


class Volume(NamedTuple):
    """Images of one contrast."""

    indices: list[int]
    """Which of the given images."""
    notes: list[str]
    folder: str | None = None
    """Where they lie, if images of the series in other folders are other volumes."""


def separate(
    traits: Sequence[Traits], along: Sequence[float], thickness_mm: float | None
) -> list[Volume]:
    """Tell volumes of one series apart; the first is the one to use.

    ``traits`` and ``along``, the position on the normal in millimetres, are those of each image.
    Of volumes at the same positions one is kept, and the notes name the others. Images of another
    component or contrast that lie elsewhere, between the slices too, are volumes of their own, as
    are folders with one volume each.
    """
    stated = [dict(image_traits) for image_traits in traits]
    positions = np.asarray(along, dtype=np.float64)
    indices = list(range(len(stated)))
    elsewhere: list[Volume] = []
    notes: list[str] = []
    folder: str | None = None
    for name in _names(traits):
        if name == FOLDER:
            first, *others = _folders(indices, stated, positions)
            for group in others:
                own = _within(group, _FOLDERS, traits, along, thickness_mm)
                elsewhere += [part._replace(folder=_folder(group, stated)) for part in own]
            if others:
                indices, folder, notes = first, _folder(first, stated), [*notes, _FOLDERS]
        elif _is_weak(name):
            indices, noted = _split_whole(indices, stated, positions, name, thickness_mm)
            notes += noted
        elif len(groups := _grouped(indices, stated, name)) > 1:
            split = _split(groups, positions, name, thickness_mm)
            indices = split.indices
            notes += split.notes
            for group, note in split.elsewhere:
                elsewhere += _within(group, note, traits, along, thickness_mm)
    component = stated[indices[0]].get(COMPONENT) if indices else None
    return [Volume(indices, [*_odd_component(component), *notes], folder), *elsewhere]


def _within(
    group: Sequence[int],
    note: str,
    traits: Sequence[Traits],
    along: Sequence[float],
    thickness_mm: float | None,
) -> list[Volume]:
    """The volumes of a part of the images."""
    volumes = separate([traits[i] for i in group], [along[i] for i in group], thickness_mm)
    noted = [note] if note else []
    return [
        volume._replace(indices=[group[i] for i in volume.indices], notes=[*volume.notes, *noted])
        for volume in volumes
    ]


def _names(traits: Sequence[Traits]) -> list[str]:
    """All names of traits: the component, others in the order of images, the folder, weak ones."""
    names = {COMPONENT: None} | {name: None for pairs in traits for name, _ in pairs}
    return sorted(names, key=lambda name: (_is_weak(name), name == FOLDER))


def _is_weak(name: str) -> bool:
    """Whether slices of one volume differ in it too; it splits whole volumes only."""
    return name in _TURNS or name.startswith((WINDOW, DIMENSION))


def _folders(
    indices: list[int],
    stated: Sequence[Mapping[str, float | str]],
    positions: NDArray[np.float64],
) -> list[list[int]]:
    """The images of each folder, if each has one volume but all together do not; else ``indices``.

    A volume that was only stored in several folders is evenly spaced as a whole.
    """
    groups = [*_grouped(indices, stated, FOLDER).values()]
    places = [np.unique(positions[group]) for group in groups]
    together = np.sort(np.concatenate(places))
    are_among = sum(float(np.ptp(own)) for own in places) > float(np.ptp(together))
    if len(groups) > 1 and are_among and all(map(is_even, places)) and not is_even(together):
        return groups
    return [indices]


def _folder(group: Sequence[int], stated: Sequence[Mapping[str, float | str]]) -> str:
    return str(stated[group[0]][FOLDER])


def is_even(along: NDArray[np.float64]) -> bool:
    """Whether sorted positions are those of a volume: enough, and nearly all equally far apart."""
    if len(along) < _FEWEST:
        return False
    distances = np.diff(along)
    usual = float(np.median(distances))
    near = np.abs(distances - usual) <= _SAME_DISTANCE * usual
    return usual > 0 and float(near.mean()) >= _REGULAR


def _split_whole(
    indices: list[int],
    stated: Sequence[Mapping[str, float | str]],
    positions: NDArray[np.float64],
    name: str,
    thickness_mm: float | None,
) -> tuple[list[int], list[str]]:
    """The first of the volumes that ``name`` tells apart, and a note of the others.

    All ``indices`` and no note where the split is not complete.
    """
    values = {index: stated[index][name] for index in indices if name in stated[index]}
    if len(values) < len(indices):
        return indices, []
    cells = _cells(indices, positions, thickness_mm)
    first, *others = _whole(values, cells, name in _TURNS) or [indices]
    if name == WINDOW and others:  # a window does not say which comes first
        first, *others = sorted((first, *others), key=lambda part: _first_number(part, stated))
    spans: dict[float | str, int] = {_span(part, values): len(part) for part in others}
    return sorted(first), left_out(name, _span(first, values), spans)


def _cells(
    indices: Sequence[int], positions: NDArray[np.float64], thickness_mm: float | None
) -> dict[int, int]:
    """At which position each image lies, counted along the normal."""
    near = same_position([float(positions[i]) for i in indices], thickness_mm, _SAME_MM)
    cells: dict[int, int] = {}
    cell, start = -1, -np.inf
    for index in sorted(indices, key=lambda i: float(positions[i])):
        if positions[index] - start >= near:
            cell, start = cell + 1, positions[index]
        cells[index] = cell
    return cells


def _whole(
    values: Mapping[int, float | str], cells: Mapping[int, int], by_turns: bool
) -> list[list[int]]:
    """Volumes by their ``values``, each at nearly all positions and at each once; else none."""
    several = max(Counter(cells.values()).values(), default=0)
    positions = len(set(cells.values()))
    if several < 2 or positions < _FEWEST:
        return []
    ways: list[list[list[int]]] = [_by_value(values)]
    if by_turns:
        ways += _by_turns(values, cells)
    for parts in ways:
        fewest = min(len(part) for part in parts)
        once = all(len({cells[i] for i in part}) == len(part) for part in parts)
        if len(parts) == several and once and fewest >= _COMPLETE * positions:
            return parts
    return []


def _by_value(values: Mapping[int, float | str]) -> list[list[int]]:
    groups: dict[float | str, list[int]] = {}
    for index in _in_order(values):
        groups.setdefault(values[index], []).append(index)
    return list(groups.values())


def _by_turns(values: Mapping[int, float | str], cells: Mapping[int, int]) -> list[list[list[int]]]:
    """One volume after the other, or all volumes position by position; none where values repeat."""
    if len({(values[i], cells[i]) for i in values}) < len(values):
        return []
    order = _in_order(values)
    after: list[list[int]] = [[]]
    runs: list[list[int]] = [[]]
    for index in order:
        if cells[index] in {cells[i] for i in after[-1]}:
            after.append([])
        after[-1].append(index)
        if runs[-1] and cells[index] != cells[runs[-1][-1]]:
            runs.append([])
        runs[-1].append(index)
    ways = [after] if _are_apart(after, values) else []
    if len(runs) == len(set(cells.values())) and len({len(run) for run in runs}) == 1:
        ways.append([list(part) for part in zip(*runs, strict=True)])
    return ways


def _are_apart(parts: Sequence[Sequence[int]], values: Mapping[int, float | str]) -> bool:
    """Whether each begins with another value than the one before ends with."""
    return all(values[before[-1]] != values[after[0]] for before, after in pairwise(parts))


def _in_order(values: Mapping[int, float | str]) -> list[int]:
    return sorted(values, key=lambda index: (rank(values[index])[1:], index))


def _first_number(part: Sequence[int], stated: Sequence[Mapping[str, float | str]]) -> float:
    numbers = [stated[i].get(name) for i in part for name in ("instance number", "frame number")]
    return min((number for number in numbers if isinstance(number, float)), default=0.0)


def _span(part: Sequence[int], values: Mapping[int, float | str]) -> str:
    """The values of a volume, from the first to the last."""
    order = _in_order({index: values[index] for index in part})
    ends = dict.fromkeys(word(values[index]) for index in (order[0], order[-1]))
    return " to ".join(ends)


def _grouped(
    indices: Sequence[int], stated: Sequence[Mapping[str, float | str]], name: str
) -> dict[float | str, list[int]]:
    """Indices by the value of ``name``; images without it count as magnitude, or as not stated."""
    missing = MAGNITUDE if name == COMPONENT else ""
    groups: dict[float | str, list[int]] = {}
    for index in indices:
        groups.setdefault(stated[index].get(name, missing), []).append(index)
    return groups


class _Split(NamedTuple):
    indices: list[int]
    """Images of the volume to use."""
    elsewhere: list[tuple[list[int], str]]
    """Images of another volume, and what to note about them."""
    notes: list[str]


def _split(
    groups: Mapping[float | str, list[int]],
    positions: NDArray[np.float64],
    name: str,
    thickness_mm: float | None,
) -> _Split:
    main = _main(groups, positions)
    distances = np.diff(np.unique(positions[groups[main]]))
    near = _NEAR * (usual_distance(distances) or thickness_mm or 1.0)
    used = list(groups[main])
    elsewhere: list[tuple[list[int], str]] = []
    others: dict[float | str, int] = {}
    apart: list[float | str] = []
    for value, indices in groups.items():
        if value == main:
            continue
        if _overlap(positions[indices], positions[groups[main]], near) >= _OVERLAP:
            others[value] = len(indices)
        elif name == COMPONENT:
            elsewhere.append((indices, ""))
        elif _is_contrast(name, value, main, min(len(indices), len(groups[main]))):
            apart.append(value)
            elsewhere.append((indices, _own_volumes(name, value, [main])))
        else:  # a part of the same volume, acquired by itself
            used += indices
    notes = left_out(name, main, others)
    if apart:
        notes.append(_own_volumes(name, main, apart))
    return _Split(sorted(used), elsewhere, notes)


def _is_contrast(name: str, value: float | str, main: float | str, count: int) -> bool:
    """Whether images that state ``value`` cannot be of the volume of those that state ``main``."""
    if name == IMAGE_TYPE and bool(words(value) & NO_SLICES) != bool(words(main) & NO_SLICES):
        return True
    if name in _SOFT or count < _FEWEST:
        return False
    if isinstance(value, float) and isinstance(main, float):
        return abs(value - main) > _OTHER * max(abs(value), abs(main))
    return name == AGENT or "" not in (value, main)


def _own_volumes(name: str, value: float | str, others: Sequence[float | str]) -> str:
    return (
        f"within one series, slices with {name} {word(value)} and with {name} {listed(others)} "
        "lie at different positions; each set is a separate volume"
    )


def _main(groups: Mapping[float | str, list[int]], positions: NDArray[np.float64]) -> float | str:
    """The value of the group to use: complete, of a usual contrast, the first by its value."""
    filled = {value: len(np.unique(np.round(positions[i], 3))) for value, i in groups.items()}
    fullest = max(filled.values())
    if MAGNITUDE in groups:
        return MAGNITUDE
    complete = [value for value, count in filled.items() if count >= _COMPLETE * fullest]
    return min(complete, key=rank)


def _overlap(positions: NDArray[np.float64], others: NDArray[np.float64], near: float) -> float:
    """The part of ``positions`` that lie within ``near`` of one of ``others``."""
    known = np.sort(others)
    right = np.searchsorted(known, positions).clip(0, len(known) - 1)
    left = (right - 1).clip(0)
    distance = np.minimum(np.abs(known[right] - positions), np.abs(known[left] - positions))
    return float((distance <= near).mean())


def _odd_component(component: float | str | None) -> list[str]:
    if component is None or component == MAGNITUDE:
        return []
    return [f"these are {component} images; there are no magnitude images at their positions"]


def same_position(along: Sequence[float], thickness_mm: float | None, least_mm: float) -> float:
    """Distance in millimetres below which two slices are at one position: ``least_mm`` or more.

    Rounding may shift volumes against each other: a tenth of a slice is allowed, or of the wider
    distances where slices are nearer to each other than they are thick.
    """
    distances = np.diff(np.sort(np.asarray(along, dtype=np.float64)))
    if not len(distances) or thickness_mm is None:
        return least_mm
    return max(least_mm, _NEAR * min(float(np.quantile(distances, 0.9)), thickness_mm))

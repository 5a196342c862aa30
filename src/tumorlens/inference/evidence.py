"""Putting evidence together: of several series, and position by position where they are parallel.

Log-odds of a tumour are averaged with weights. Of parallel series they are first resampled to the
positions of one of them, by where the middles of the slices are in the patient: what one series
sees is weighed against what the others see at that place. A series that has nothing there does not
count there.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.inference.aggregation import aggregate
from tumorlens.labels import BRAIN_TUMORS, ClassSet

Floats = NDArray[np.float64]
_TINY: Final = 1e-6
"""Probabilities are kept so far from 0 and 1: no series may decide alone by an extreme one."""
_PARALLEL: Final = 0.87
"""Cosine between the normals of parallel series: 30 degrees."""
_OVERLAP: Final = 0.5
"""Part of the shorter series that must lie beside the other."""


class Stack(NamedTuple):
    """The slices of a series that count, in their order; at least two."""

    centers_mm: Floats
    """(D, 3): the middles of the slices in the patient."""
    table: Floats
    """(D, C): probabilities."""
    frame_of_reference: str | None
    """Positions of series with different ones cannot be compared."""

    @property
    def normal(self) -> Floats:
        """(3,): from the first slice to the last, of length 1."""
        way = self.centers_mm[-1] - self.centers_mm[0]
        unit: Floats = way / max(float(np.linalg.norm(way)), _TINY)
        return unit


def fuse(
    rows: Sequence[Floats], weights: Sequence[float], classes: ClassSet = BRAIN_TUMORS
) -> Floats:
    """Probabilities (C,) out of those of several series (C,) each.

    Their weighted mean where no class means "no finding". Raises ``ValueError`` where no weight is
    above 0.
    """
    table, share = np.stack(rows), np.asarray(weights, dtype=np.float64)
    if not share.sum() > 0:
        raise ValueError("no series has a weight")
    share = share / share.sum()
    place = classes.no_finding_index
    if place is None:
        mean: Floats = share @ table
        return mean
    odds = float(share @ _odds(table, place))
    kinds = table.copy()
    kinds[:, place] = 0.0
    # Who sees more of a tumour says more of its kind.
    (joined,) = _with_odds((share @ kinds)[np.newaxis], np.array([odds]), place)
    fused: Floats = joined
    return fused


def _odds(table: Floats, place: int) -> Floats:
    """Log-odds (N,) of a finding, of probabilities (N, C)."""
    none = np.clip(table[:, place], _TINY, 1.0 - _TINY)
    return np.log((1.0 - none) / none)


def _with_odds(kinds: Floats, odds: Floats, place: int) -> Floats:
    """Probabilities (N, C) from shares of the kinds (N, C), 0 at ``place``, and log-odds (N,)."""
    found = 1.0 / (1.0 + np.exp(-odds))
    table: Floats = kinds * (found / np.maximum(kinds.sum(axis=1), _TINY**2))[:, np.newaxis]
    table[:, place] = 1.0 - table.sum(axis=1)
    return table


def parallel_groups(stacks: Sequence[Stack | None]) -> list[list[int]]:
    """Which of ``stacks`` lie beside each other; one that has no geometry is alone."""
    groups: list[list[int]] = []
    for place, stack in enumerate(stacks):
        for group in groups:
            first = stacks[group[0]]
            if stack is not None and first is not None and are_parallel(first, stack):
                group.append(place)
                break
        else:
            groups.append([place])
    return groups


def are_parallel(one: Stack, other: Stack) -> bool:
    """Whether two series show the same part of the head in about the same plane."""
    frames = {one.frame_of_reference, other.frame_of_reference} - {None}
    if len(frames) > 1 or abs(float(one.normal @ other.normal)) < _PARALLEL:
        return False
    (low, high), (below, above) = (
        (float(along.min()), float(along.max()))
        for along in (stack.centers_mm @ one.normal for stack in (one, other))
    )
    shared = min(high, above) - max(low, below)
    return shared >= _OVERLAP * min(high - low, above - below)


def fuse_positions(
    stacks: Sequence[Stack], weights: Sequence[float], classes: ClassSet = BRAIN_TUMORS
) -> Floats:
    """Probabilities (C,) of parallel series as one: fused at each position, then aggregated."""
    finest = max(stacks, key=lambda stack: len(stack.table))
    along = _positions(stacks, finest.normal)
    resampled = [_resampled(stack, along, finest.normal, classes) for stack in stacks]
    table = np.full((len(along), len(classes)), np.nan)
    for place in range(len(along)):
        present = [k for k, rows in enumerate(resampled) if not np.isnan(rows[place, 0])]
        rows = [resampled[k][place] for k in present]
        table[place] = fuse(rows, [weights[k] for k in present], classes)
    return aggregate(table, along, classes).probabilities


def _positions(stacks: Sequence[Stack], normal: Floats) -> Floats:
    """(N,): those of the stack with the most slices, and of others what lies beyond its ends."""
    of_each = sorted((stack.centers_mm @ normal for stack in stacks), key=len, reverse=True)
    along = np.sort(of_each[0])
    for other in of_each[1:]:
        beyond = other[(other < along[0]) | (other > along[-1])]
        along = np.sort(np.concatenate([along, beyond]))
    return along


def _resampled(stack: Stack, along: Floats, normal: Floats, classes: ClassSet) -> Floats:
    """Probabilities (N, C) at positions ``along`` (N,) on ``normal``; NaN beyond its slices."""
    own = stack.centers_mm @ normal
    order = np.argsort(own)
    own, table = own[order], stack.table[order]
    found = np.stack([np.interp(along, own, column) for column in table.T], axis=1)
    if (place := classes.no_finding_index) is not None:
        odds = np.interp(along, own, _odds(table, place))
        found[:, place] = 0.0
        found = _with_odds(found, odds, place)
    half = float(np.median(np.diff(own))) / 2
    found[(along < own[0] - half) | (along > own[-1] + half)] = np.nan
    return found

"""Combine the probabilities of several series, position by position if they are parallel.

The weighted mean of the log-odds of a tumour is taken. Parallel series are first resampled to
common positions, computed from the centres of their slices in the patient, and combined at each
position. A series without a slice at a position does not count there.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.inference.aggregation import aggregate
from tumorlens.labels import BRAIN_TUMORS, ClassSet

Floats = NDArray[np.float64]
_TINY: Final = 1e-6
"""Smallest distance of probabilities from 0 and 1, so that no series decides alone."""
_PARALLEL: Final = 0.87
"""Cosine between the normals of parallel series: 30 degrees."""
_OVERLAP: Final = 0.5
"""Share of the shorter series that must overlap with the other."""


class Stack(NamedTuple):
    """The counted slices of a series, in order; at least two."""

    centers_mm: Floats
    """(D, 3): the centres of the slices in the patient."""
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
    """Combine the probabilities (C,) of several series.

    If no class means "no finding", this is their weighted mean. Raises ``ValueError`` if no weight
    is above 0.
    """
    table, share = np.stack(rows), np.asarray(weights, dtype=np.float64)
    if not share.sum() > 0:
        raise ValueError("no series has a weight")
    share = share / share.sum()
    none = classes.no_finding_index
    if none is None:
        mean: Floats = share @ table
        return mean
    odds = float(share @ _odds(table, none))
    kinds = table.copy()
    kinds[:, none] = 0.0
    # A series with a higher tumour probability counts more for the kind.
    (joined,) = _with_odds((share @ kinds)[np.newaxis], np.array([odds]), none)
    fused: Floats = joined
    return fused


def _odds(table: Floats, none: int) -> Floats:
    """Log-odds (N,) of a finding, from probabilities (N, C); ``none`` is "no finding"."""
    clipped = np.clip(table[:, none], _TINY, 1.0 - _TINY)
    return np.log((1.0 - clipped) / clipped)


def _with_odds(kinds: Floats, odds: Floats, none: int) -> Floats:
    """Probabilities (N, C) from shares of the kinds (N, C), 0 at ``none``, and log-odds (N,)."""
    finding = 1.0 / (1.0 + np.exp(-odds))
    table: Floats = kinds * (finding / np.maximum(kinds.sum(axis=1), _TINY**2))[:, np.newaxis]
    table[:, none] = 1.0 - table.sum(axis=1)
    return table


def parallel_groups(series: Sequence[Stack | None]) -> list[list[int]]:
    """Indices of parallel ``series``; one without geometry is a group of its own."""
    groups: list[list[int]] = []
    for index, stack in enumerate(series):
        for group in groups:
            first = series[group[0]]
            if stack is not None and first is not None and are_parallel(first, stack):
                group.append(index)
                break
        else:
            groups.append([index])
    return groups


def are_parallel(stack: Stack, other: Stack) -> bool:
    """Whether two series show the same part of the head in about the same plane."""
    frames = {stack.frame_of_reference, other.frame_of_reference} - {None}
    if len(frames) > 1 or abs(float(stack.normal @ other.normal)) < _PARALLEL:
        return False
    (low, high), (below, above) = (
        (float(along.min()), float(along.max()))
        for along in (centers @ stack.normal for centers in (stack.centers_mm, other.centers_mm))
    )
    shared = min(high, above) - max(low, below)
    return shared >= _OVERLAP * min(high - low, above - below)


def fuse_positions(
    series: Sequence[Stack], weights: Sequence[float], classes: ClassSet = BRAIN_TUMORS
) -> Floats:
    """Probabilities (C,) of parallel series, combined at each position and then aggregated."""
    finest = max(series, key=lambda stack: len(stack.table))
    along = _positions(series, finest.normal)
    resampled = [_resampled(stack, along, finest.normal, classes) for stack in series]
    table = np.full((len(along), len(classes)), np.nan)
    for index in range(len(along)):
        present = [k for k, rows in enumerate(resampled) if not np.isnan(rows[index, 0])]
        rows = [resampled[k][index] for k in present]
        table[index] = fuse(rows, [weights[k] for k in present], classes)
    return aggregate(table, along, classes).probabilities


def _positions(series: Sequence[Stack], normal: Floats) -> Floats:
    """(N,): positions of the stack with most slices, and those of others beyond its ends."""
    of_each = sorted((stack.centers_mm @ normal for stack in series), key=len, reverse=True)
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
    resampled = np.stack([np.interp(along, own, column) for column in table.T], axis=1)
    if (none := classes.no_finding_index) is not None:
        odds = np.interp(along, own, _odds(table, none))
        resampled[:, none] = 0.0
        resampled = _with_odds(resampled, odds, none)
    half = float(np.median(np.diff(own))) / 2
    resampled[(along < own[0] - half) | (along > own[-1] + half)] = np.nan
    return resampled

"""Combine the answers for the slices of a volume into one, and find the slices of the finding.

1. Probabilities are smoothed along the slice axis with a triangular window in millimetres, because
   a real finding is visible in neighbouring slices.
2. The answer is the mean over the most suspicious run of neighbouring slices that span ``run_mm``:
   the run with the highest mean smoothed probability of a finding. So one odd slice does not make a
   finding, and many healthy slices do not hide a small tumour.
3. The finding consists of the slices around the run that reach a share of the largest smoothed
   probability in it; its middle is their centre of mass.

The rule was compared with maximum, mean of the most suspicious slices, noisy-or, share of slices
and other runs, on volumes composed of validation slices: ``python -m experiments.volumes``,
experiments/log.md.

If no class means "no finding", the most suspicious run is the one whose class is most probable.

Slices that do not count (blank, rejected, outside the brain: ``inference.brain_slices``) keep their
position.

The page implements the same rule (frontend/src/aggregation.ts); test vectors compare the two.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.labels import BRAIN_TUMORS, ClassSet

SMOOTHING_MM: Final = 7.5
"""Half the base of the triangular window."""
RUN_MM: Final = 15.0
"""Distance between the first and last slice of a run; a run has at least two slices."""
FINDING_SHARE: Final = 0.5
"""Share of the run's largest smoothed probability that a slice of the finding must reach."""
_TINY_MM: Final = 1e-6


class Aggregate(NamedTuple):
    """The answer for a volume."""

    probabilities: NDArray[np.float64]
    """(C,), in the order of the classes."""
    finding: tuple[int, int, int]
    """First, middle and last of the most suspicious slices, from 0."""


def aggregate(
    table: NDArray[np.float64],
    along_mm: NDArray[np.float64],
    classes: ClassSet = BRAIN_TUMORS,
    *,
    smoothing_mm: float = SMOOTHING_MM,
    run_mm: float = RUN_MM,
) -> Aggregate:
    """Combine probabilities (D, C); rows of slices without an answer are NaN.

    ``along_mm`` (D,) is the position of each slice on the normal. Raises ``ValueError`` if no slice
    has an answer.
    """
    answered = np.flatnonzero(~np.isnan(table).any(axis=1))
    if answered.size == 0:
        raise ValueError("no slice has an answer")
    smoothed = np.full(table.shape, np.nan)
    smoothed[answered] = smooth(table[answered], along_mm[answered], smoothing_mm)
    suspicion = classes.suspicion(smoothed)
    run = answered[strongest_run(suspicion[answered], along_mm[answered], run_mm)]
    probabilities = smoothed[run].mean(axis=0)
    peak = int(run[np.argmax(suspicion[run])])
    finding = find_run(suspicion, along_mm, FINDING_SHARE, peak)
    return Aggregate(probabilities, finding)


def strongest_run(
    suspicion: NDArray[np.float64], along_mm: NDArray[np.float64], run_mm: float
) -> NDArray[np.int64]:
    """Indices of the neighbouring slices with the highest mean ``suspicion`` (D,).

    The number of slices that span ``run_mm`` is computed from their median distance.
    """
    apart = float(np.median(np.abs(np.diff(along_mm)))) if len(along_mm) > 1 else 0.0
    further = (
        len(suspicion) if apart * len(suspicion) < run_mm else round(run_mm / max(apart, _TINY_MM))
    )
    count = min(max(2, 1 + further), len(suspicion))
    means = np.lib.stride_tricks.sliding_window_view(suspicion, count).mean(axis=1)
    return np.arange(count) + int(np.argmax(means))


def smooth(
    table: NDArray[np.float64], along_mm: NDArray[np.float64], radius_mm: float
) -> NDArray[np.float64]:
    """Average (D, C) with weights that fall linearly to 0 at ``radius_mm``; rows still sum to 1."""
    if radius_mm <= 0:
        return table
    apart = np.abs(np.subtract.outer(along_mm, along_mm))
    weights = np.clip(1.0 - np.minimum(apart, radius_mm) / radius_mm, 0.0, None)
    averaged: NDArray[np.float64] = weights @ table / weights.sum(axis=1, keepdims=True)
    return averaged


def find_run(
    strength: NDArray[np.float64], along_mm: NDArray[np.float64], share: float, peak: int
) -> tuple[int, int, int]:
    """First, middle and last of the slices around ``peak`` that reach ``share`` of its strength.

    A slice without an answer (NaN) inside the run does not end it.
    """
    within = np.isnan(strength) | (strength >= share * strength[peak])
    first = last = peak
    for slot in range(peak, -1, -1):
        if not within[slot]:
            break
        first = slot if not np.isnan(strength[slot]) else first
    for slot in range(peak, len(strength)):
        if not within[slot]:
            break
        last = slot if not np.isnan(strength[slot]) else last
    mass = np.nan_to_num(strength[first : last + 1])
    center = float(mass @ along_mm[first : last + 1] / mass.sum())
    distance = np.abs(along_mm[first : last + 1] - center)
    distance[np.isnan(strength[first : last + 1])] = np.inf
    return first, first + int(np.argmin(distance)), last

"""What is odd about the distances between the slices of a stack: gaps, and missing slices."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_GAP_RATIO: Final = 1.5
"""A distance this many times the usual one is a gap."""
_FEWEST_UNEVEN: Final = 4
"""Fewest distances of which a quarter may be less than the usual one."""
_LARGER: Final = 1.2
"""The usual distance is this many times that of a quarter of the slices where gaps are usual."""
_MAX_GAPS_NOTED: Final = 10
_SPARSE_RATIO: Final = 1.9
"""A usual distance this many times the slice thickness looks as if slices were missing: it doubles
where every second slice of a series without gaps is missing."""


def spacing_notes(distances: NDArray[np.float64], thickness_mm: float | None) -> list[str]:
    """Notes on the distances (N - 1,) of N slices in order, in millimetres."""
    usual = usual_distance(distances)
    return [
        *_gaps(distances, usual),
        *_uneven(distances, usual),
        *_sparse(usual, thickness_mm),
    ]


def usual_distance(distances: NDArray[np.float64]) -> float | None:
    """The median; None without any."""
    return float(np.median(distances)) if len(distances) else None


def _gaps(distances: NDArray[np.float64], usual: float | None) -> list[str]:
    if not usual:
        return []
    wide = np.flatnonzero(distances > _GAP_RATIO * usual)
    notes = [
        f"gap of {distances[index]:.1f} mm between slices {index + 1} and {index + 2}, "
        f"counted from 1: about {max(1, round(float(distances[index]) / usual) - 1)} missing"
        for index in wide[:_MAX_GAPS_NOTED]
    ]
    more = len(wide) - len(notes)
    return [*notes, f"{more} more gaps"] if more else notes


def _uneven(distances: NDArray[np.float64], usual: float | None) -> list[str]:
    """A note where half of the distances are gaps, so that the usual one is none of the others."""
    if usual is None or len(distances) < _FEWEST_UNEVEN:
        return []
    near, far = (float(quartile) for quartile in np.quantile(distances, (0.25, 0.75)))
    if not near * _LARGER < usual or not near * _GAP_RATIO < far:
        return []
    return [f"slices are {near:.1f} mm apart here and {far:.1f} mm there: some may be missing"]


def _sparse(usual: float | None, thickness: float | None) -> list[str]:
    if usual is None or not thickness or usual <= _SPARSE_RATIO * thickness:
        return []
    return [f"slices are {usual:.1f} mm apart but {thickness:.1f} mm thick: some may be missing"]

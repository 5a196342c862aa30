"""What is odd about the distances between slices: gaps, missing slices, rounded positions."""

from collections.abc import Sequence
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
ROUNDED: Final = (
    "positions of the slices are rounded to whole millimetres; they are placed evenly, in the "
    "order of InstanceNumber"
)
_FEWEST_ROUNDED: Final = 5
"""Fewer slices may have whole positions by chance."""
_WHOLE_MM: Final = 0.01
"""Up to so far from a whole number of millimetres, a position is one."""
_MOST_ROUNDED_MM: Final = 0.65
"""How far rounding moves a slice at most, and a little more as the line is fitted."""
_SAME_DISTANCE: Final = 0.1
"""Relative difference of the distance by the positions from the stated one."""


def placed_evenly(
    along_mm: Sequence[float], numbers: Sequence[float | None], thickness_mm: float | None
) -> list[float] | None:
    """Positions (N,) before they were rounded to whole millimetres; None where they are not.

    Then several slices may share one, or all others seem to be missing. ``numbers`` (N,) order the
    slices; their distance must be ``thickness_mm``, and no whole one.
    """
    known = [number for number in numbers if number is not None]
    along = np.asarray(along_mm, dtype=np.float64)
    if thickness_mm is None or not _FEWEST_ROUNDED <= len(along) == len(set(known)):
        return None
    is_whole = abs(thickness_mm - round(thickness_mm)) <= _WHOLE_MM
    if is_whole or np.ptp(np.diff(np.sort(along))) <= _WHOLE_MM:
        return None
    if np.abs(along - np.rint(along)).max() > _WHOLE_MM:
        return None
    ranks = np.argsort(np.argsort(known)).astype(np.float64)
    slope, offset = np.polyfit(ranks, along, 1)
    even = offset + slope * ranks
    is_even = np.abs(even - along).max() <= _MOST_ROUNDED_MM
    is_stated = abs(abs(slope) - thickness_mm) <= _SAME_DISTANCE * thickness_mm
    return [float(position) for position in even] if is_even and is_stated else None


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

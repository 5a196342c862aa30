"""Make pixels square: the network has learned shapes, which unequal spacing would distort."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.imaging.limits import check_sides, check_volume

_EQUAL: Final = 1.01
"""Ratio of spacings up to which pixels count as square."""


def square_pixels(
    volume: NDArray[np.float32], spacing_mm: tuple[float, float], source: str
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Resample (D, H, W) so that rows and columns have the finer of the two spacings.

    Linear interpolation; the outer edges of the image stay where they were. Returns the volume
    and its new (row, column) spacing. Raises ``LimitExceededError`` where it grows too large.
    """
    rows_mm, columns_mm = spacing_mm
    if max(spacing_mm) <= _EQUAL * min(spacing_mm):
        return volume, spacing_mm
    axis = 1 if rows_mm > columns_mm else 2
    old = volume.shape[axis]
    new = max(1, round(old * max(spacing_mm) / min(spacing_mm)))
    shape = list(volume.shape)
    shape[axis] = new
    check_sides(shape[2], shape[1], source)
    check_volume(shape, source)
    square = max(spacing_mm) * old / new
    stretched = _stretch(volume, axis, new)
    return stretched, (square, columns_mm) if axis == 1 else (rows_mm, square)


def _stretch(volume: NDArray[np.float32], axis: int, new: int) -> NDArray[np.float32]:
    """Interpolate along one axis of (D, H, W), slice by slice."""
    old = volume.shape[axis]
    at = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    low = np.minimum(np.floor(at).astype(np.intp), max(0, old - 2))
    high = np.minimum(low + 1, old - 1)
    share = (at - low).astype(np.float32)
    shape = list(volume.shape)
    shape[axis] = new
    stretched = np.empty(shape, dtype=np.float32)
    weights = share[:, np.newaxis] if axis == 1 else share
    for index, plane in enumerate(volume):
        before, after = np.take(plane, low, axis - 1), np.take(plane, high, axis - 1)
        stretched[index] = before + (after - before) * weights
    return stretched

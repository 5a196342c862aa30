"""Make pixels square: the network has learned shapes, which unequal spacing would distort."""

from dataclasses import replace
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import LimitExceededError
from tumorlens.imaging.facts import AcquisitionFacts, SliceFacts
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.limits import check_sides, check_volume

_EQUAL: Final = 1.01
"""Ratio of spacings up to which pixels count as square."""
_OBLONG: Final = 1.1
"""Ratio of a pixel's sides from which a head looks stretched ..."""
_IMPLAUSIBLE: Final = 4.0
"""... and beyond which the file may be wrong."""


def with_square_pixels(
    image: MedicalImage, aspect: tuple[float, float] | None = None
) -> MedicalImage:
    """``image`` with ``square_pixels`` and a note; itself where its pixels look square.

    ``aspect`` is height and width of a pixel as a ratio, if no millimetres are stated. An image
    that would become too large, or of implausible pixels, only gets a note.
    """
    spacing = image.pixel_spacing_mm or aspect
    if spacing is None or max(spacing) < _OBLONG * min(spacing):
        return image
    size = f"aspect {spacing[0]:g}:{spacing[1]:g}"
    if image.pixel_spacing_mm:
        size = f"{spacing[0]:g} x {spacing[1]:g} mm"
    words = f"pixels of {size} are not square"
    only_noted = image.remarked(f"{words}: the head looks stretched")
    if max(spacing) > _IMPLAUSIBLE * min(spacing):
        return only_noted
    pixels = image.pixels if image.is_volume else image.pixels[np.newaxis]
    try:
        square, new = square_pixels(pixels, spacing, image.source)
    except LimitExceededError:
        return only_noted
    return replace(
        image.remarked(f"{words}; the slices are resampled to square ones"),
        samples=square if image.is_volume else square[0],
        pixel_spacing_mm=new if image.pixel_spacing_mm else None,
        facts=_moved(image, np.subtract(new, spacing) / 2),
    )


def _moved(image: MedicalImage, by_mm: NDArray[np.float64]) -> AcquisitionFacts | None:
    """The facts with the first pixel of slices further down and along the row, (2,)."""
    facts = image.facts
    if facts is None or facts.row_direction is None or facts.column_direction is None:
        return facts
    if image.pixel_spacing_mm is None:
        return facts
    shift = by_mm @ np.array([facts.column_direction, facts.row_direction])
    moved = tuple(_shifted(slice_facts, shift) for slice_facts in facts.slices)
    return msgspec.structs.replace(facts, slices=moved)


def _shifted(slice_facts: SliceFacts, shift: NDArray[np.float64]) -> SliceFacts:
    if slice_facts.position_mm is None:
        return slice_facts
    x, y, z = (float(value) for value in np.asarray(slice_facts.position_mm) + shift)
    return msgspec.structs.replace(slice_facts, position_mm=(x, y, z))


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

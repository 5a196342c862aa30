"""Images that are already in memory, as a program hands them over."""

import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import BlankImageError, InputError
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.intensities import mended
from tumorlens.imaging.limits import check_sides, check_volume
from tumorlens.imaging.samples.gray import (
    Color,
    Samples,
    color_of,
    finite,
    gray_bytes,
    luma,
    without_value,
)
from tumorlens.imaging.samples.label_map import check_no_label_map

SOURCE = "<array>"


def from_array(pixels: NDArray[np.generic], source: str = SOURCE) -> MedicalImage:
    """Take (H, W) or (H, W, 1) gray or (H, W, 3) RGB of any boolean, integer or floating type.

    An (H, W, 3) uint8 array gives the same pixels as the same image in an RGB file. NaN,
    infinities and masked samples become the smallest other value. Raises ``InputError`` for any
    other shape or type, ``LimitExceededError`` and ``BlankImageError`` as files do.
    """
    pixels, bits = _numbers(pixels, source)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[2] == 3):
        raise InputError(f"{source}: shape {pixels.shape}; must be (H, W), or (H, W, 3) for RGB")
    check_sides(pixels.shape[1], pixels.shape[0], source)
    # Values beyond float32 become infinite here, and `finite` deals with those.
    with np.errstate(over="ignore", invalid="ignore"):
        mode = "array" if pixels.ndim == 2 else "array RGB"
        gray, color = _gray(pixels), color_of(pixels) if pixels.ndim == 3 else Color.GRAY
        image = MedicalImage(finite(gray, source), source, bits, mode, color=color)
        return mended(image.remarked(*without_value(gray)))


def volume_from_array(pixels: NDArray[np.generic], source: str = SOURCE) -> MedicalImage:
    """Take (D, H, W), D slices, of any boolean, integer or floating type; errors as above."""
    pixels, bits = _numbers(pixels, source)
    if pixels.ndim != 3:
        raise InputError(f"{source}: shape {pixels.shape}; must be (D, H, W) for a volume")
    check_sides(pixels.shape[2], pixels.shape[1], source)
    check_volume(pixels.shape, source)
    with np.errstate(over="ignore", invalid="ignore"):
        samples = finite(pixels.astype(np.float32), source)
    check_no_label_map(samples, source)
    return mended(MedicalImage(samples, source, bits, "array volume"))


def _numbers(pixels: NDArray[np.generic], source: str) -> tuple[NDArray[np.generic], int]:
    """The array, and the bits of a sample."""
    pixels = _without_masked(pixels, source)
    if pixels.dtype.kind not in "buif":
        raise InputError(f"{source}: samples of type {pixels.dtype}; they must be real numbers")
    return pixels, 1 if pixels.dtype.kind == "b" else pixels.dtype.itemsize * 8


def _without_masked(pixels: NDArray[np.generic], source: str) -> NDArray[np.generic]:
    """Masked samples become the smallest other one; below the mask, a fill value may lie."""
    if not isinstance(pixels, np.ma.MaskedArray):
        return np.asarray(pixels)
    if pixels.size and not pixels.count():
        raise BlankImageError(f"{source}: every pixel is masked")
    filled: NDArray[np.generic] = pixels.filled(pixels.min() if pixels.count() else None)
    return filled


def _gray(pixels: NDArray[np.generic]) -> Samples:
    """(H, W), never the caller's own memory."""
    if pixels.dtype == np.uint8:
        return gray_bytes(pixels) if pixels.ndim == 3 else pixels.astype(np.uint8)
    return luma(pixels) if pixels.ndim == 3 else pixels.astype(np.float32)

"""From colour or odd numbers to finite gray: the arithmetic shared by files and arrays."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import BlankImageError

# ITU-R BT.601, the weights JPEG itself uses: a gray JPEG stored as RGB gives back its luma.
LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)
LARGEST: Final = 1e30
"""Magnitudes beyond are fill values such as FLT_MAX or damage, never intensities."""
_STRIP_PIXELS: Final = 1 << 20


def luma(rgb: NDArray[np.generic]) -> NDArray[np.float32]:
    """Weigh the channels of (H, W, 3) to float32 (H, W), in the unit of ``rgb``.

    Integer samples give whole numbers, so that gray stored as RGB equals gray stored as gray.
    Works in strips of rows: a large picture never has a float copy of its three channels.
    """
    height, width, _ = rgb.shape
    whole = np.issubdtype(rgb.dtype, np.integer)
    gray = np.empty((height, width), dtype=np.float32)
    rows = max(1, _STRIP_PIXELS // max(1, width))
    for top in range(0, height, rows):
        strip = rgb[top : top + rows].astype(np.float32) @ LUMA
        gray[top : top + rows] = np.rint(strip) if whole else strip
    return gray


def finite(pixels: NDArray[np.float32], source: str) -> NDArray[np.float32]:
    """Replace NaN, infinities and magnitudes above ``LARGEST`` by the smallest usable value.

    Raises ``BlankImageError`` where no value is usable.
    """
    # Comparing is false for NaN, so one comparison finds all three.
    usable = np.abs(pixels) <= LARGEST
    if usable.all():
        return pixels
    if not usable.any():
        raise BlankImageError(f"{source}: no pixel has a finite value")
    return np.where(usable, pixels, pixels[usable].min()).astype(np.float32)

"""From colour or odd numbers to finite gray: the arithmetic shared by files and arrays."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import BlankImageError

# ITU-R BT.601 in thousandths, the weights JPEG itself uses: a gray JPEG stored as RGB gives back
# its luma. Whole numbers keep the sums exact, so every machine rounds them alike.
_THOUSANDTHS: Final = (299, 587, 114)
Samples = NDArray[np.float32] | NDArray[np.uint8]
LARGEST: Final = 1e30
"""Magnitudes beyond are fill values such as FLT_MAX or damage, never intensities."""
_STRIP_PIXELS: Final = 1 << 20
_LEAST_COLOR: Final = 0.125
"""Difference of the channels, as part of the brightest, from which a pixel has a colour."""
_COLORED: Final = 0.2
"""Part of the pixels that are not black from which an image is in colours."""
_VIVID_COLOR: Final = 0.4
"""Difference of the channels, as part of the pixel's brightest one, from which a pixel is vivid.
The tint of a photographed screen is paler."""
_MOSTLY_VIVID: Final = 0.5
"""Part of the pixels that are not black from which an image is vivid. It is at most 0.07 in each of
12,000 MR images."""
_LEAST_SHOWN: Final = 0.001
_LOOKED_AT: Final = 4096
"""Pixels of an image that are looked at to see whether it is in colours."""


class Color(IntEnum):
    """How much of an image that is not black has a colour."""

    GRAY = 0
    """No more than text on it would."""
    TINTED = 1
    VIVID = 2
    """Most of it has a strong colour, as no gray image has."""

    @classmethod
    def joint(cls, colors: Iterable["Color"]) -> "Color":
        """That of the images of one volume: ``VIVID``, which rejects it, only if all are."""
        found = set(colors) or {cls.GRAY}
        return cls.VIVID if found == {cls.VIVID} else min(max(found), cls.TINTED)


def gray_bytes(rgb: NDArray[np.generic]) -> NDArray[np.uint8]:
    """``luma`` of (H, W, 3) bytes, as bytes (H, W)."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return red.astype(np.uint8)
    return luma(rgb).astype(np.uint8)


def color_of(rgb: NDArray[np.generic]) -> Color:
    """How much of (..., 3), of any unit, has a colour."""
    rows = rgb.reshape(-1, *rgb.shape[-2:])
    step = max(1, int((rows.shape[0] * rows.shape[1] / _LOOKED_AT) ** 0.5))
    sample = rows[::step, ::step].astype(np.float32)
    brightest, darkest = sample.max(axis=2), sample.min(axis=2)
    least = _LEAST_COLOR * float(brightest.max())
    visible, difference = brightest > least, brightest - darkest
    not_black = int(visible.sum())
    vivid = int((visible & (difference >= _VIVID_COLOR * brightest)).sum())
    if not_black and vivid > _MOSTLY_VIVID * not_black:
        return Color.VIVID
    is_tinted = int((difference > least).sum()) > _COLORED * not_black
    return Color.TINTED if is_tinted else Color.GRAY


def luma(rgb: NDArray[np.generic]) -> NDArray[np.float32]:
    """Weigh the channels of (H, W, 3) to float32 (H, W), in the unit of ``rgb``.

    Integer samples give whole numbers, halves rounded up: gray stored as RGB equals gray stored as
    gray. Works in strips of rows: a large image never has a float copy of its three channels.
    """
    height, width, _ = rgb.shape
    gray = np.empty((height, width), dtype=np.float32)
    rows = max(1, _STRIP_PIXELS // max(1, width))
    for top in range(0, height, rows):
        gray[top : top + rows] = _weigh(rgb[top : top + rows])
    return gray


def _weigh(rgb: NDArray[np.generic]) -> NDArray[np.float32]:
    # 1000 * 255 and all sums below it are exact in float32; wider samples need float64.
    wide = np.dtype(np.float32 if rgb.dtype.itemsize == 1 else np.float64)
    thousandfold = rgb.astype(wide) @ np.array(_THOUSANDTHS, dtype=wide)
    if np.issubdtype(rgb.dtype, np.floating):
        gray = thousandfold / wide.type(1000)
    else:
        gray = np.floor((thousandfold + wide.type(500)) / wide.type(1000))
    return gray.astype(np.float32, copy=False)


@overload
def finite(pixels: NDArray[np.float32], source: str) -> NDArray[np.float32]: ...
@overload
def finite(pixels: Samples, source: str) -> Samples: ...
def finite(pixels: Samples, source: str) -> Samples:
    """Replace NaN, infinities and magnitudes above ``LARGEST`` by the smallest usable value.

    Raises ``BlankImageError`` where no value is usable.
    """
    if pixels.dtype == np.uint8:
        return pixels
    # Comparing is false for NaN, so one comparison finds all three.
    usable = np.abs(pixels) <= LARGEST
    if usable.all():
        return pixels
    if not usable.any():
        raise BlankImageError(f"{source}: no pixel has a finite value")
    return np.where(usable, pixels, pixels[usable].min()).astype(np.float32)


def without_value(pixels: Samples) -> list[str]:
    """A note where ``finite`` replaces samples: a hole in the head, or its brightest part."""
    if pixels.dtype == np.uint8:
        return []
    share = 1 - float((np.abs(pixels) <= LARGEST).mean())
    if not 0 < share < 1:
        return []
    part = f"{share:.1%}" if share >= _LEAST_SHOWN else f"less than {_LEAST_SHOWN:.1%}"
    return [f"{part} of the samples are not usable numbers and are treated as background"]

"""16-bit colour, of which Pillow keeps only the high byte of each sample.

Pillow has no such mode, but it reads either byte order. Read once in the file's order and once in
the other, the high bytes and then the low ones come out, and the two make whole samples again.
"""

import sys
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tumorlens.errors import UnsupportedFormatError

_NATIVE, _FOREIGN = ("L", "B") if sys.byteorder == "little" else ("B", "L")
_OTHER_ORDER: Final = {"B": "L", "L": "B", "N": _FOREIGN}
_FAMILIES: Final = frozenset({"RGB", "RGBX", "RGBA", "RGBa", "LA"})
_BITS_PER_SAMPLE: Final = 258
_PLANAR_CONFIGURATION: Final = 284
_SEPARATE: Final = 2

Opener = Callable[[], Image.Image]
"""Opens the image anew, undecoded."""
Loader = Callable[[Image.Image], Image.Image]
"""Decodes and turns it upright."""


def is_deep(image: Image.Image) -> bool:
    """Whether ``image``, not decoded yet, stores 16-bit colour or 16-bit gray with alpha."""
    family, _, depth = layout_of(image).partition(";")
    return (depth.startswith("16") and family in _FAMILIES) or _is_planar(image)


def decode(open_: Opener, load: Loader, source: str) -> NDArray[np.uint16]:
    """Return (H, W, 3) RGB, or (H, W, 4) with alpha, 0 to 65535.

    Premultiplied alpha is dropped: such colours are already laid over black. Raises
    ``UnsupportedFormatError`` for TIFF that stores the channels one after the other.
    """
    with open_() as image:
        layout = layout_of(image)
        if _is_planar(image):
            raise UnsupportedFormatError(
                f"{source}: 16-bit colour in separate planes; save it as gray, or interleaved"
            )
        if layout.startswith("LA"):
            return _gray_and_alpha(np.asarray(load(_relaid(image, "RGBA"))))
        order = layout[-1]
        straight = layout.replace("RGBa", "RGBA")
        high = np.asarray(load(_relaid(image, straight)))
    with open_() as image:
        low = np.asarray(load(_relaid(image, straight[:-1] + _OTHER_ORDER[order])))
    samples = _join(high, low)
    return samples[..., :3] if layout.startswith("RGBa") else samples


def _is_planar(image: Image.Image) -> bool:
    """Whether 16-bit channels lie one after the other, which Pillow reads as 8-bit noise."""
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(_BITS_PER_SAMPLE, ())
    return tags.get(_PLANAR_CONFIGURATION) == _SEPARATE and len(bits) > 1 and max(bits) > 8


def layout_of(image: Image.Image) -> str:
    """Pillow's "raw mode" of the stored samples: ``RGB;16B``."""
    tiles = getattr(image, "tile", None)
    if not tiles:
        return ""
    args = tiles[0].args
    return str(args if isinstance(args, str) else args[0]) if args else ""


def _relaid(image: Image.Image, layout: str) -> Image.Image:
    """Have ``image`` decoded as ``layout``."""
    tiles = getattr(image, "tile")  # noqa: B009  (only file images have it)
    for index, tile in enumerate(tiles):
        args = layout if isinstance(tile.args, str) else (layout, *tile.args[1:])
        tiles[index] = tile._replace(args=args)
    return image


def _gray_and_alpha(quads: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Four bytes a pixel are gray high, gray low, alpha high, alpha low."""
    pairs = _join(quads[..., ::2], quads[..., 1::2])
    return pairs[..., [0, 0, 0, 1]]


def _join(high: NDArray[np.uint8], low: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return high.astype(np.uint16) * np.uint16(256) + low

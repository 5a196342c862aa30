"""Samples of TIFF files that Pillow does not read, or reads in the wrong byte order."""

import io
from typing import Final

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

_BIG_TIFF: Final = 43
_BITS_PER_SAMPLE: Final = 258
_SAMPLE_FORMAT: Final = 339
_UNSIGNED: Final = 1
_FORMATS: Final = {1: "uint", 2: "int", 3: "float"}
_READ: Final = frozenset(
    {(1, 1), (2, 1), (4, 1), (8, 1), (8, 2), (16, 1), (16, 2), (32, 2), (32, 3)}
)
"""Bits and format of the samples that are read, in either byte order."""
_LIBTIFF: Final = "libtiff"
_NATIVE: Final = {
    "F;32BF": "F;32NF", "I;32BS": "I;32NS", "I;32B": "I;32N", "I;16BS": "I;16NS",
}  # fmt: skip


def unread_samples(data: bytes) -> str:
    """The type of samples that are not read, such as ``float64``; empty where that is not it.

    Of damaged bytes nothing is said.
    """
    try:
        bits, sample_format = _samples(data)
    except Exception:  # damage, for which Pillow raises nearly anything
        return ""
    if (bits, sample_format) in _READ or sample_format not in _FORMATS or not isinstance(bits, int):
        return ""
    return f"{_FORMATS[sample_format]}{bits}"


def _samples(data: bytes) -> tuple[int, int]:
    """Bits and format of the first sample of a pixel."""
    stream = io.BytesIO(data)
    start = stream.read(8)
    if start[2] == _BIG_TIFF or start[3] == _BIG_TIFF:
        start += stream.read(8)
    directory = ImageFileDirectory_v2(start)
    stream.seek(directory.next)
    directory.load(stream)
    return directory[_BITS_PER_SAMPLE][0], directory.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0]


def expect_native_order(picture: Image.Image) -> None:
    """Have compressed wide samples taken as libtiff gives them: in this machine's byte order.

    Pillow takes them in the file's order, and big-endian files turn into noise.
    """
    tiles = getattr(picture, "tile", [])
    for index, tile in enumerate(tiles):
        if tile.codec_name == _LIBTIFF and tile.args[0] in _NATIVE:
            tiles[index] = tile._replace(args=(_NATIVE[tile.args[0]], *tile.args[1:]))

"""TIFF beyond Pillow: samples that it does not read or reads in the wrong byte order, and pages."""

import io
import json
import math
import re
from collections.abc import Sequence
from typing import Any, Final

from PIL import Image
from PIL.TiffImagePlugin import COMPRESSION_INFO, ImageFileDirectory_v2

from tumorlens.errors import UnsupportedFormatError

_BIG_TIFF: Final = 43
BIG_ENDIAN_BIG_TIFF: Final = b"MM\0+"
_BITS_PER_SAMPLE: Final = 258
_SAMPLE_FORMAT: Final = 339
_UNSIGNED: Final = 1
_FORMATS: Final = {1: "uint", 2: "int", 3: "float"}
_READ: Final = frozenset(
    {(1, 1), (2, 1), (4, 1), (8, 1), (8, 2), (16, 1), (16, 2), (32, 2), (32, 3)}
)
"""Bits and format of the samples that are read, in either byte order."""
_READ_COLORS: Final = frozenset({(8, 1), (16, 1)})
"""The same of several samples a pixel."""
_IMAGE_DEPTH: Final = 32997
_COMPRESSION: Final = 259
_PHOTOMETRIC: Final = 262
_GRAY: Final = (0, 1)
"""White or black is zero."""
_UNREAD: Final = {
    6: "old-style JPEG", 9: "JBIG", 10: "JBIG", 22610: "JPEG XR", 32909: "PixarLog",
    33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 34661: "JBIG", 34676: "SGI LogLuv",
    34677: "SGI LogLuv", 34712: "JPEG 2000", 34887: "LERC", 34892: "the lossy JPEG of DNG",
    34933: "PNG", 34934: "JPEG XR", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
"""Compressions that Pillow does not read; those of its list may be missing in its libtiff."""
_DESCRIPTION: Final = 270
_SAMPLES_PER_PIXEL: Final = 277
_LONGEST_DESCRIPTION: Final = 1 << 20
_IMAGEJ: Final = "ImageJ="
_IMAGEJ_AXES: Final = (("T", "frames"), ("Z", "slices"), ("C", "channels"))
"""Slowest first, as ImageJ orders the pages of a hyperstack."""
_NO_PAGES: Final = frozenset("YXS")
_PIXELS: Final = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")
_ATTRIBUTE: Final = re.compile(r'\b(DimensionOrder|Size[CTZ])="(\w+)"')
_LIBTIFF: Final = "libtiff"
_NATIVE: Final = {
    "F;32BF": "F;32NF", "I;32BS": "I;32NS", "I;32B": "I;32N", "I;16BS": "I;16NS",
}  # fmt: skip


def unread_compression(data: bytes, error: Exception) -> str:
    """The compression for which Pillow raised ``error``; empty for another reason, or damage."""
    try:
        # Of a page behind the first, Pillow raises a KeyError with the number.
        of_page = isinstance(error, KeyError)
        number = error.args[0] if of_page else _first_directory(data)[_COMPRESSION]
    except Exception:  # damage, for which Pillow raises nearly anything
        return ""
    if number in COMPRESSION_INFO or not isinstance(number, int):
        return _UNREAD.get(number, "")
    return _UNREAD.get(number, f"scheme {number}")


def unread_samples(data: bytes) -> str:
    """The type of samples that are not read, such as ``float64``; empty where they are read.

    Of several samples a pixel their number comes first. Empty for damaged bytes too.
    """
    try:
        directory = _first_directory(data)
        count = int(directory.get(_SAMPLES_PER_PIXEL, 1))
        bits = directory[_BITS_PER_SAMPLE][0]
        sample_format = directory.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0]
    except Exception:  # as above
        return ""
    if sample_format not in _FORMATS or not isinstance(bits, int):
        return ""
    is_color = directory.get(_PHOTOMETRIC) not in _GRAY
    read = _READ if count == 1 else _READ_COLORS if is_color else frozenset()
    if (bits, sample_format) in read:
        return ""
    several = f"{count} x " if count > 1 else ""
    return f"{several}{_FORMATS[sample_format]}{bits}"


def _first_directory(data: bytes) -> ImageFileDirectory_v2:
    stream = io.BytesIO(data)
    start = stream.read(8)
    if start[2] == _BIG_TIFF or start[3] == _BIG_TIFF:
        start += stream.read(8)
    directory = ImageFileDirectory_v2(start)
    stream.seek(directory.next)
    directory.load(stream)
    return directory


def check_depth(image: Image.Image, source: str) -> None:
    """Raise ``UnsupportedFormatError`` where a page is a volume, whose first slice Pillow reads."""
    depth = getattr(image, "tag_v2", {}).get(_IMAGE_DEPTH, 1)
    if depth != 1:
        raise UnsupportedFormatError(
            f"{source}: a page of {depth} slices is not supported; save each slice as a page"
        )


def expect_native_order(image: Image.Image) -> None:
    """Have compressed wide samples taken as libtiff gives them: in this machine's byte order.

    Pillow takes them in the file's order, and big-endian files turn into noise.
    """
    tiles = getattr(image, "tile", [])
    for index, tile in enumerate(tiles):
        if tile.codec_name == _LIBTIFF and tile.args[0] in _NATIVE:
            tiles[index] = tile._replace(args=(_NATIVE[tile.args[0]], *tile.args[1:]))


Axes = list[tuple[str, int]]
"""Letters and lengths of the axes along which pages lie, the slowest first."""


def first_volume(image: Image.Image, pages: Sequence[int], source: str) -> tuple[list[int], str]:
    """Those of ``pages`` that are one volume, and a note on the others.

    ImageJ, OME and tifffile state what the pages are. Channels and time points lie between the
    slices, and together they are no volume. Raises ``UnsupportedFormatError`` where one page stands
    for a stack behind it, as ImageJ writes large ones.
    """
    tags = getattr(image, "tag_v2", {})
    description = str(tags.get(_DESCRIPTION, ""))[:_LONGEST_DESCRIPTION]
    try:
        axes = _axes(description, int(tags.get(_SAMPLES_PER_PIXEL, 1)))
    except (AttributeError, KeyError, TypeError, ValueError):  # a remark of another program
        return list(pages), ""
    stated = math.prod(size for _, size in axes)
    if stated > len(pages):
        return list(pages), _incomplete(description, stated, len(pages), source)
    others = [axis for axis, (letter, _) in enumerate(axes) if letter != "Z"]
    volumes = math.prod(axes[axis][1] for axis in others)
    if stated != len(pages) or volumes == 1:
        return list(pages), ""
    if dict(axes).get("Z", 1) == 1:  # so programs without a third axis name slices
        return list(pages), f"the {volumes} images are channels or time points; read as slices"
    first = [page for index, page in enumerate(pages) if not any(_coordinates(axes, index, others))]
    return first, f"the first of {volumes} volumes is read"


def _coordinates(axes: Axes, index: int, wanted: Sequence[int]) -> list[int]:
    """Where page ``index`` lies along those axes, from 0."""
    steps = [math.prod(size for _, size in axes[axis + 1 :]) for axis in wanted]
    return [index // step % axes[axis][1] for axis, step in zip(wanted, steps, strict=True)]


def _incomplete(description: str, stated: int, listed: int, source: str) -> str:
    if listed == 1 and not _PIXELS.search(description):
        raise UnsupportedFormatError(
            f"{source}: states a stack of {stated} images, but lists only one; save it as NIfTI "
            "or as a TIFF that lists each page"
        )
    return f"the file states {stated} images; {listed} of them are in it"


def _axes(description: str, samples: int) -> Axes:
    """As the description states them; none where another program wrote it."""
    if description.startswith(_IMAGEJ):
        pairs = (line.split("=", 1) for line in description.splitlines() if "=" in line)
        fields = {name.strip(): value.strip() for name, value in pairs}
        known = [(letter, int(fields.get(name, 1))) for letter, name in _IMAGEJ_AXES]
        images = int(fields.get("images", 1))
        return known if math.prod(size for _, size in known) == images else [("Z", images)]
    if pixels := _PIXELS.search(description):
        stated = dict(_ATTRIBUTE.findall(pixels.group()))
        names = reversed(stated["DimensionOrder"][2:])
        axes = [(name, int(stated[f"Size{name}"])) for name in names]
        # The channels of colour are the samples of a page.
        return [(name, size) for name, size in axes if name != "C" or samples == 1]
    if description.startswith("{"):
        return _shaped(json.loads(description))
    return []


def _shaped(stated: Any) -> Axes:
    """What tifffile writes: ``{"shape": [24, 2, 256, 256], "axes": "ZCYX"}``."""
    shape = [int(size) for size in stated["shape"]]
    names = str(stated.get("axes", ""))
    if len(names) != len(shape):
        return []
    return [(name, size) for name, size in zip(names, shape, strict=True) if name not in _NO_PAGES]

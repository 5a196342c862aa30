"""The header of an NRRD file: lines of text up to an empty one, then what its axes mean.

Format: teem.sourceforge.net/nrrd/format.html, whose sections are named here. Names of fields are
compared without case and spaces, as both spellings of several are allowed.
"""

import math
import re
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from tumorlens.errors import CorruptInputError, LimitExceededError, UnsupportedFormatError
from tumorlens.imaging.limits import MAX_HEADER_BYTES
from tumorlens.imaging.volumes.stored import check_first_axis
from tumorlens.text import clean

MOST_LINES: Final = 20_000
"""Lines of text are cheap to write and slow to read; scanners' remarks are some hundred."""
_MOST_AXES: Final = 16
"""NRRD_DIM_MAX of the library that defines the format."""
_LONGEST: Final = 4096
"""Characters of a field that are looked at: enough for three numbers of each axis."""
_SPELLINGS: Final = {
    "i1": "signed char,int8,int8_t",
    "u1": "uchar,unsigned char,uint8,uint8_t",
    "i2": "short,short int,signed short,signed short int,int16,int16_t",
    "u2": "ushort,unsigned short,unsigned short int,uint16,uint16_t",
    "i4": "int,signed int,int32,int32_t",
    "u4": "uint,unsigned int,uint32,uint32_t",
    "i8": "longlong,long long,long long int,signed long long,signed long long int,int64,int64_t",
    "u8": "ulonglong,unsigned long long,unsigned long long int,uint64,uint64_t",
    "f4": "float",
    "f8": "double",
}
_TYPES: Final = {name: code for code, names in _SPELLINGS.items() for name in names.split(",")}
_ORDERS: Final[dict[str, Literal["<", ">"]]] = {"little": "<", "big": ">"}
_VECTOR: Final = re.compile(r"none|\(([^()]*)\)", re.IGNORECASE)
_SPATIAL: Final = frozenset({"", "domain", "space"})
_COLORS: Final = {
    "rgb-color": 3, "3-color": 3, "rgba-color": 4, "4-color": 4, "vector": 3, "3-vector": 3, "": 3,
}  # fmt: skip
"""Kinds of axes that hold channels, where there are as many and they are bytes."""
_LISTS: Final = frozenset({"", "domain", "space", "time", "list"})
"""Kinds of axes along which whole volumes lie."""

Direction = tuple[float, ...]


class Axes(NamedTuple):
    """The axes of the file, the fastest first, by what they mean."""

    sizes: tuple[int, ...]
    spatial: tuple[int, ...]
    """Two or three of them."""
    color: int | None
    volumes: int
    """Along all others."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(X, Y, Z)."""
        x, y, z = [*(self.sizes[axis] for axis in self.spatial), 1][:3]
        return x, y, z


class Header:
    """The fields of a header, each read when it is asked for.

    What violates the format raises ``CorruptInputError``, or another exception that
    ``imaging.decoding`` turns into one.
    """

    def __init__(self, data: bytes, source: str) -> None:
        """``data`` is the whole file; its name in messages is ``source``."""
        self.source = source
        self._fields, self.end = _fields(data, source)
        if "datafile" in self._fields:
            raise UnsupportedFormatError(
                f"{source}: the header of NRRD data in other files; save both as one .nrrd file, "
                "or convert them to NIfTI (.nii.gz)"
            )

    def text(self, name: str) -> str:
        """A field without spaces around it; empty where it is missing."""
        return self._fields.get(name, "")

    def damaged(self, what: str) -> CorruptInputError:
        """An error of one line."""
        return CorruptInputError(f"{self.source}: damaged NRRD ({what})")

    def number(self, name: str) -> int:
        """A whole number; 0 where it is missing."""
        return int(self.text(name) or "0")

    def kind(self) -> np.dtype[Any]:
        """The type of samples, in the byte order of the file (4.1, ``type`` and ``endian``)."""
        name = " ".join(self.text("type").lower().split())
        if not name:
            raise self.damaged("no type")
        if name not in _TYPES:
            raise UnsupportedFormatError(f"{self.source}: NRRD voxels of type {clean(name)}")
        kind = np.dtype(_TYPES[name])
        order = _ORDERS.get(self.text("endian").lower())
        if order is None:
            if kind.itemsize > 1 and not self.is_text:
                raise self.damaged("no endian")
            return kind
        return kind.newbyteorder(order)

    @property
    def is_text(self) -> bool:
        """Whether voxels are written as decimal numbers."""
        return self.text("encoding").lower() in {"txt", "text", "ascii"}

    @property
    def is_zipped(self) -> bool:
        """Whether voxels are gzipped."""
        return self.text("encoding").lower() in {"gz", "gzip"}

    def check_encoding(self) -> None:
        """Raise for those that are not read: hexadecimal numbers and bzip2."""
        name = self.text("encoding").lower()
        if not name:
            raise self.damaged("no encoding")
        if not (self.is_text or self.is_zipped or name == "raw"):
            raise UnsupportedFormatError(
                f"{self.source}: NRRD with encoding {clean(name)}; save it with encoding gzip, or "
                "convert it to NIfTI (.nii.gz)"
            )

    def axes(self, kind: np.dtype[Any]) -> Axes:
        """What each axis means, by its kind and direction (section 6)."""
        sizes = self._sizes()
        kinds, steps = self._kinds(len(sizes)), self.directions(len(sizes))
        known = [
            axis
            for axis, name in enumerate(kinds)
            if name in _SPATIAL and (steps is None or steps[axis] is not None)
        ]
        if not kinds[0] and steps is None:
            check_first_axis(sizes, self.source)
        spatial, color, volumes = known[:3], None, 1
        for axis, (size, name) in enumerate(zip(sizes, kinds, strict=True)):
            if axis in spatial or size == 1:
                continue
            # Without a kind, an axis behind the others holds volumes.
            is_color = axis not in known and kind == np.uint8 and _COLORS.get(name) == size
            if is_color and color is None:
                color = axis
            elif name in _LISTS:
                volumes *= size
            else:
                raise self._unread(name)
        if len(spatial) < 2:
            raise UnsupportedFormatError(f"{self.source}: NRRD with fewer than 2 axes in space")
        return Axes(sizes, tuple(spatial), color, volumes)

    def _unread(self, kind: str) -> UnsupportedFormatError:
        what = (
            "complex voxels; save their magnitude instead"
            if kind == "complex"
            else f"NRRD with an axis of kind {clean(kind)}, which does not hold intensities"
        )
        return UnsupportedFormatError(f"{self.source}: {what}")

    def _sizes(self) -> tuple[int, ...]:
        words = self.text("sizes").split()
        if not 1 <= len(words) <= _MOST_AXES:
            raise self.damaged(f"{len(words)} sizes")
        sizes = tuple(int(word) for word in words)
        if min(sizes) < 1 or self.number("dimension") not in (0, len(sizes)):
            raise self.damaged(f"sizes {clean(' '.join(words))}")
        return sizes

    def _kinds(self, count: int) -> list[str]:
        """Empty for those that are not known."""
        kinds = self.text("kinds").lower().split() or [""] * count
        if len(kinds) != count:
            raise self.damaged(f"{len(kinds)} kinds of {count} axes")
        return ["" if name in ("none", "???") else name for name in kinds]

    def directions(self, count: int) -> list[Direction | None] | None:
        """The step along each axis, None along one that is not in space; None without any.

        A file whose axes are all said not to be in space states no directions.
        """
        text = self.text("spacedirections")
        if not text:
            return None
        steps = [_vector(match) for match in _VECTOR.finditer(text)]
        if len(steps) != count:
            raise self.damaged(f"{len(steps)} space directions of {count} axes")
        return steps if any(steps) else None

    def origin(self) -> Direction | None:
        """Where the first voxel lies; None where that is not stated."""
        match = _VECTOR.fullmatch(self.text("spaceorigin"))
        return _vector(match) if match else None

    def spacings(self, count: int) -> list[float]:
        """Voxel sizes; NaN where they are not stated."""
        sizes = [float(word) for word in self.text("spacings").split()] or [math.nan] * count
        if len(sizes) != count:
            raise self.damaged(f"{len(sizes)} spacings of {count} axes")
        return sizes


def _vector(match: re.Match[str]) -> Direction | None:
    parts = match.group(1)
    return None if parts is None else tuple(float(part) for part in parts.split(","))


def _fields(data: bytes, source: str) -> tuple[dict[str, str], int]:
    """The fields by their names, and the byte behind the empty line, if there is one."""
    fields: dict[str, str] = {}
    at = 0
    for _ in range(MOST_LINES):
        end = data.find(b"\n", at, MAX_HEADER_BYTES)
        if end < 0:
            if len(data) > MAX_HEADER_BYTES:
                break
            end = len(data)
        line = data[at:end].rstrip(b"\r")
        at = min(end + 1, len(data))
        if not line:
            return fields, at
        # A field has a colon and a space, remarks of other programs have := (4 and 5).
        name, colon, value = line.decode("utf-8", "replace").partition(":")
        if colon and not value.startswith("=") and not name.startswith("#"):
            fields.setdefault("".join(name.lower().split()), value[:_LONGEST].strip())
    raise LimitExceededError(
        f"{source}: NRRD with a header of more than {MOST_LINES} lines or {MAX_HEADER_BYTES} bytes"
    )

"""The voxels of a volume as NIfTI, MGH and NRRD store them: numbers in rows, behind a header."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import BlankImageError, UnsupportedFormatError
from tumorlens.imaging.inflate import Inflated
from tumorlens.imaging.limits import MIN_SIDE
from tumorlens.imaging.samples.cut_off import CUT_OFF, is_cut_off
from tumorlens.imaging.samples.gray import finite, luma, without_value
from tumorlens.imaging.samples.label_map import check_no_computed_map, check_no_label_map
from tumorlens.imaging.samples.row_length import check_planes
from tumorlens.imaging.samples.sample_storage import (
    OTHER_SIGN,
    SWAPPED,
    has_other_sign,
    is_swapped,
    some_rows,
)

_MOST_CHANNELS: Final = 8
"""Longest first axis that holds contrasts or time points; volumes as short are no heads."""
_ROW: Final = 64
_ROWS: Final = 1024
"""Rows of so many samples that are looked at to see how they are stored."""
_OTHER_SIGN: Final = str.maketrans("iu", "ui")


def check_first_axis(sizes: Sequence[int], source: str) -> None:
    """Raise ``UnsupportedFormatError`` where volumes seem to lie along the first of four axes.

    Arrays of other programs have them so. Read in the order that the formats state, the first
    volume would be one slice of each of them.
    """
    if len(sizes) != 4:
        return
    few, *voxels = sizes
    if few <= _MOST_CHANNELS < min(voxels) and min(voxels[:2]) >= MIN_SIDE:
        raise UnsupportedFormatError(
            f"{source}: the first of the dimensions {tuple(sizes)} seems to be of channels or time "
            "points, not of voxels; save each volume as its own file"
        )


def read_samples(
    stream: Inflated, start: int, count: int, kind: np.dtype[Any]
) -> NDArray[np.generic]:
    """``count`` values of ``kind`` from byte ``start`` on, flat; errors as ``Inflated.take``."""
    data = stream.take(start + count * kind.itemsize)
    return np.frombuffer(data, dtype=kind, offset=start, count=count)


def as_meant(raw: NDArray[np.generic]) -> tuple[NDArray[np.generic], list[str]]:
    """``raw``, flat, in the byte order and with the sign that must be meant, and notes on it."""
    notes = []
    rows = _some_rows(raw)
    if is_swapped(rows, rows):
        raw, notes = raw.byteswap(), [SWAPPED]
    if raw.dtype.kind in "iu" and raw.dtype.itemsize == 2:
        other = raw.view(raw.dtype.str.translate(_OTHER_SIGN))
        if has_other_sign(_some_rows(raw), _some_rows(other), axes=(1,)):
            return other, [*notes, OTHER_SIGN]
    return raw, notes


def _some_rows(raw: NDArray[np.generic]) -> NDArray[np.generic]:
    return some_rows(raw[: raw.size // _ROW * _ROW].reshape(-1, _ROW), _ROWS)


def real(raw: NDArray[np.generic]) -> NDArray[np.float32]:
    """As float32; values beyond it become infinite, which ``checked`` deals with."""
    with np.errstate(over="ignore", invalid="ignore"):
        return raw.astype(np.float32)


def gray_of(channels: NDArray[np.generic]) -> NDArray[np.float32]:
    """The luma (...) of colours (..., 3); ``luma`` works row by row, so there must be some."""
    *shape, width, _ = channels.shape
    return luma(channels.reshape(-1, width, 3)).reshape(*shape, width)


def checked(
    values: NDArray[np.float32], source: str, volumes: int
) -> tuple[NDArray[np.float32], list[str]]:
    """``values`` (X, Y, Z), the first of ``volumes``, with finite ones only; notes on the others.

    Before they are cut, as that may interpolate between labels. Raises ``BlankImageError``,
    ``CorruptInputError`` for exchanged rows and columns, and ``UnsupportedFormatError`` for a
    label map or a map of probabilities or distances.
    """
    voxels = finite(values, source)
    if volumes > 1 and voxels.min() == voxels.max():
        raise BlankImageError(
            f"{source}: the first of {volumes} volumes is blank; save another one as its own file"
        )
    planes = voxels.transpose(2, 1, 0)
    check_planes(planes, source)
    check_no_label_map(voxels, source)
    check_no_computed_map(voxels, source)
    return voxels, [*without_value(values), *([CUT_OFF] if is_cut_off(planes) else [])]


def first_of(volumes: int) -> list[str]:
    """A note where a file holds several volumes."""
    return [f"the first of {volumes} volumes is read"] if volumes > 1 else []


def read_as_slices(volumes: int) -> list[str]:
    """A note where the volumes of a file are one slice each: they may be time points too."""
    return [f"the {volumes} volumes have one slice each; they are read as slices"]


def surplus(stream: Inflated, end: int, slice_bytes: int) -> list[str]:
    """A note where at least one more slice follows ``end``, the stated end of the voxels."""
    if len(stream.take_up_to(end + slice_bytes)) < end + slice_bytes:
        return []
    return ["the file holds more voxels than it states; the others are not read"]


def bits_of(kind: np.dtype[Any]) -> int:
    """Bits of a sample: of one channel, where they are colours."""
    return 8 if kind.names else 8 * kind.itemsize


def mode_of(kind: np.dtype[Any]) -> str:
    """``MedicalImage.mode``: the type's name, whatever its byte order."""
    return "RGB" if kind.names else kind.newbyteorder("=").name

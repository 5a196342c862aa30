"""NIfTI-1 and NIfTI-2, single files, plain or gzipped; ``planes`` cuts them into slices.

The first volume of a 4-D file is read; volumes of one slice each form one volume.
Format: nifti.nimh.nih.gov, nifti1.h and nifti2.h.
"""

import io
import math
from typing import Any, Final, Literal

import numpy as np
from nibabel.nifti1 import Nifti1Header, intent_codes
from nibabel.nifti2 import Nifti2Header
from numpy.typing import NDArray

from tumorlens.errors import CorruptInputError, UnsupportedFormatError
from tumorlens.imaging.geometry.planes import Volume
from tumorlens.imaging.inflate import Inflated
from tumorlens.imaging.limits import MAX_HEADER_BYTES, check_volume
from tumorlens.imaging.samples.gray import LARGEST, Color, color_of
from tumorlens.imaging.volumes.nifti_affine import placement
from tumorlens.imaging.volumes.stored import (
    as_meant,
    bits_of,
    check_first_axis,
    checked,
    first_of,
    gray_of,
    mode_of,
    read_as_slices,
    read_samples,
    real,
    surplus,
)
from tumorlens.text import clean

_NIFTI2_MAGIC: Final = (b"n+2", b"ni2")
_HEADER_BYTES: Final = {1: 348, 2: 540}
_NO_INTENSITIES: Final = frozenset({*range(2, 25), 1002, *range(1004, 1011)})
"""Intents of statistics, of labels, and of matrices, vectors and points (nifti1.h)."""
_EXTENSION_FLAG: Final = 4
"""Bytes between the header and what follows it."""
_LEAST_EXTENSION: Final = 8
"""Bytes of its size and code (nifti1.h, nifti1_extension)."""
_OVERLONG: Final = (
    "an extension of the header runs past the stated start of the voxels; they are read from there"
)


def read(data: bytes, source: str) -> Volume:
    """The (first) volume of a file's bytes; ``source`` begins messages.

    Raises ``CorruptInputError``, ``LimitExceededError``, ``UnsupportedFormatError``,
    ``BlankImageError``.
    """
    stream = Inflated(data, source)
    version = 2 if bytes(stream.take(8))[4:7] in _NIFTI2_MAGIC else 1
    header = _header(bytes(stream.take(_HEADER_BYTES[version])), version, source)
    shape, kind = _shape(header, source), _kind(header, source)
    start = _start(header, version, source)
    end = _extensions_end(stream, header, version, start)
    if end > start:
        size = math.prod(shape) * kind.itemsize * _volumes(header)
        _check_not_shifted(stream, end, size, source)
    raw, odd = as_meant(read_samples(stream, start, math.prod(shape), kind))
    colors = _colors(raw, shape[0])
    values = _real(raw, header) if colors is None else gray_of(colors).ravel()
    color = Color.GRAY if colors is None else color_of(colors)
    voxels, without = checked(values.reshape(shape, order="F"), source, _volumes(header))
    notes = [*_notes(header), *([_OVERLONG] if end > start else []), *odd, *without]
    if _volumes(header) == 1:
        slice_bytes = shape[0] * shape[1] * kind.itemsize
        notes += surplus(stream, start + raw.nbytes, slice_bytes)
    return Volume(voxels, placement(header, shape), bits_of(kind), mode_of(kind), notes, color)


def _start(header: Nifti1Header, version: int, source: str) -> int:
    """The byte of the first voxel; right behind the header where none is stated."""
    start = float(header["vox_offset"])
    if start == 0:
        return _HEADER_BYTES[version] + _EXTENSION_FLAG
    if not _HEADER_BYTES[version] <= start <= MAX_HEADER_BYTES:
        raise CorruptInputError(f"{source}: damaged NIfTI (voxels at byte {start:g})")
    return int(start)


def _extensions_end(stream: Inflated, header: Nifti1Header, version: int, start: int) -> int:
    """Where the extensions that begin before ``start`` end; ``start`` where there are none."""
    flag = _HEADER_BYTES[version]
    end = flag + _EXTENSION_FLAG
    # At once: each further request would copy what was inflated so far.
    beginning = stream.take_up_to(max(start, end) + _LEAST_EXTENSION)
    if not any(beginning[flag : flag + 1]):
        return start
    order: Literal["little", "big"] = "little" if header.endianness == "<" else "big"
    while end < start or end == flag + _EXTENSION_FLAG:
        stated = int.from_bytes(beginning[end : end + 4], order, signed=True)
        if not _LEAST_EXTENSION <= stated <= MAX_HEADER_BYTES:
            return start
        end += stated
    return end


def _check_not_shifted(stream: Inflated, end: int, size: int, source: str) -> None:
    """Refuse a file whose ``size`` bytes of voxels lie behind the extensions, as its length says.

    Read from their stated start, they would be shifted.
    """
    if len(stream.take_up_to(end + size + 1)) == end + size:
        raise CorruptInputError(
            f"{source}: damaged NIfTI (extensions up to byte {end} run past the stated start of "
            "the voxels; correct vox_offset)"
        )


def _notes(header: Nifti1Header) -> list[str]:
    shape = header.get_data_shape()
    notes = read_as_slices(shape[3]) if _are_slices(header) else first_of(_volumes(header))
    intent = int(header["intent_code"])
    if intent in _NO_INTENSITIES:
        what = clean(str(intent_codes.label[intent]))
        notes.append(f"the file says that its values are not intensities ({what})")
    if not _is_scale(header):
        notes.append("scl_slope is not plausible; 1 is used")
    if _scale(header) is not None and not math.isfinite(float(header["scl_inter"])):
        notes.append("scl_inter is not a finite number; 0 is used")
    return notes


def _are_slices(header: Nifti1Header) -> bool:
    """Whether several volumes of one slice each lie along the fourth dimension."""
    shape = header.get_data_shape()
    return len(shape) > 3 and shape[2] == 1 and 1 < shape[3] == math.prod(shape[3:])


def _volumes(header: Nifti1Header) -> int:
    if _are_slices(header):
        return 1
    return math.prod(max(1, side) for side in header.get_data_shape()[3:])


def _is_scale(header: Nifti1Header) -> bool:
    """Whether the slope is one that any image can have; 0 and NaN say that there is none."""
    slope = abs(float(header["scl_slope"]))
    return slope == 0 or math.isnan(slope) or 1 / LARGEST < slope < LARGEST


def _scale(header: Nifti1Header) -> tuple[float, float] | None:
    """Slope and intercept; None where there is none (nifti1.h: a slope of 0)."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not math.isfinite(slope) or not _is_scale(header):
        return None
    return slope, intercept if math.isfinite(intercept) else 0.0


def _kind(header: Nifti1Header, source: str) -> np.dtype[Any]:
    try:
        kind: np.dtype[Any] = header.get_data_dtype()
    except KeyError:
        kind = np.dtype("V")
    if kind.kind == "c":
        raise UnsupportedFormatError(f"{source}: complex voxels; save their magnitude instead")
    if kind.names is None and kind.kind not in "iuf":
        code = int(header["datatype"])
        raise UnsupportedFormatError(
            f"{source}: NIfTI voxels of type {code} are not supported; save them as float32"
        )
    return kind


def _header(data: bytes, version: int, source: str) -> Nifti1Header:
    kind = Nifti1Header if version == 1 else Nifti2Header
    header: Nifti1Header = kind.from_fileobj(io.BytesIO(data), check=False)
    if bytes(header["magic"].tobytes()).startswith((b"ni1", b"ni2")):
        raise UnsupportedFormatError(
            f"{source}: the header of a pair of files; convert the pair to one .nii file"
        )
    return header


def _shape(header: Nifti1Header, source: str) -> tuple[int, int, int]:
    """The first three dimensions, checked before anything is taken for them."""
    shape = [int(side) for side in header.get_data_shape()]
    if not 2 <= len(shape) <= 7 or min(shape[:2]) < 1 or min(shape) < 0:
        raise CorruptInputError(f"{source}: damaged NIfTI (dimensions {tuple(shape)})")
    check_first_axis(shape, source)
    x, y, z = (max(1, side) for side in [*shape, 1][:3])
    z = shape[3] if _are_slices(header) else z
    check_volume((z, y, x), source)
    return x, y, z


def _colors(raw: NDArray[np.generic], width: int) -> NDArray[np.generic] | None:
    """(N, ``width``, 3); None of what is gray."""
    if raw.dtype.names is None:
        return None
    colors: Any = raw
    channels = np.stack([colors[name] for name in ("R", "G", "B")], axis=-1)
    return channels.reshape(-1, width, 3)


def _real(raw: NDArray[np.generic], header: Nifti1Header) -> NDArray[np.float32]:
    """Scale to float32."""
    scale = _scale(header)
    values = real(raw)
    with np.errstate(over="ignore", invalid="ignore"):
        if scale is not None and scale != (1.0, 0.0):
            values = values * np.float32(scale[0]) + np.float32(scale[1])
    return values

"""NIfTI-1 and NIfTI-2, single files, plain or gzipped: reoriented, cut, shown as radiologists do.

The voxels are turned and mirrored to the nearest axes of the patient; nothing is interpolated
unless pixels are not square. An oblique scan therefore keeps its own slices. Of a 4-D file the
first volume is read. Format: nifti.nimh.nih.gov, nifti1.h and nifti2.h.
"""

import io
import math
import zlib
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from numpy.typing import NDArray

from tumorlens.errors import (
    CorruptInputError,
    InputError,
    LimitExceededError,
    UnsupportedFormatError,
)
from tumorlens.imaging.facts import (
    AcquisitionFacts,
    SliceFacts,
    Vector,
    normal,
)
from tumorlens.imaging.gray import finite, luma
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.limits import (
    MAX_HEADER_BYTES,
    MAX_INFLATED_BYTES,
    check_sides,
    check_volume,
)
from tumorlens.imaging.quiet import quiet
from tumorlens.imaging.resample import square_pixels
from tumorlens.imaging.signatures import GZIP_WINDOW, sniff
from tumorlens.imaging.wording import first_line

_MILLIMETRES: Final = {"meter": 1000.0, "micron": 0.001}
"""Units of length that are not the millimetre; where none is stated it is meant."""
_NIFTI2_MAGIC: Final = (b"n+2", b"ni2")
_HEADER_BYTES: Final = {1: 348, 2: 540}
_LPS: Final = axcodes2ornt(("L", "P", "S"))
"""The axes that voxels are turned to: DICOM's. NIfTI's own affine leads to RAS."""
_RAS_TO_LPS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])


class _Cut(NamedTuple):
    """How to get (D, rows, columns) from LPS axes, row 0 on top, column 0 on the left."""

    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]


# Radiological convention: the patient's right is on the left of the picture; axial slices have
# the face on top, the others the crown; sagittal ones look to the left. Slices are stacked from
# the feet up, from the face back, and from the patient's right to left.
_CUTS: Final = {
    "axial": _Cut((2, 1, 0), (False, False, False)),
    "coronal": _Cut((1, 2, 0), (False, True, False)),
    "sagittal": _Cut((0, 2, 1), (False, True, False)),
}


class _Volume(NamedTuple):
    voxels: NDArray[np.float32]
    affine: NDArray[np.float64]
    """From voxel indices to millimetres, RAS."""
    bit_depth: int
    mode: str
    notes: list[str]
    states_orientation: bool


def decode(data: bytes, source: str, plane: str) -> MedicalImage:
    """Decode to (D, H, W), cut along ``plane``: axial, coronal or sagittal.

    Raises ``CorruptInputError``, ``LimitExceededError``, ``UnsupportedFormatError``,
    ``BlankImageError``; ``ValueError`` for another ``plane``.
    """
    if plane not in _CUTS:
        raise ValueError(f"plane must be one of {', '.join(_CUTS)}, not {plane}")
    try:
        with quiet():
            return _cut(_read(data, source), plane, source)
    except InputError:
        raise
    except MemoryError as error:
        raise LimitExceededError(f"{source}: does not fit into memory") from error
    except Exception as error:  # nibabel checks little of what it reads
        raise CorruptInputError(f"{source}: damaged NIfTI ({first_line(error)})") from error


def _read(data: bytes, source: str) -> _Volume:
    stream = _Stream(data, source)
    version = 2 if bytes(stream.take(8))[4:7] in _NIFTI2_MAGIC else 1
    header = _header(bytes(stream.take(_HEADER_BYTES[version])), version, source)
    shape, kind = _shape(header, source), _kind(header, source)
    start = int(header.get_data_offset())
    if not _HEADER_BYTES[version] <= start <= MAX_HEADER_BYTES:
        raise CorruptInputError(f"{source}: damaged NIfTI (voxels at byte {start})")
    stored = stream.take(start + math.prod(shape) * kind.itemsize)
    raw = np.frombuffer(stored, dtype=kind, offset=start, count=math.prod(shape))
    voxels = _real(raw, header, source).reshape(shape, order="F")
    mode = "RGB" if kind.names else kind.newbyteorder("=").name
    stated = int(header["sform_code"]) != 0 or int(header["qform_code"]) != 0
    notes = _notes(header, stated)
    return _Volume(voxels, _affine(header, source), _bits(kind), mode, notes, stated)


def _notes(header: Nifti1Header, states_orientation: bool) -> list[str]:
    notes = []
    if (volumes := math.prod(header.get_data_shape()[3:])) > 1:
        notes.append(f"the first of {volumes} volumes is read")
    if not states_orientation:
        notes.append("the file does not state its orientation; the usual one (LAS) is assumed")
    return notes


def _kind(header: Nifti1Header, source: str) -> np.dtype[Any]:
    kind: np.dtype[Any] = header.get_data_dtype()
    if kind.kind == "c":
        raise UnsupportedFormatError(f"{source}: complex voxels; give the magnitude")
    if kind.names is None and kind.kind not in "iuf":
        raise UnsupportedFormatError(f"{source}: voxels of type {kind}")
    return kind


def _bits(kind: np.dtype[Any]) -> int:
    return 8 if kind.names else 8 * kind.itemsize


class _Stream:
    """A file's beginning, unzipped no further than it is asked for."""

    def __init__(self, data: bytes, source: str) -> None:
        self._source = source
        self._rest = data
        self._inflater = zlib.decompressobj(GZIP_WINDOW) if sniff(data) == "nifti.gz" else None
        self._taken = b""

    def take(self, size: int) -> memoryview:
        """The first ``size`` bytes."""
        if size > MAX_INFLATED_BYTES:
            raise LimitExceededError(
                f"{self._source}: {size} bytes of voxels are more than the limit of "
                f"{MAX_INFLATED_BYTES}"
            )
        if self._inflater is None:
            found = memoryview(self._rest)[:size]
        else:
            self._inflate(self._inflater, size)
            found = memoryview(self._taken)[:size]
        if len(found) < size:
            raise CorruptInputError(
                f"{self._source}: damaged NIfTI ({len(found)} of {size} bytes are there)"
            )
        return found

    def _inflate(self, inflater: "zlib._Decompress", size: int) -> None:
        try:
            while len(self._taken) < size and self._rest and not inflater.eof:
                # Not +=: earlier views of the bytes forbid that they grow.
                more = inflater.decompress(self._rest, size - len(self._taken))
                self._taken = self._taken + more if self._taken else more
                self._rest = inflater.unconsumed_tail
        except zlib.error as error:
            raise CorruptInputError(f"{self._source}: damaged gzip ({error})") from error


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
    if not 2 <= len(shape) <= 7 or any(side < 1 for side in shape):
        raise CorruptInputError(f"{source}: damaged NIfTI (dimensions {tuple(shape)})")
    x, y, z = [*shape, 1][:3]
    check_volume((z, y, x), source)
    return x, y, z


def _real(raw: NDArray[np.generic], header: Nifti1Header, source: str) -> NDArray[np.float32]:
    """Scale to float32; colour to luma; NaN and infinities to the smallest value."""
    if raw.dtype.names is not None:
        colors: Any = raw
        channels = np.stack([colors[name] for name in ("R", "G", "B")], axis=-1)
        gray: NDArray[np.float32] = luma(channels[np.newaxis])[0]
        return gray
    slope, intercept = header.get_slope_inter()
    with np.errstate(over="ignore", invalid="ignore"):
        values = raw.astype(np.float32)
        if slope is not None and (slope, intercept) != (1.0, 0.0):
            values = values * np.float32(slope) + np.float32(intercept or 0.0)
    return finite(values, source)


def _affine(header: Nifti1Header, source: str) -> NDArray[np.float64]:
    affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    affine[:3] *= _MILLIMETRES.get(str(header.get_xyzt_units()[0]), 1.0)
    usable = np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-9
    if not usable or np.isnan(io_orientation(affine)).any():
        raise CorruptInputError(f"{source}: damaged NIfTI (its affine is singular)")
    return affine


def _cut(volume: _Volume, plane: str, source: str) -> MedicalImage:
    turn = ornt_transform(io_orientation(volume.affine), _LPS)
    voxels = apply_orientation(volume.voxels, turn)
    affine = _RAS_TO_LPS @ volume.affine @ inv_ornt_aff(turn, volume.voxels.shape)
    cut = _CUTS[plane]
    flips = [axis for axis, flipped in zip(cut.axes, cut.flipped, strict=True) if flipped]
    voxels = np.flip(voxels, tuple(flips))
    for axis in flips:
        affine = affine @ _mirror(axis, voxels.shape[axis])
    slices = np.ascontiguousarray(voxels.transpose(cut.axes), dtype=np.float32)
    depth_mm, row_mm, column_mm = (float(np.linalg.norm(affine[:3, axis])) for axis in cut.axes)
    slices, spacing = square_pixels(slices, (row_mm, column_mm), source)
    check_sides(slices.shape[2], slices.shape[1], source)
    # Resampling moves the centre of the first pixel, though not its outer edge.
    affine = affine @ _shift(cut, (spacing[0] / row_mm, spacing[1] / column_mm))
    facts = msgspec.structs.replace(
        _facts(affine, cut, plane, len(slices), depth_mm, source),
        orientation_assumed=not volume.states_orientation,
        notes=tuple(volume.notes),
    )
    pixels = slices if len(slices) > 1 else slices[0]
    return MedicalImage(pixels, source, volume.bit_depth, volume.mode, spacing, facts)


def _shift(cut: _Cut, ratios: tuple[float, float]) -> NDArray[np.float64]:
    """Where the first pixel goes when rows and columns become ``ratios`` times as large."""
    shift = np.eye(4)
    for axis, ratio in zip(cut.axes[1:], ratios, strict=True):
        shift[axis, 3] = (ratio - 1) / 2
    return shift


def _mirror(axis: int, length: int) -> NDArray[np.float64]:
    """The matrix that counts an axis from its other end."""
    mirror = np.eye(4)
    mirror[axis, axis] = -1
    mirror[axis, 3] = length - 1
    return mirror


def _facts(
    affine: NDArray[np.float64],
    cut: _Cut,
    plane: str,
    depth: int,
    depth_mm: float,
    source: str,
) -> AcquisitionFacts:
    row, column = _unit(affine, cut.axes[2]), _unit(affine, cut.axes[1])
    axis = np.asarray(normal(row, column))
    slices = []
    for index in range(depth):
        voxel = np.array([0.0, 0.0, 0.0, 1.0])
        voxel[cut.axes[0]] = index
        x, y, z = (round(float(value), 4) for value in (affine @ voxel)[:3])
        along = round(float(axis @ np.array([x, y, z])), 4)
        slices.append(SliceFacts(source, position_mm=(x, y, z), along_mm=along))
    return AcquisitionFacts(
        plane=plane,
        row_direction=row,
        column_direction=column,
        slice_spacing_mm=depth_mm if depth > 1 else None,
        slice_thickness_mm=depth_mm,
        slices=tuple(slices),
    )


def _unit(affine: NDArray[np.float64], axis: int) -> Vector:
    direction = affine[:3, axis] / np.linalg.norm(affine[:3, axis])
    x, y, z = (float(value) for value in direction)
    return (x, y, z)

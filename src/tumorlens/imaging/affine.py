"""From voxel indices to millimetres in the patient (right, front, head), as NIfTI files say it.

The sform, else the qform, else the usual orientation (nifti1.h, methods 3, 2 and 1). What of it is
not plausible is skipped, with a note: a file is not damaged because one element is.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.orientations import io_orientation
from nibabel.quaternions import quat2mat
from numpy.typing import NDArray

from tumorlens.imaging.limits import can_be_a_head

Matrix = NDArray[np.float64]

_MILLIMETRES: Final = {1: 1000.0, 3: 0.001}
"""Units of length that are not the millimetre, by their code; where none is stated it is meant."""
_UNIT_BITS: Final = 7
_FLAT: Final = 1e-3
"""Volume that three unit steps must span, for them to be three directions."""
_OTHER_SIZE: Final = 1.5
"""Ratio of voxel sizes from which two statements of them disagree."""


class Placement(NamedTuple):
    """Where the voxels lie."""

    affine: Matrix
    """(4, 4), from voxel indices to millimetres, RAS."""
    states_orientation: bool
    """Whether the file says, without contradicting itself, which side is which."""
    notes: list[str]


def placement(header: Nifti1Header, shape: tuple[int, int, int]) -> Placement:
    """Read the affine of a NIfTI header."""
    notes: list[str] = []
    sform = _sform(header, notes)
    qform = _qform(header, notes)
    stated = sform is not None or qform is not None
    if sform is not None and qform is not None:
        stated = _agree(sform, qform, notes)
    affine = sform if sform is not None else qform
    if affine is None:
        sizes = _sizes(header, notes)
        affine = np.diag([-sizes[0], sizes[1], sizes[2], 1.0])
        affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
        notes.append("the file does not state its orientation; the usual one (LAS) is assumed")
    return Placement(_in_millimetres(affine, header, shape, notes), stated, notes)


def _sform(header: Nifti1Header, notes: list[str]) -> Matrix | None:
    if int(header["sform_code"]) <= 0:
        return None
    affine = np.eye(4)
    affine[:3] = [header["srow_x"], header["srow_y"], header["srow_z"]]
    return _sensible(affine, "sform", notes)


def _qform(header: Nifti1Header, notes: list[str]) -> Matrix | None:
    """From the quaternion (nifti1.h, method 2)."""
    if int(header["qform_code"]) <= 0:
        return None
    b, c, d = (float(header[f"quatern_{name}"]) for name in "bcd")
    square = b * b + c * c + d * d
    # Rounding makes it longer than 1: then it turns by half a circle, as nifti1_io.c takes it.
    length = math.sqrt(square) if square > 1 else 1.0
    quaternion = [math.sqrt(max(0.0, 1 - square)), b / length, c / length, d / length]
    affine = np.eye(4)
    if all(map(math.isfinite, quaternion)):
        sizes = _sizes(header, notes)
        left_handed = float(header["pixdim"][0]) < 0
        affine[:3, :3] = quat2mat(quaternion) * [*sizes[:2], -sizes[2] if left_handed else sizes[2]]
    else:
        affine[:3, :3] = np.nan
    affine[:3, 3] = [header[f"qoffset_{name}"] for name in "xyz"]
    return _sensible(affine, "qform", notes)


def _sensible(affine: Matrix, name: str, notes: list[str]) -> Matrix | None:
    """``affine`` where it has three directions; else None, with a note."""
    steps = affine[:3, :3]
    lengths = np.linalg.norm(steps, axis=0)
    usable = bool(np.isfinite(affine).all()) and float(lengths.min()) > 0
    if usable and abs(np.linalg.det(steps / lengths)) > _FLAT:
        return affine
    notes.append(f"the file's {name} is not plausible and is not used")
    return None


def _sizes(header: Nifti1Header, notes: list[str]) -> list[float]:
    """Voxel sizes; 1 for those that are not plausible."""
    stated = [abs(float(size)) for size in header["pixdim"][1:4]]
    sizes = [size if math.isfinite(size) and size > 0 else 1.0 for size in stated]
    if sizes != stated:
        notes.append("a voxel size of the file is not plausible; 1 is used")
    return sizes


def _agree(sform: Matrix, qform: Matrix, notes: list[str]) -> bool:
    """Whether both say which side is which alike; a note where not, or where sizes differ."""
    alike = bool(np.array_equal(io_orientation(sform), io_orientation(qform)))
    if not alike:
        notes.append(
            "sform and qform of the file disagree about the orientation; the sform is used"
        )
    sizes = [np.linalg.norm(one[:3, :3], axis=0) for one in (sform, qform)]
    ratio = sizes[0] / sizes[1]
    if alike and max(ratio.max(), (1 / ratio).max()) > _OTHER_SIZE:
        notes.append("sform and qform of the file disagree about voxel sizes; the sform is used")
    return alike


def _in_millimetres(
    affine: Matrix, header: Nifti1Header, shape: tuple[int, int, int], notes: list[str]
) -> Matrix:
    unit = _MILLIMETRES.get(int(header["xyzt_units"]) & _UNIT_BITS, 1.0)
    sides = np.linalg.norm(affine[:3, :3], axis=0) * shape
    if unit != 1.0 and not can_be_a_head(float(sides.max()) * unit):
        notes.append("the file's unit of length is not plausible; millimetres are assumed")
        unit = 1.0
    if not can_be_a_head(float(sides.max()) * unit):
        size = ", ".join(f"{side:g}" for side in sides * unit)
        notes.append(f"no head is as large as the file says ({size} mm)")
    scaled = affine.copy()
    scaled[:3] *= unit
    return scaled

"""Where the voxels of a NIfTI file lie.

The sform, else the qform, else the usual orientation (nifti1.h, methods 3, 2 and 1).
"""

import math
from typing import Final

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.orientations import io_orientation
from nibabel.quaternions import quat2mat

from tumorlens.imaging.geometry.affine import (
    Matrix,
    Placement,
    in_millimetres,
    plausible_sizes,
    sensible,
    usual,
)

_MILLIMETRES: Final = {1: 1000.0, 3: 0.001}
"""Units of length that are not the millimetre, by their code; where none is stated it is meant."""
_UNIT_BITS: Final = 7
_OTHER_SIZE: Final = 1.5
"""Ratio of voxel sizes from which two statements of them disagree."""


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
        affine = usual(_sizes(header, notes), shape, notes)
    unit = _MILLIMETRES.get(int(header["xyzt_units"]) & _UNIT_BITS, 1.0)
    return Placement(in_millimetres(affine, unit, shape, notes), stated, notes)


def _sform(header: Nifti1Header, notes: list[str]) -> Matrix | None:
    if int(header["sform_code"]) <= 0:
        return None
    affine = np.eye(4)
    affine[:3] = [header["srow_x"], header["srow_y"], header["srow_z"]]
    return sensible(affine, "sform", notes)


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
    return sensible(affine, "qform", notes)


def _sizes(header: Nifti1Header, notes: list[str]) -> list[float]:
    return plausible_sizes(header["pixdim"][1:4], notes)


def _agree(sform: Matrix, qform: Matrix, notes: list[str]) -> bool:
    """Whether both state the same orientation; a note where they do not, or where sizes differ."""
    alike = bool(np.array_equal(io_orientation(sform), io_orientation(qform)))
    if not alike:
        notes.append(
            "sform and qform of the file disagree about the orientation; the sform is used"
        )
    sizes = [np.linalg.norm(affine[:3, :3], axis=0) for affine in (sform, qform)]
    ratio = sizes[0] / sizes[1]
    if alike and max(ratio.max(), (1 / ratio).max()) > _OTHER_SIZE:
        notes.append("sform and qform of the file disagree about voxel sizes; the sform is used")
    return alike

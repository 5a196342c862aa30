"""From voxel indices to millimetres in the patient (right, front, head), for all formats.

An element of a header that is not plausible is skipped, with a note: the file is still read.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.limits import can_be_a_head

Matrix = NDArray[np.float64]

LPS_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From DICOM's axes of the patient to NIfTI's; its own inverse."""
_FLAT: Final = 1e-3
"""Volume that three unit steps must span, for them to be three directions."""
_SKEWED: Final = 0.98
"""The same volume below which the axes are visibly not perpendicular: by 11 degrees."""

_LARGEST_STEP: Final = 1e5
"""A voxel is smaller, in millimetres or microns ..."""
_SMALLEST_STEP: Final = 1e-6
"""... and larger than this, in metres too."""


class Placement(NamedTuple):
    """Where the voxels lie."""

    affine: Matrix
    """(4, 4), from voxel indices to millimetres, RAS."""
    states_orientation: bool
    """Whether the file says, without contradicting itself, which side is which."""
    notes: list[str]


def affine_of(image: MedicalImage) -> Matrix | None:
    """(4, 4): from column, row and slice of ``image`` to millimetres, RAS; None where not stated.

    The slices are taken as evenly spaced.
    """
    facts, spacing = image.facts, image.pixel_spacing_mm
    if facts is None or spacing is None:
        return None
    positions = (slice_facts.position_mm for slice_facts in facts.slices)
    corners = [position for position in positions if position is not None]
    if len(corners) < image.depth or facts.row_direction is None or facts.column_direction is None:
        return None
    row, column = np.asarray(facts.row_direction), np.asarray(facts.column_direction)
    first, last = np.asarray(corners[0]), np.asarray(corners[-1])
    step = (last - first) / (len(corners) - 1) if len(corners) > 1 else np.cross(row, column)
    affine = np.eye(4)
    affine[:3] = np.column_stack([row * spacing[1], column * spacing[0], step, first])
    return LPS_TO_RAS @ affine


def sensible(affine: Matrix, name: str, notes: list[str]) -> Matrix | None:
    """``affine`` where it has three directions; else None, with a note that names it."""
    steps = affine[:3, :3]
    lengths = np.linalg.norm(steps, axis=0)
    usable = bool(np.isfinite(affine).all()) and float(lengths.min()) > 0
    if usable and (spanned := abs(np.linalg.det(steps / lengths))) > _FLAT:
        if spanned < _SKEWED:
            notes.append(f"the axes of the file's {name} are not perpendicular: the head is skewed")
        return affine
    notes.append(f"the file's {name} is not plausible and is not used")
    return None


def plausible_sizes(stated: Sequence[float], notes: list[str]) -> list[float]:
    """Voxel sizes; 1 for those that are not plausible, with a note."""
    lengths = [abs(float(size)) for size in stated]
    sizes = [size if _SMALLEST_STEP < size < _LARGEST_STEP else 1.0 for size in lengths]
    if sizes != lengths:
        notes.append("a voxel size of the file is missing or not plausible; 1 is used")
    return sizes


def usual(sizes: Sequence[float], shape: tuple[int, int, int], notes: list[str]) -> Matrix:
    """The orientation of a file that states none: LAS, from the middle of the volume."""
    notes.append("the file does not state its orientation; the usual one (LAS) is assumed")
    return centred(np.diag([-sizes[0], sizes[1], sizes[2]]), shape)


def centred(steps: Matrix, shape: tuple[int, int, int]) -> Matrix:
    """(4, 4) of the steps (3, 3), with the middle of the volume at 0."""
    affine = np.eye(4)
    affine[:3, :3] = steps
    affine[:3, 3] = -steps @ ((np.asarray(shape) - 1) / 2)
    return affine


def in_millimetres(
    affine: Matrix, unit: float, shape: tuple[int, int, int], notes: list[str]
) -> Matrix:
    """``affine`` times ``unit``, in millimetres; a unit that fits no head is not used."""
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

"""A volume cut into slices as radiologists see them, whatever the order of its axes.

The voxels are turned and mirrored to the nearest axes of the patient; nothing is interpolated
unless pixels are not square. An oblique scan therefore keeps its own slices.
"""

from typing import Final, NamedTuple

import msgspec
import numpy as np
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from numpy.typing import NDArray

from tumorlens.imaging.facts import DEFAULT_PLANE, AcquisitionFacts, SliceFacts, Vector, normal
from tumorlens.imaging.geometry.affine import LPS_TO_RAS, Placement
from tumorlens.imaging.geometry.resample import square_pixels
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.limits import MIN_SIDE, check_sides
from tumorlens.imaging.samples.gray import Color

_LPS: Final = axcodes2ornt(("L", "P", "S"))
"""The axes that voxels are turned to: DICOM's. NIfTI's own affine leads to RAS."""
FARTHEST_MM: Final = 3.0
"""Distance of slices up to which other planes are sharp enough."""
_IMPLAUSIBLE_MM: Final = 50.0
"""Distance of slices of which a head has too few for it to be right."""
_THICK: Final = 1.5
"""Ratio of the distance of slices and the size of their pixels that tells which were acquired."""


# Radiological convention: the patient's right is on the left of the image; axial slices have
# the face on top, the others the crown; sagittal ones look to the left. Slices are stacked from
# the feet up, from the face back, and from the patient's right to left.
_Axes = tuple[int, int, int]
_AXES: Final[dict[str, _Axes]] = {
    "axial": (2, 1, 0),
    "coronal": (1, 2, 0),
    "sagittal": (0, 2, 1),
}
"""Which of the LPS axes slices, rows and columns follow."""
_CROWN_ON_TOP: Final = ornt_transform(_LPS, axcodes2ornt(("L", "P", "I")))
"""Of all but axial slices: rows follow the axis from the feet to the head, reversed."""


class Volume(NamedTuple):
    """A volume as it is stored."""

    voxels: NDArray[np.float32]
    """(X, Y, Z), in the axes of the file."""
    placement: Placement
    bit_depth: int
    mode: str
    notes: list[str]
    color: Color = Color.GRAY


def cut(volume: Volume, plane: str, source: str) -> MedicalImage:
    """Cut along ``plane`` to (D, H, W), or (H, W) of one slice; pixels become square.

    A slab too thin for ``plane`` is cut as it was acquired, as are slices too far apart for the
    default plane, with a note. Raises ``LimitExceededError``.
    """
    turn = ornt_transform(io_orientation(volume.placement.affine), _LPS)
    voxels = apply_orientation(volume.voxels, turn)
    affine = LPS_TO_RAS @ volume.placement.affine @ inv_ornt_aff(turn, volume.voxels.shape)
    plane, otherwise = _usable_plane(voxels.shape, affine, plane)
    if plane != "axial":
        affine = affine @ inv_ornt_aff(_CROWN_ON_TOP, voxels.shape)
        voxels = apply_orientation(voxels, _CROWN_ON_TOP)
    axes = _AXES[plane]
    slices = np.ascontiguousarray(voxels.transpose(axes), dtype=np.float32)
    depth_mm, row_mm, column_mm = (float(np.linalg.norm(affine[:3, axis])) for axis in axes)
    slices, spacing = square_pixels(slices, (row_mm, column_mm), source)
    check_sides(slices.shape[2], slices.shape[1], source)
    # Resampling moves the centre of the first pixel, though not its outer edge.
    affine = affine @ _shift(axes, (spacing[0] / row_mm, spacing[1] / column_mm))
    facts = msgspec.structs.replace(
        _facts(affine, axes, plane, len(slices), depth_mm, source),
        orientation_assumed=not volume.placement.states_orientation,
        notes=(*volume.notes, *volume.placement.notes, *otherwise),
    )
    pixels = slices if len(slices) > 1 else slices[0]
    return MedicalImage(
        pixels, source, volume.bit_depth, volume.mode, spacing, facts, color=volume.color
    )


def _usable_plane(
    shape: tuple[int, ...], affine: NDArray[np.float64], plane: str
) -> tuple[str, list[str]]:
    """``plane``, or the acquired one instead of the default where slices lie far apart; a note.

    The one with the fewest slices where slices of ``plane`` would be too narrow.
    """

    def narrowest(name: str) -> float:
        row, column = (float(np.linalg.norm(affine[:3, axis])) for axis in _AXES[name][1:])
        rows, columns = (shape[axis] for axis in _AXES[name][1:])
        return min(rows * row, columns * column) / min(row, column)

    acquired, apart_mm = _acquired(affine)
    # Another plane than the usual one is asked for on purpose.
    if plane == DEFAULT_PLANE != acquired and shape[_AXES[acquired][0]] > 1:
        return acquired, [
            f"{acquired} slices {apart_mm:.2g} mm apart, too far for {plane} ones, are kept"
        ]
    if narrowest(plane) >= MIN_SIDE:
        return plane, []
    others = sorted(_AXES, key=lambda name: shape[_AXES[name][0]])
    usable = next((name for name in others if narrowest(name) >= MIN_SIDE), plane)
    if usable == plane:
        return plane, []
    return usable, [f"too thin for {plane} slices; it is cut into {usable} ones"]


def _acquired(affine: NDArray[np.float64]) -> tuple[str, float]:
    """The plane of slices that lie too far apart for other planes, and their distance.

    The default plane where they lie close enough, are no thicker than pixels are large, or their
    distance is not plausible.
    """
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    axis = int(np.argmax(sizes))
    apart_mm = float(sizes[axis])
    closest_mm = max(FARTHEST_MM, _THICK * float(np.median(sizes)))
    if not closest_mm < apart_mm <= _IMPLAUSIBLE_MM:
        return DEFAULT_PLANE, apart_mm
    return next(name for name, axes in _AXES.items() if axes[0] == axis), apart_mm


def _shift(axes: _Axes, ratios: tuple[float, float]) -> NDArray[np.float64]:
    """Where the first pixel goes when rows and columns become ``ratios`` times as large."""
    shift = np.eye(4)
    for axis, ratio in zip(axes[1:], ratios, strict=True):
        shift[axis, 3] = (ratio - 1) / 2
    return shift


def _facts(
    affine: NDArray[np.float64],
    axes: _Axes,
    plane: str,
    depth: int,
    depth_mm: float,
    source: str,
) -> AcquisitionFacts:
    row, column = _unit(affine, axes[2]), _unit(affine, axes[1])
    axis = np.asarray(normal(row, column))
    slices = []
    for index in range(depth):
        voxel = np.array([0.0, 0.0, 0.0, 1.0])
        voxel[axes[0]] = index
        x, y, z = (round(float(value), 4) for value in (affine @ voxel)[:3])
        along = round(float(axis @ np.array([x, y, z])), 4)
        slices.append(SliceFacts(source, position_mm=(x, y, z), along_mm=along))
    return AcquisitionFacts(
        plane=plane,
        row_direction=row,
        column_direction=column,
        slice_spacing_mm=depth_mm if depth > 1 else None,
        slices=tuple(slices),
    )


def _unit(affine: NDArray[np.float64], axis: int) -> Vector:
    direction = affine[:3, axis] / np.linalg.norm(affine[:3, axis])
    x, y, z = (float(value) for value in direction)
    return (x, y, z)

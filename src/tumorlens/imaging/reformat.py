"""A DICOM volume cut anew along another plane, where its slices lie close enough.

The network knows axial slices best: of whole heads that are cut sagittally it can tell little, of
the same heads cut axially nearly everything (docs/decisions/0007-dicom-nifti.md).
"""

from dataclasses import replace
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tumorlens.imaging.affine import Placement
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.planes import LPS_TO_RAS, Volume, cut

_FARTHEST_MM: Final = 3.0
"""Distance of slices up to which other planes are sharp enough."""
_HEAD_MM: Final = 110.0
"""What the stack must extend over: fewer slices would show part of a head in every other plane."""
_UNEVEN: Final = 0.1
"""Of the usual step from slice to slice: how far each may be from it."""


def along_plane(image: MedicalImage, plane: str) -> MedicalImage:
    """``image`` in slices of ``plane``; itself where that is its plane, or it cannot be cut so.

    It can where evenly spaced slices of a named plane lie close together and cover a head. Its
    ``facts`` keep the slices that were acquired as ``acquired``.
    """
    facts = image.facts
    if facts is None or facts.plane in {None, "oblique", plane}:
        return image
    affine = _affine(image)
    if affine is None:
        return image
    placement = Placement(affine, not facts.orientation_assumed, [])
    made = cut(
        Volume(image.pixels, placement, image.bit_depth, image.mode, []), plane, image.source
    )
    if made.facts is None or made.facts.plane != plane or not made.is_volume:
        return image
    spacing = float(np.linalg.norm(affine[:3, 0]))
    note = f"{facts.plane} slices {spacing:.2g} mm apart; answered in {plane} slices made from them"
    described = msgspec.structs.replace(
        facts,
        plane=plane,
        row_direction=made.facts.row_direction,
        column_direction=made.facts.column_direction,
        slice_spacing_mm=made.facts.slice_spacing_mm,
        slice_thickness_mm=made.facts.slice_thickness_mm,
        slices=made.facts.slices,
        acquired=facts.slices,
        notes=(*facts.notes, note),
    )
    return replace(made, facts=described, remarks=image.remarks)


def _affine(image: MedicalImage) -> NDArray[np.float64] | None:
    """(4, 4) from slice, row and column to millimetres, RAS; None where they form no even grid."""
    facts, spacing = image.facts, image.pixel_spacing_mm
    if facts is None or spacing is None or not image.is_volume:
        return None
    if facts.row_direction is None or facts.column_direction is None:
        return None
    corners = [place.position_mm for place in facts.slices if place.position_mm is not None]
    if len(corners) < max(2, image.depth):
        return None
    places = np.array(corners)
    steps = np.diff(places, axis=0)
    step = steps.mean(axis=0)
    length = float(np.linalg.norm(step))
    if not 0 < length <= _FARTHEST_MM or length * image.depth < _HEAD_MM:
        return None
    row, column = np.array(facts.row_direction), np.array(facts.column_direction)
    is_sheared = abs(float(np.cross(row, column) @ step)) < (1 - _UNEVEN**2) * length
    if is_sheared or float(np.linalg.norm(steps - step, axis=1).max()) > _UNEVEN * length:
        return None
    affine = np.eye(4)
    affine[:3] = np.column_stack([step, column * spacing[0], row * spacing[1], places[0]])
    return LPS_TO_RAS @ affine

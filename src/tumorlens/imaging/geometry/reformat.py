"""A DICOM volume cut anew along another plane, where its slices lie close enough.

The network knows axial slices best: it recognises little in sagittal slices of whole heads, and
nearly everything in axial slices of the same heads (docs/decisions/0007-dicom-nifti.md).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import msgspec
import numpy as np

from tumorlens.imaging.facts import SliceFacts
from tumorlens.imaging.geometry.affine import LPS_TO_RAS, Matrix, Placement, affine_of
from tumorlens.imaging.geometry.planes import FARTHEST_MM, Volume, cut
from tumorlens.imaging.image import MedicalImage

_HEAD_MM: Final = 110.0
"""What the stack must extend over: fewer slices would show part of a head in every other plane."""
_UNEVEN: Final = 0.1
"""How far each step between slices may be from the usual one, as a part of that."""


def along_plane(image: MedicalImage, plane: str) -> MedicalImage:
    """``image`` in slices of ``plane``; itself where that is its plane or it cannot be cut so.

    It can be cut where evenly spaced slices of a named plane lie close together and cover a head.
    ``facts.acquired`` of the result are the slices that were acquired.
    """
    facts, affine = image.facts, affine_of(image)
    if facts is None or affine is None or facts.plane in {None, "oblique", plane}:
        return image
    if not image.is_volume or not _is_close(facts.slices, affine):
        return image
    placement = Placement(affine, not facts.orientation_assumed, [])
    voxels = image.pixels.transpose(2, 1, 0)
    reformatted = cut(
        Volume(voxels, placement, image.bit_depth, image.mode, []), plane, image.source
    )
    new = reformatted.facts
    if new is None or new.plane != plane or not reformatted.is_volume:
        return image
    spacing = float(np.linalg.norm(affine[:3, 2]))
    note = f"{facts.plane} slices {spacing:.2g} mm apart; answered in {plane} slices made from them"
    described = msgspec.structs.replace(
        facts,
        plane=plane,
        row_direction=new.row_direction,
        column_direction=new.column_direction,
        slice_spacing_mm=new.slice_spacing_mm,
        slices=new.slices,
        acquired=facts.slices,
        notes=(*facts.notes, note),
    )
    return replace(
        image,
        samples=reformatted.samples,
        pixel_spacing_mm=reformatted.pixel_spacing_mm,
        facts=described,
    )


def _is_close(slices: Sequence[SliceFacts], affine: Matrix) -> bool:
    """Whether the slices lie close together, as evenly as ``affine`` has them, and cover a head."""
    row, column, step = affine[:3, :3].T
    length = float(np.linalg.norm(step))
    if not 0 < length <= FARTHEST_MM or length * len(slices) < _HEAD_MM:
        return False
    normal = np.cross(row, column)
    if abs(float(normal @ step)) < (1 - _UNEVEN**2) * length * np.linalg.norm(normal):
        return False
    positions = np.array([slice_facts.position_mm for slice_facts in slices])
    steps = np.diff(positions, axis=0)
    off = np.linalg.norm(steps - LPS_TO_RAS[:3, :3] @ step, axis=1)
    return float(off.max()) <= _UNEVEN * length

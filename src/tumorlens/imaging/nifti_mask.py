"""A mask on the voxels of an image, written as NIfTI."""

from typing import Final

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import InputError
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.planes import LPS_TO_RAS

_WORDS: Final = b"tumorlens attention map, no outline of a lesion; RESEARCH ONLY"


def as_nifti(mask: NDArray[np.bool_], image: MedicalImage) -> bytes:
    """``mask`` (D, H, W) of ``image`` as NIfTI, where the image lies.

    Raises ``InputError`` where the image does not say.
    """
    data = np.ascontiguousarray(mask.transpose(2, 1, 0).astype(np.uint8))
    made = nib.Nifti1Image(data, affine_of(image))
    made.header["descrip"] = _WORDS
    made.header.set_xyzt_units("mm")
    return made.to_bytes()


def affine_of(image: MedicalImage) -> NDArray[np.float64]:
    """(4, 4): from column, row and slice to millimetres, right, front, head.

    Raises ``InputError`` where the image does not say.
    """
    facts, spacing = image.facts, image.pixel_spacing_mm
    corners = [place.position_mm for place in facts.slices] if facts else []
    known = [corner for corner in corners if corner is not None]
    if facts is None or spacing is None or not known or len(known) < image.depth:
        raise InputError(f"{image.source}: does not state the positions of its slices")
    if facts.row_direction is None or facts.column_direction is None:
        raise InputError(f"{image.source}: does not state the positions of its slices")
    row, column = np.asarray(facts.row_direction), np.asarray(facts.column_direction)
    first, last = np.asarray(known[0]), np.asarray(known[-1])
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = row * spacing[1], column * spacing[0]
    affine[:3, 2] = (last - first) / (len(known) - 1) if len(known) > 1 else np.cross(row, column)
    affine[:3, 3] = first
    return LPS_TO_RAS @ affine

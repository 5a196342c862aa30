"""A mask on the voxels of an image, written as NIfTI."""

from typing import Final

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import InputError
from tumorlens.imaging.geometry.affine import affine_of
from tumorlens.imaging.image import MedicalImage

_WORDS: Final = b"tumorlens attention map, no outline of a lesion; RESEARCH ONLY"


def as_nifti(mask: NDArray[np.bool_], image: MedicalImage) -> bytes:
    """``mask`` (D, H, W) of ``image`` as NIfTI, at the position of the image.

    Raises ``InputError`` where the image does not state it.
    """
    affine = affine_of(image)
    if affine is None:
        raise InputError(f"{image.source}: does not state the positions of its slices")
    data = np.ascontiguousarray(mask.transpose(2, 1, 0).astype(np.uint8))
    nifti = nib.Nifti1Image(data, affine)
    nifti.header["descrip"] = _WORDS
    nifti.header.set_xyzt_units("mm")
    return nifti.to_bytes()

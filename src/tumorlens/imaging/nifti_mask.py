"""A mask on the voxels of an image, written as NIfTI."""

from typing import Final

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import InputError
from tumorlens.imaging.affine import affine_of
from tumorlens.imaging.image import MedicalImage

_WORDS: Final = b"tumorlens attention map, no outline of a lesion; RESEARCH ONLY"


def as_nifti(mask: NDArray[np.bool_], image: MedicalImage) -> bytes:
    """``mask`` (D, H, W) of ``image`` as NIfTI, where the image lies.

    Raises ``InputError`` where the image does not say.
    """
    affine = affine_of(image)
    if affine is None:
        raise InputError(f"{image.source}: does not state the positions of its slices")
    data = np.ascontiguousarray(mask.transpose(2, 1, 0).astype(np.uint8))
    made = nib.Nifti1Image(data, affine)
    made.header["descrip"] = _WORDS
    made.header.set_xyzt_units("mm")
    return made.to_bytes()

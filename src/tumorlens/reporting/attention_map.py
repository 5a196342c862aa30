"""The attention map of a tumour as a mask on the voxels of the image: DICOM Segmentation, NIfTI.

In the slices of the finding, the mask contains the pixels of at least half of the slice's maximum.
The difference from experts' outlines is measured (docs/measurements.md, Heatmaps). The volume of
the mask was not validated, so it is not stated.
"""

import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import InputError, needing
from tumorlens.imaging.dicom.derived import DicomObject
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.study import source_headers
from tumorlens.inference.heatmap import BOX_LEVEL, upsample
from tumorlens.inference.record import ImageAnswer, VolumePrediction
from tumorlens.inference.summary import is_tumor
from tumorlens.inference.volume import Answered
from tumorlens.reporting.dicom_answer import algorithm_of

Mask = NDArray[np.bool_]


def attention_mask(answered: Answered) -> Mask | None:
    """The mask (D, H, W); None if no tumour is reported."""
    image, answer = answered.image, answered.answer
    if not is_tumor(answer):
        return None
    slices = (0, 0)
    if isinstance(answer, VolumePrediction) and answer.finding is not None:
        slices = (answer.finding.first, answer.finding.last)
    mask = np.zeros((image.depth, image.height, image.width), dtype=np.bool_)
    for index in range(slices[0], slices[1] + 1):
        heatmap = answered.heatmap_of(index)
        if heatmap is not None:
            grid = np.asarray(heatmap.grid, dtype=np.float32)
            full = upsample(grid, heatmap.square, (image.height, image.width))
            mask[index] = (full > 0) & (full >= BOX_LEVEL * full.max())
    return mask


def as_dicom(mask: Mask, image: MedicalImage, answer: ImageAnswer) -> DicomObject:
    """``mask`` as DICOM Segmentation for ``image``, whose files must be single-frame DICOM.

    Raises ``InputError`` if the files do not state their position, ``MissingExtraError`` without
    the extra ``pacs``.
    """
    with needing("pacs", "writing DICOM"):
        from tumorlens.imaging.dicom.segmentation import segmentation

    stored = image.facts.stored if image.facts else ()
    if any(slice_facts.frame is not None for slice_facts in stored):
        raise InputError(f"{image.source}: no segmentation of multi-frame files")
    return segmentation(source_headers(stored), mask, image, algorithm_of(answer.model))

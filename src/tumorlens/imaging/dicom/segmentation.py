"""An attention map as a DICOM Segmentation (PS3.3 A.51), made with highdicom (extra ``pacs``)."""

import dataclasses
from collections.abc import Sequence
from typing import Final

import highdicom as hd
import msgspec
import numpy as np
from highdicom.seg import Segmentation, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from tumorlens.errors import CorruptInputError
from tumorlens.imaging.dicom import codes as coded
from tumorlens.imaging.dicom.derived import (
    RESEARCH,
    Algorithm,
    DicomObject,
    as_mr,
    finished,
    identity,
    making,
    prepared,
    state_classes,
    uid_of,
)
from tumorlens.imaging.geometry.affine import LPS_TO_RAS, affine_of
from tumorlens.imaging.image import MedicalImage

SERIES_NUMBER: Final = 9103
LABEL: Final = "Attention map, no outline"
_DESCRIPTION: Final = "Attention map of a network, no outline; RESEARCH ONLY"
_GEOMETRY: Final = (
    "FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "Rows", "Columns",
)  # fmt: skip
_SAME_DIRECTION: Final = 0.7
"""Cosine above which directions of slices, which are turned by 90 degrees or more, are the same."""
_SHORTEST: Final = 1e-6


def segmentation(
    headers: Sequence[Dataset], mask: NDArray[np.bool_], image: MedicalImage, algorithm: Algorithm
) -> DicomObject:
    """Write ``mask`` (D, H, W) of ``image`` over its files, one single-frame file a slice.

    ``headers`` are those of ``image.facts.stored``. Raises ``CorruptInputError`` where the files do
    not say where their pixels lie.
    """
    source = image.source
    sources = [_referred(header, source) for header in headers]
    if image.facts and image.facts.acquired:
        mask = _on_stored(mask, image, sources)
    elif _is_changed(image, sources[0]):
        mask = _on_each_stored(mask, image, sources)
    with making("segmentation", source):
        identifiers = identity("attention map", SERIES_NUMBER, sources, algorithm)
        described = SegmentDescription(
            segment_number=1,
            segment_label=LABEL,
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=coded.NEOPLASM,
            algorithm_type="AUTOMATIC",
            algorithm_identification=hd.AlgorithmIdentificationSequence(
                name=f"tumorlens {algorithm.name}",
                family=codes.DCM.ArtificialIntelligence,
                version=algorithm.version,
            ),
            tracking_uid=uid_of("attention map", identifiers["sop_instance_uid"]),
            tracking_id="tumorlens attention map",
            anatomic_regions=[coded.BRAIN],
        )
        attention_map = Segmentation(
            source_images=[as_mr(header) for header in sources],
            pixel_array=mask.astype(np.uint8),
            segmentation_type="BINARY",
            segment_descriptions=[described],
            **identifiers,
            device_serial_number=algorithm.sha256[:16],
            content_label="ATTENTION_MAP",
            content_description=_DESCRIPTION,
            series_description=f"tumorlens attention map {RESEARCH}",
        )
        state_classes(attention_map, sources)
        return finished(attention_map)


def _is_changed(image: MedicalImage, stored: Dataset) -> bool:
    """Whether slices were turned or resampled in their plane when they were read."""
    facts = image.facts
    if (image.height, image.width) != (stored.Rows, stored.Columns):
        return True
    if facts is None or facts.row_direction is None or facts.column_direction is None:
        return False
    row, column = _axes(stored)
    along = row @ np.array(facts.row_direction), column @ np.array(facts.column_direction)
    return bool(min(along) < _SAME_DIRECTION)


def _on_each_stored(
    mask: NDArray[np.bool_], image: MedicalImage, sources: Sequence[Dataset]
) -> NDArray[np.bool_]:
    """``_on_stored`` for one slice at a time, because slices need not be evenly spaced."""
    if image.facts is None:
        raise CorruptInputError(f"{image.source}: does not state the positions of its slices")
    planes = []
    for plane, slice_facts, stored in zip(mask, image.facts.slices, sources, strict=True):
        facts = msgspec.structs.replace(image.facts, slices=(slice_facts,))
        samples = image.samples[0] if image.is_volume else image.samples
        alone = dataclasses.replace(image, samples=samples, facts=facts)
        planes.append(_on_stored(plane[np.newaxis], alone, [stored]))
    return np.concatenate(planes)


def _axes(stored: Dataset) -> NDArray[np.float64]:
    """(2, 3): unit vectors along a row and down a column."""
    axes = np.array(stored.ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
    axes /= np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), _SHORTEST)
    return axes


def _on_stored(
    mask: NDArray[np.bool_], image: MedicalImage, sources: Sequence[Dataset]
) -> NDArray[np.bool_]:
    """``mask`` of ``image``, whose slices were cut anew or changed, on those of the files.

    Each voxel of a file takes the value at its middle.
    """
    affine = affine_of(image)
    if affine is None:
        raise CorruptInputError(f"{image.source}: does not state the positions of its slices")
    to_index = np.linalg.inv(affine) @ LPS_TO_RAS
    limits = np.array(mask.shape[::-1])[:, np.newaxis, np.newaxis]
    planes = []
    for source in sources:
        row, column = _axes(source)
        down, across = (float(step) for step in source.PixelSpacing)
        corner = np.array(source.ImagePositionPatient, dtype=np.float64)
        to_patient = np.eye(4)[:, [0, 1, 3]]
        to_patient[:3] = np.column_stack([column * down, row * across, corner])
        rows, columns = np.indices((source.Rows, source.Columns))
        indices = np.stack([rows, columns, np.ones_like(rows)])
        voxels = np.tensordot(to_index @ to_patient, indices, axes=1)[:3].round().astype(np.int64)
        inside = ((voxels >= 0) & (voxels < limits)).all(axis=0)
        x, y, z = np.where(inside, voxels, 0)
        planes.append(mask[z, y, x] & inside)
    return np.stack(planes)


def _referred(header: Dataset, source: str) -> Dataset:
    """What the segmentation needs of a slice: patient, instance and geometry."""
    referred = prepared(header, source)
    for keyword in _GEOMETRY:
        if header.get(keyword) is None:
            raise CorruptInputError(
                f"{source}: no segmentation can refer to it ({keyword} missing)"
            )
        setattr(referred, keyword, header[keyword].value)
    referred.SliceThickness = header.get("SliceThickness") or header.get("SpacingBetweenSlices")
    referred.Modality = "MR"
    referred.BitsStored = referred.BitsAllocated = 16
    return referred

"""Where a volume's finding lies, and what the files say of the series."""

import msgspec
import numpy as np

from tumorlens.imaging.facts import AcquisitionFacts, SliceFacts, Vector
from tumorlens.imaging.image import MedicalImage


class Finding(msgspec.Struct, frozen=True):
    """The slices that hold the finding, counted from 0, ends included."""

    first: int
    middle: int
    last: int
    position_mm: Vector | None
    """The centre of the middle slice in the patient: left, back, head (DICOM's frame)."""
    path: str | None
    """The middle slice's file."""
    member: str | None
    """Its name in an archive, where ``path`` is one."""
    frame: int | None
    """Its frame, from 1, in a multi-frame file."""
    sop_instance_uid: str | None


class SeriesFacts(msgspec.Struct, frozen=True):
    """What the file says of the acquisition; None or empty where it does not."""

    modality: str | None
    body_part: str | None
    description: str | None
    number: int | None
    sequence_name: str | None
    scanning_sequence: tuple[str, ...]
    contrast_agent: str | None
    plane: str | None
    slice_spacing_mm: float | None
    pixel_spacing_mm: tuple[float, float] | None
    study_instance_uid: str | None
    series_instance_uid: str | None


def locate_finding(found: tuple[int, int, int] | None, image: MedicalImage) -> Finding | None:
    """Say where the slices ``found`` (first, middle, last) of ``image`` lie; None of None."""
    if found is None:
        return None
    first, middle, last = found
    place = image.facts.slices[middle] if image.facts else SliceFacts("")
    return Finding(
        first=first,
        middle=middle,
        last=last,
        position_mm=_center(image, place),
        path=place.path or None,
        member=place.member,
        frame=place.frame,
        sop_instance_uid=place.sop_instance_uid,
    )


def _center(image: MedicalImage, place: SliceFacts) -> Vector | None:
    """The middle of a slice (PS3.3 equation C.7.6.2.1-1)."""
    facts, spacing, corner = image.facts, image.pixel_spacing_mm, place.position_mm
    if facts is None or spacing is None or corner is None:
        return None
    if facts.row_direction is None or facts.column_direction is None:
        return None
    along_row = np.asarray(facts.row_direction) * ((image.width - 1) / 2 * spacing[1])
    along_column = np.asarray(facts.column_direction) * ((image.height - 1) / 2 * spacing[0])
    x, y, z = (round(float(v), 2) for v in np.asarray(corner) + along_row + along_column)
    return (x, y, z)


def describe(image: MedicalImage, facts: AcquisitionFacts) -> SeriesFacts:
    """What goes into the record of ``facts``, which are those of ``image``."""
    return SeriesFacts(
        modality=facts.modality,
        body_part=facts.body_part,
        description=facts.series_description,
        number=facts.series_number,
        sequence_name=facts.sequence_name,
        scanning_sequence=facts.scanning_sequence,
        contrast_agent=facts.contrast_agent,
        plane=facts.plane,
        slice_spacing_mm=facts.slice_spacing_mm,
        pixel_spacing_mm=image.pixel_spacing_mm,
        study_instance_uid=facts.study_instance_uid,
        series_instance_uid=facts.series_instance_uid,
    )

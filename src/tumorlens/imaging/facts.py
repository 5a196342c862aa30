"""What medical files say of a picture beside its pixels. Nothing here names a patient."""

from typing import Final

import msgspec
import numpy as np

Vector = tuple[float, float, float]
"""Millimetres or a direction in the patient's frame: x to the left, y to the back, z to the head
(LPS, PS3.3 C.7.6.2.1.1)."""

_OBLIQUE_BELOW: Final = 0.8
"""Cosine under which a plane has no name: further than 37 degrees from all three."""
PLANES: Final = ("sagittal", "coronal", "axial")
"""The plane whose normal is the x, y and z axis."""


class SliceFacts(msgspec.Struct, frozen=True):
    """Where one slice of the pixels comes from."""

    path: str
    """Its file; for a member of an archive, the archive."""
    member: str | None = None
    """Its name in the archive, where ``path`` is one."""
    frame: int | None = None
    """Number of the frame in a multi-frame file, from 1 (PS3.3 10.3 counts so)."""
    sop_instance_uid: str | None = None
    position_mm: Vector | None = None
    """The centre of the first pixel (PS3.3 C.7.6.2.1.1)."""
    along_mm: float | None = None
    """``position_mm`` measured along the normal of the slices."""


class AcquisitionFacts(msgspec.Struct, frozen=True):
    """Sequence, geometry and references. What the file does not say is None or empty."""

    modality: str | None = None
    body_part: str | None = None
    sequence_name: str | None = None
    scanning_sequence: tuple[str, ...] = ()
    """``SE``, ``IR``, ``GR``, ``EP``, ``RM`` (PS3.3 C.8.3.1)."""
    contrast_agent: str | None = None
    series_description: str | None = None
    series_number: int | None = None
    image_type: tuple[str, ...] = ()
    sop_class_uid: str | None = None
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    frame_of_reference_uid: str | None = None
    plane: str | None = None
    """``axial``, ``coronal``, ``sagittal``, ``oblique``, or None where it is not known."""
    row_direction: Vector | None = None
    """Unit vector along a row, towards larger columns."""
    column_direction: Vector | None = None
    """Unit vector down a column, towards larger rows."""
    slice_spacing_mm: float | None = None
    """The usual distance between the middles of neighbouring slices."""
    slice_thickness_mm: float | None = None
    slices: tuple[SliceFacts, ...] = ()
    """One for each slice of ``MedicalImage.pixels``, in its order."""
    notes: tuple[str, ...] = ()
    """Gaps, duplicates, what was left out: sentences for a person."""


def normal(row: Vector, column: Vector) -> Vector:
    """The unit vector that slices are stacked along: row x column."""
    product = np.cross(np.asarray(row, dtype=np.float64), np.asarray(column, dtype=np.float64))
    x, y, z = (float(part) for part in product / (np.linalg.norm(product) or 1.0))
    return (x, y, z)


def plane_of(direction: Vector) -> str:
    """Name the plane whose normal is nearest to ``direction``, or ``oblique``."""
    cosines = np.abs(np.asarray(direction, dtype=np.float64))
    nearest = int(np.argmax(cosines))
    return PLANES[nearest] if cosines[nearest] >= _OBLIQUE_BELOW else "oblique"

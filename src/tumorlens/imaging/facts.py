"""What medical files state about an image besides its pixels. Nothing here names a patient."""

from datetime import date
from typing import Final, Literal, NamedTuple, get_args

import msgspec
import numpy as np

Vector = tuple[float, float, float]
"""Millimetres or a direction in the patient's frame: x to the left, y to the back, z to the head
(LPS, PS3.3 C.7.6.2.1.1)."""

_OBLIQUE_BELOW: Final = 0.8
"""Cosine under which a plane has no name: further than 37 degrees from all three."""
_LETTERS: Final = (("R", "L"), ("A", "P"), ("F", "H"))
"""Where x, y and z decrease and increase: right, left, front, back, feet, head (LPS)."""
_SECOND_LETTER_FROM: Final = 0.5
"""Cosine from which a direction has a second letter: 30 degrees off the nearest axis."""
Plane = Literal["sagittal", "coronal", "axial"]
PLANES: Final[tuple[Plane, ...]] = get_args(Plane)
"""The plane whose normal is the x, y and z axis."""
DEFAULT_PLANE: Final[Plane] = "axial"


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
    """Sequence, geometry and references. What the file does not state is None or empty."""

    modality: str | None = None
    body_part: str | None = None
    sequence_name: str | None = None
    scanning_sequence: tuple[str, ...] = ()
    """``SE``, ``IR``, ``GR``, ``EP``, ``RM`` (PS3.3 C.8.3.1)."""
    contrast_agent: str | None = None
    series_description: str | None = None
    series_number: int | None = None
    patient: str | None = None
    """A hash of the patient's identifier, else name; empty if DICOM has neither, None elsewhere."""
    folder: str | None = None
    """Of its files, if those of the same UIDs in other folders are other volumes."""
    acquired_on: date | None = None
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    frame_of_reference_uid: str | None = None
    plane: str | None = None
    """``axial``, ``coronal``, ``sagittal``, ``oblique``, or None where it is not known."""
    row_direction: Vector | None = None
    """Unit vector along a row, towards larger columns."""
    column_direction: Vector | None = None
    """Unit vector down a column, towards larger rows."""
    orientation_assumed: bool = False
    """Whether the file does not state the directions, so that the usual ones were assumed."""
    slice_spacing_mm: float | None = None
    """The usual distance between the middles of neighbouring slices."""
    slices: tuple[SliceFacts, ...] = ()
    """One for each slice of ``MedicalImage.pixels``, in its order."""
    outside_training: bool = False
    """Whether the files state a map, a projection, a localizer, or a part of the body other than
    the head: the network was trained on none of these."""
    acquired: tuple[SliceFacts, ...] = ()
    """Slices of the files, where those of the pixels were cut anew from them; else empty."""
    notes: tuple[str, ...] = ()
    """Gaps, duplicates, what was skipped: sentences for people."""

    @property
    def stored(self) -> tuple[SliceFacts, ...]:
        """The slices as files hold them."""
        return self.acquired or self.slices


class Sides(NamedTuple):
    """Which side of the patient each edge of an image is: one letter, or two where oblique.

    R and L, A and P (front and back), H and F (head and feet), as in PS3.3 C.7.6.1.1.1.
    """

    left: str
    right: str
    top: str
    bottom: str


def sides_of(facts: AcquisitionFacts | None) -> Sides | None:
    """The sides that the edges of an image or slice show; None where no file states them."""
    if facts is None or facts.orientation_assumed:
        return None
    row, column = facts.row_direction, facts.column_direction
    if row is None or column is None:
        return None
    return Sides(letters(row, -1), letters(row, 1), letters(column, -1), letters(column, 1))


def letters(direction: Vector, sense: int) -> str:
    """The side that ``direction``, or with ``sense`` -1 its opposite, points to."""
    order = sorted(range(3), key=lambda axis: -abs(direction[axis]))
    named = [k for k in order if k == order[0] or abs(direction[k]) >= _SECOND_LETTER_FROM]
    return "".join(_LETTERS[k][int(sense * direction[k] > 0)] for k in named[:2])


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

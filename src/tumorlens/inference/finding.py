"""Where a tumour lies, in slices and in the patient, and what the files state about the series."""

from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.imaging.facts import AcquisitionFacts, SliceFacts, Vector
from tumorlens.imaging.image import MedicalImage
from tumorlens.inference.brain_slices import Slices
from tumorlens.inference.record import Finding, Heatmap, SeriesFacts

MIDLINE_MM: Final = 10.0
"""A finding that is nearer to the middle of the head has no side."""
_DIGITS: Final = 1


class _Plane(NamedTuple):
    """A slice in the patient's frame, millimetres."""

    corner: NDArray[np.float64]
    along_row: NDArray[np.float64]
    """Vector to the next column."""
    along_column: NDArray[np.float64]
    """Vector to the next row."""

    def at(self, row: float, column: float) -> NDArray[np.float64]:
        return self.corner + column * self.along_row + row * self.along_column


def locate_finding(
    run: tuple[int, int, int], image: MedicalImage, slices: Slices, heatmap: Heatmap | None
) -> Finding:
    """Locate the slices of ``run`` (first, middle, last) and the heatmap of the middle one."""
    first, middle, last = run
    slice_facts = image.facts.slices[middle] if image.facts else SliceFacts("")
    plane = _plane(image, slice_facts) if slices.spacing_is_known else None
    center = _center(image, heatmap)
    position = None if plane is None else _vector(plane.at(*center))
    stored = slice_facts
    if image.facts:
        stored = image.facts.stored[stored_index(image, middle, position)]
    return Finding(
        first=first,
        middle=middle,
        last=last,
        position_mm=position,
        extent_mm=_extent(run, image, slices, heatmap),
        side=None if plane is None else _side(image, middle, plane, center),
        path=stored.path or None,
        member=stored.member,
        frame=stored.frame,
        sop_instance_uid=stored.sop_instance_uid,
    )


def stored_index(image: MedicalImage, index: int, position: Vector | None) -> int:
    """Index of slice ``index`` in ``facts.stored``; for resampled slices, that at ``position``.

    The middle one if no position is known.
    """
    if image.facts is None or not image.facts.acquired:
        return index
    corners = np.array([acquired.position_mm for acquired in image.facts.acquired])
    if position is None:
        return len(corners) // 2
    axis = corners[-1] - corners[0]
    return int(np.argmin(np.abs((corners - np.array(position)) @ axis)))


def center_of(image: MedicalImage, index: int) -> Vector | None:
    """The centre of a slice in the patient; None if the file does not state it."""
    if image.facts is None or not image.facts.slices:
        return None
    plane = _plane(image, image.facts.slices[index])
    middle = (image.height - 1) / 2, (image.width - 1) / 2
    return None if plane is None else _vector(plane.at(*middle))


def _center(image: MedicalImage, heatmap: Heatmap | None) -> tuple[float, float]:
    """Row and column of the centre of the heatmap's box; without a heatmap, of the slice."""
    if heatmap is None:
        return (image.height - 1) / 2, (image.width - 1) / 2
    if heatmap.box is None:
        return float(heatmap.peak.row), float(heatmap.peak.column)
    box = heatmap.box
    return (box.top + box.bottom - 1) / 2, (box.left + box.right - 1) / 2


def _plane(image: MedicalImage, slice_facts: SliceFacts) -> _Plane | None:
    """The geometry of a slice (PS3.3 equation C.7.6.2.1-1)."""
    facts, spacing, corner = image.facts, image.pixel_spacing_mm, slice_facts.position_mm
    if facts is None or spacing is None or corner is None:
        return None
    if facts.row_direction is None or facts.column_direction is None:
        return None
    return _Plane(
        np.asarray(corner, dtype=np.float64),
        np.asarray(facts.row_direction, dtype=np.float64) * spacing[1],
        np.asarray(facts.column_direction, dtype=np.float64) * spacing[0],
    )


def _extent(
    run: tuple[int, int, int], image: MedicalImage, slices: Slices, heatmap: Heatmap | None
) -> Vector | None:
    """Extent along rows, along columns, across slices; None without spacing or heatmap."""
    spacing = image.pixel_spacing_mm
    stated = image.facts is not None and image.facts.slice_spacing_mm is not None
    if heatmap is None or heatmap.box is None or spacing is None or not stated:
        return None
    if not slices.spacing_is_known:
        return None
    along, box = slices.along_mm, heatmap.box
    thickness = float(np.median(np.abs(np.diff(along)))) if len(along) > 1 else 0.0
    across = abs(float(along[run[2]] - along[run[0]])) + thickness
    width, height = (box.right - box.left) * spacing[1], (box.bottom - box.top) * spacing[0]
    return _vector(np.array([width, height, across]))


def _side(
    image: MedicalImage, middle: int, plane: _Plane, center: tuple[float, float]
) -> Literal["left", "right", "midline"] | None:
    """The side relative to the middle of the bright pixels in the slice; x grows to the left."""
    if image.facts is None or image.facts.orientation_assumed:
        return None
    pixels = image.pixels[middle] if image.is_volume else image.pixels
    bright = np.argwhere(pixels > pixels.min() + 0.12 * (np.quantile(pixels, 0.995) - pixels.min()))
    if not len(bright):
        return None
    low, high = np.quantile(bright, (0.02, 0.98), axis=0)
    head = plane.at(*((low + high) / 2))
    offset = float(plane.at(*center)[0] - head[0])
    if abs(plane.along_row[0]) + abs(plane.along_column[0]) < 1e-3:
        # A sagittal slice: its position relative to the middle of the series gives the side.
        corners = [s.position_mm for s in image.facts.slices if s.position_mm is not None]
        offset = float(plane.corner[0] - np.median([corner[0] for corner in corners]))
    if abs(offset) < MIDLINE_MM:
        return "midline"
    return "left" if offset > 0 else "right"


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = (round(float(value), _DIGITS) for value in values)
    return (x, y, z)


def describe(image: MedicalImage, facts: AcquisitionFacts) -> SeriesFacts:
    """The part of ``facts``, those of ``image``, that the record contains."""
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
        frame_of_reference_uid=facts.frame_of_reference_uid,
    )

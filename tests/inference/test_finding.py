"""Which stored slice, which point and which side of the patient an answer refers to."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from tumorlens.imaging.facts import AcquisitionFacts, SliceFacts, Vector
from tumorlens.imaging.image import MedicalImage
from tumorlens.inference.brain_slices import Slices
from tumorlens.inference.finding import (
    MIDLINE_MM,
    center_of,
    describe,
    locate_finding,
    stored_index,
)
from tumorlens.inference.record import Finding, Heatmap, Pixel, Region, SeenSquare


def placed(
    heights: Sequence[float], acquired: Sequence[float] = (), spacing: tuple[float, float] = (2, 1)
) -> MedicalImage:
    """Axial slices of 5 rows and 9 columns at ``heights``; ``acquired`` are those of the files."""

    def slices(at: Sequence[float]) -> tuple[SliceFacts, ...]:
        return tuple(SliceFacts(f"{z}.dcm", position_mm=(-4.0, -5.0, z), along_mm=z) for z in at)

    facts = AcquisitionFacts(
        row_direction=(1, 0, 0), column_direction=(0, 1, 0), slices=slices(heights),
        acquired=slices(acquired),
    )  # fmt: skip
    pixels = np.zeros((len(heights), 5, 9), np.float32)
    return MedicalImage(pixels, "v", 16, "L", pixel_spacing_mm=spacing, facts=facts)


@pytest.mark.parametrize(
    ("acquired", "position", "expected"),
    [
        ([0, 5, 10, 15], (0, 0, 11), 2),
        ([15, 10, 5, 0], (0, 0, 11), 1),
        ([0, 5, 10, 15], (90, -90, 4), 1),
        ([0, 5, 10, 15], (0, 0, 99), 3),
        ([0, 5, 10, 15], (0, 0, -99), 0),
        ([0, 5, 10, 15], None, 2),
    ],
)
def test_of_slices_cut_anew_a_report_refers_to_the_stored_one_at_the_same_place(
    acquired: Sequence[float], position: Vector | None, expected: int
) -> None:
    assert stored_index(placed([1, 2, 3], acquired), 0, position) == expected


def test_of_slices_as_stored_a_report_refers_to_the_slice_itself() -> None:
    assert stored_index(placed([0, 5, 10]), 2, (0, 0, 0)) == 2
    assert stored_index(MedicalImage(np.zeros((3, 5, 9), np.float32), "v", 8, "L"), 1, None) == 1


def test_the_middle_of_a_slice_lies_in_the_patient_where_its_header_says() -> None:
    assert center_of(placed([0, 5, 10]), 1) == (0.0, -1.0, 5.0)


def test_without_a_header_no_place_in_the_patient_is_claimed() -> None:
    assert center_of(MedicalImage(np.zeros((5, 9), np.float32), "v", 8, "L"), 0) is None
    image = MedicalImage(np.zeros((5, 9), np.float32), "v", 8, "L", facts=AcquisitionFacts())
    assert center_of(image, 0) is None


SIZE = 101
"""Rows and columns of a slice with a head; its middle is pixel 50."""


def head_slices(
    row: Vector = (1, 0, 0),
    column: Vector = (0, 1, 0),
    step: Vector = (0, 0, 5),
    count: int = 5,
    spacing: tuple[float, float] = (1.0, 1.0),
    head_at: int = 50,
    **more: Any,
) -> MedicalImage:
    """Slices of a bright disc of 30 pixels radius in column ``head_at``, the first at (0, 0, 0)."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    disc = np.where(np.hypot(rows - 50, columns - head_at) < 30, 100, 0).astype(np.float32)
    places = tuple(
        SliceFacts(f"{k}.dcm", position_mm=(k * step[0], k * step[1], k * step[2]),
                   along_mm=k * float(np.linalg.norm(step)), sop_instance_uid=f"1.{k}")
        for k in range(count)
    )  # fmt: skip
    facts = AcquisitionFacts(
        row_direction=row, column_direction=column, slices=places, slice_spacing_mm=5.0
    )
    facts = msgspec.structs.replace(facts, **more)
    return MedicalImage(np.stack([disc] * count), "v", 16, "L", spacing, facts)


def mapped(top: int, left: int, bottom: int, right: int) -> Heatmap:
    """A map whose box is given, its peak in the box's first pixel."""
    return Heatmap(
        label="glioma", square=SeenSquare(top=0, left=0, side=SIZE), grid=[[1.0]],
        peak=Pixel(row=top, column=left),
        box=Region(top=top, left=left, bottom=bottom, right=right),
    )  # fmt: skip


def located(
    image: MedicalImage,
    heatmap: Heatmap | None = None,
    found: tuple[int, int, int] = (1, 2, 3),
    along: Sequence[float] | None = None,
    doubt: str = "",
) -> Finding:
    """``locate_finding``; the slices lie 5 mm apart unless ``along`` says otherwise."""
    at = np.array(along or [5.0 * k for k in range(image.depth)], np.float64)
    return locate_finding(found, image, Slices(at, np.ones(image.depth, np.bool_), doubt), heatmap)


def point(row: int, column: int) -> Heatmap:
    """A map whose box is one pixel."""
    return mapped(row, column, row + 1, column + 1)


@pytest.mark.parametrize(
    ("column", "spacing", "side"),
    [
        (50, 1.0, "midline"),
        (59, 1.0, "midline"),
        (60, 1.0, "left"),
        (41, 1.0, "midline"),
        (40, 1.0, "right"),
        (56, 2.0, "left"),
        (44, 2.0, "right"),
        (60, 0.5, "midline"),
    ],
)
def test_a_finding_has_a_side_from_ten_millimetres_off_the_middle_of_the_head(
    column: int, spacing: float, side: str
) -> None:
    assert MIDLINE_MM == 10
    image = head_slices(spacing=(spacing, spacing))
    assert located(image, point(50, column)).side == side


@pytest.mark.parametrize(
    ("row", "column", "place", "side"),
    [
        ((1, 0, 0), (0, 1, 0), (50, 70), "left"),
        ((-1, 0, 0), (0, 1, 0), (50, 70), "right"),
        ((1, 0, 0), (0, 0, -1), (50, 70), "left"),
        ((0, 1, 0), (1, 0, 0), (70, 50), "left"),
        ((0, 1, 0), (-1, 0, 0), (70, 50), "right"),
        ((0, 1, 0), (1, 0, 0), (50, 70), "midline"),
    ],
)
def test_the_side_is_the_patients_however_the_slices_are_stored(
    row: Vector, column: Vector, place: tuple[int, int], side: str
) -> None:
    assert located(head_slices(row, column), point(*place)).side == side


@pytest.mark.parametrize(("head_at", "side"), [(50, "left"), (70, "midline"), (35, "left")])
def test_the_middle_is_that_of_the_head_not_of_the_image(head_at: int, side: str) -> None:
    assert located(head_slices(head_at=head_at), point(50, 65)).side == side


@pytest.mark.parametrize(("middle", "side"), [(0, "right"), (2, "midline"), (4, "left")])
def test_in_sagittal_slices_the_place_among_the_slices_tells_the_side(
    middle: int, side: str
) -> None:
    image = head_slices((0, 1, 0), (0, 0, -1), step=(6, 0, 0))
    assert located(image, point(50, 80), (0, middle, 4)).side == side


@pytest.mark.parametrize(
    ("image", "doubt"),
    [
        (head_slices(orientation_assumed=True), ""),
        (head_slices(row_direction=None), ""),
        (head_slices(), "the distance is not believed"),
        (MedicalImage(np.ones((5, SIZE, SIZE), np.float32), "v", 8, "L"), ""),
        (MedicalImage(np.zeros((5, SIZE, SIZE), np.float32), "v", 8, "L", (1, 1),
                      head_slices().facts), ""),
    ],
    ids=["orientation assumed", "no orientation", "spacing in doubt", "no header", "black"],
)  # fmt: skip
def test_no_side_is_claimed_of_what_does_not_tell_it(image: MedicalImage, doubt: str) -> None:
    assert located(image, point(50, 80), doubt=doubt).side is None


def test_the_position_is_the_middle_of_the_box_in_the_patient() -> None:
    image = head_slices(spacing=(2.0, 0.5))
    assert located(image, mapped(10, 20, 21, 41)).position_mm == (15.0, 30.0, 10.0)


@pytest.mark.parametrize("middle", [0, 3])
def test_the_position_is_on_the_middle_slice(middle: int) -> None:
    assert located(head_slices(), point(7, 9), (0, middle, 4)).position_mm == (9, 7, 5 * middle)


def test_where_the_map_has_no_box_the_position_is_its_peak_and_no_extent_is_known() -> None:
    peak = msgspec.structs.replace(point(10, 30), box=None)
    found = located(head_slices(), peak)
    assert (found.position_mm, found.extent_mm) == ((30, 10, 10), None)


def test_without_a_map_the_position_is_the_middle_of_the_slice() -> None:
    found = located(head_slices(), None)
    assert (found.position_mm, found.extent_mm) == ((50, 50, 10), None)


def test_millimetres_are_given_to_a_tenth() -> None:
    image = head_slices(spacing=(1 / 3, 2 / 3))
    assert located(image, point(1, 1)).position_mm == (0.7, 0.3, 10.0)


@pytest.mark.parametrize(
    ("found", "along", "across"),
    [
        ((1, 2, 3), (0, 5, 10, 15, 20), 15),
        ((2, 2, 2), (0, 5, 10, 15, 20), 5),
        ((0, 2, 4), (20, 15, 10, 5, 0), 25),
        ((0, 1, 3), (0, 3, 6, 9, 40), 12),
    ],
)
def test_the_extent_is_along_rows_along_columns_and_across_the_slices(
    found: tuple[int, int, int], along: Sequence[float], across: float
) -> None:
    """A slice is as thick as slices usually lie apart."""
    image = head_slices(spacing=(2.0, 0.5))
    extent = located(image, mapped(10, 20, 13, 40), found, along).extent_mm
    assert extent == (20 * 0.5, 3 * 2.0, across)


def test_a_single_slice_has_no_thickness_of_its_own() -> None:
    image = head_slices(count=1)
    assert located(image, mapped(0, 0, 2, 3), (0, 0, 0)).extent_mm == (3, 2, 0)


@pytest.mark.parametrize(
    ("image", "doubt"),
    [
        (head_slices(slice_spacing_mm=None), ""),
        (head_slices(), "the distance is not believed"),
        (MedicalImage(np.ones((5, SIZE, SIZE), np.float32), "v", 8, "L", (1, 1)), ""),
        (MedicalImage(np.ones((5, SIZE, SIZE), np.float32), "v", 8, "L", None,
                      head_slices().facts), ""),
    ],
    ids=["no slice spacing", "spacing in doubt", "no header", "no pixel spacing"],
)  # fmt: skip
def test_no_extent_is_claimed_without_a_known_spacing(image: MedicalImage, doubt: str) -> None:
    assert located(image, point(50, 50), doubt=doubt).extent_mm is None


def test_a_finding_names_the_stored_slice_of_its_middle() -> None:
    found = located(head_slices(), point(50, 50), (0, 3, 4))
    assert (found.first, found.middle, found.last) == (0, 3, 4)
    assert (found.path, found.sop_instance_uid) == ("3.dcm", "1.3")


def test_a_finding_in_slices_cut_anew_names_the_stored_one_at_its_place() -> None:
    stored = tuple(
        SliceFacts("all.zip", member=f"{k}.dcm", frame=k + 1, position_mm=(10.0 * k, 0, 0))
        for k in range(10)
    )
    found = located(head_slices(acquired=stored), point(50, 42))
    assert (found.path, found.member, found.frame) == ("all.zip", "4.dcm", 5)


def test_a_finding_in_a_plain_image_names_no_file() -> None:
    image = MedicalImage(np.ones((5, SIZE, SIZE), np.float32), "v", 8, "L")
    found = located(image, point(50, 50))
    assert (found.path, found.position_mm, found.sop_instance_uid) == (None, None, None)


def test_the_record_of_a_series_states_what_its_files_state() -> None:
    facts = AcquisitionFacts(
        modality="MR", body_part="BRAIN", series_description="t1", series_number=4,
        sequence_name="fl3d", scanning_sequence=("GR", "IR"), contrast_agent="Gd",
        plane="axial", slice_spacing_mm=2.5, study_instance_uid="1.2", series_instance_uid="1.3",
        frame_of_reference_uid="1.4",
    )  # fmt: skip
    image = MedicalImage(np.zeros((3, 5, 9), np.float32), "v", 8, "L", (0.5, 0.7), facts)
    described = msgspec.to_builtins(describe(image, facts))
    stated = msgspec.to_builtins(facts)
    renamed = {"description": "series_description", "number": "series_number"}
    assert described.pop("pixel_spacing_mm") == (0.5, 0.7)
    assert described == {name: stated[renamed.get(name, name)] for name in described}

"""Which stored slice, which point and which side of the patient an answer refers to."""

from collections.abc import Sequence

import numpy as np
import pytest

from tumorlens.imaging.facts import AcquisitionFacts, SliceFacts, Vector
from tumorlens.imaging.image import MedicalImage
from tumorlens.inference.finding import center_of, stored_index


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

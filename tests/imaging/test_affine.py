"""From voxel indices to millimetres in the patient, whatever a header says of them."""

from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tumorlens.imaging.facts import AcquisitionFacts, SliceFacts
from tumorlens.imaging.geometry.affine import (
    LPS_TO_RAS,
    affine_of,
    centred,
    in_millimetres,
    plausible_sizes,
    sensible,
    usual,
)
from tumorlens.imaging.image import MedicalImage

FACTS = AcquisitionFacts(
    row_direction=(0, 1, 0),
    column_direction=(0, 0, -1),
    slices=tuple(SliceFacts("a", position_mm=(-30.0 + 3 * k, -80.0, 90.0)) for k in range(4)),
)


def stack(
    facts: AcquisitionFacts | None = FACTS, spacing: tuple[float, float] | None = (0.5, 2.0)
) -> MedicalImage:
    return MedicalImage(np.zeros((4, 8, 6), np.float32), "v", 16, "L", spacing, facts)


def test_each_voxel_lies_where_the_header_of_its_slice_says() -> None:
    """Column 5, row 7 of slice 3: 10 mm to the back, 3.5 mm down; x and y turn their sign."""
    affine = affine_of(stack())
    assert affine is not None
    assert (affine @ [0, 0, 0, 1]).tolist() == [30, 80, 90, 1]
    assert (affine @ [5, 7, 3, 1]).tolist() == [21, 70, 86.5, 1]


def test_a_single_image_lies_in_a_plane_of_unit_thickness() -> None:
    one = MedicalImage(np.zeros((8, 6), np.float32), "v", 16, "L", (0.5, 2.0),
                       msgspec.structs.replace(FACTS, slices=FACTS.slices[:1]))  # fmt: skip
    affine = affine_of(one)
    assert affine is not None
    assert np.linalg.norm(affine[:3, 2]) == pytest.approx(1)
    assert affine[:3, 2] @ affine[:3, 0] == affine[:3, 2] @ affine[:3, 1] == 0


@pytest.mark.parametrize(
    "image",
    [
        stack(None),
        stack(spacing=None),
        stack(msgspec.structs.replace(FACTS, row_direction=None)),
        stack(msgspec.structs.replace(FACTS, column_direction=None)),
        stack(msgspec.structs.replace(FACTS, slices=FACTS.slices[:3])),
        stack(msgspec.structs.replace(FACTS, slices=(*FACTS.slices[:3], SliceFacts("a")))),
    ],
    ids=["no header", "no spacing", "no rows", "no columns", "a slice too few", "no position"],
)
def test_no_place_is_claimed_where_the_header_does_not_tell_it(image: MedicalImage) -> None:
    assert affine_of(image) is None


def test_the_axes_of_dicom_and_nifti_differ_in_two_signs() -> None:
    assert (LPS_TO_RAS @ [1, 2, 3, 1]).tolist() == [-1, -2, 3, 1]
    assert (np.eye(4) == LPS_TO_RAS @ LPS_TO_RAS).all()


NOT_USED = "the file's sform is not plausible and is not used"
SKEWED = "the axes of the file's sform are not perpendicular: the head is skewed"


@pytest.mark.parametrize(
    ("steps", "used", "note"),
    [
        (np.diag([1.0, 1.0, 1.0]), True, None),
        (np.diag([1e-4, 1e4, -3.0]), True, None),
        (np.array([[1, 0, 0.1], [0, 1, 0.1], [0, 0, 0.01]]), True, SKEWED),
        (np.array([[1, 0, 1], [0, 1, 1], [0, 0, 1e-4]]), False, NOT_USED),
        (np.diag([1.0, 0.0, 1.0]), False, NOT_USED),
        (np.diag([1.0, np.nan, 1.0]), False, NOT_USED),
        (np.diag([1.0, np.inf, 1.0]), False, NOT_USED),
    ],
    ids=["plain", "unequal", "skewed", "flat", "nothing", "no number", "infinite"],
)
def test_an_affine_needs_three_directions_of_any_length(
    steps: np.ndarray[tuple[int, int], np.dtype[np.float64]], used: bool, note: str | None
) -> None:
    affine, notes = np.eye(4), list[str]()
    affine[:3, :3] = steps
    assert (sensible(affine, "sform", notes) is affine) is used
    assert notes == ([] if note is None else [note])


@pytest.mark.parametrize(
    ("stated", "used"),
    [
        ([0.5, 1, 3], [0.5, 1, 3]),
        ([-0.5, 1, 3], [0.5, 1, 3]),
        ([0, 1, 3], [1, 1, 3]),
        ([float("nan"), 2, 3], [1, 2, 3]),
        ([2, float("inf"), 1e5], [2, 1, 1]),
        ([2, 9e4, 1e-5], [2, 9e4, 1e-5]),
        ([2, 1e-9, 1e-300], [2, 1, 1]),
    ],
)
def test_voxel_sizes_that_make_no_sense_are_one(
    stated: Sequence[float], used: Sequence[float]
) -> None:
    notes: list[str] = []
    assert plausible_sizes(stated, notes) == used
    assert bool(notes) == ([abs(size) for size in stated] != used)


@given(
    st.tuples(*[st.floats(0.1, 9)] * 3), st.tuples(*[st.integers(1, 300)] * 3),
)  # fmt: skip
def test_a_file_that_states_no_orientation_has_its_middle_at_nothing(
    sizes: tuple[float, float, float], shape: tuple[int, int, int]
) -> None:
    notes: list[str] = []
    affine = usual(sizes, shape, notes)
    middle = (np.array(shape) - 1) / 2
    assert (affine @ [*middle, 1])[:3] == pytest.approx([0, 0, 0], abs=1e-9)
    assert np.diag(affine)[:3].tolist() == [-sizes[0], sizes[1], sizes[2]]
    assert notes == ["the file does not state its orientation; the usual one (LAS) is assumed"]
    assert (centred(affine[:3, :3], shape) == affine).all()


@pytest.mark.parametrize(
    ("voxel", "unit", "factor", "said"),
    [
        (1.0, 1.0, 1.0, []),
        (0.001, 1000.0, 1000.0, []),
        (1.0, 1000.0, 1.0, ["the file's unit of length is not plausible"]),
        (1000.0, 0.001, 0.001, []),
        (1.0, 0.001, 1.0, ["the file's unit of length is not plausible"]),
        (1.2, 1000.0, 1.0, ["the file's unit of length is not plausible"]),
        (100.0, 1.0, 1.0, ["no head is as large as the file says (20000, 20000, 10000 mm)"]),
    ],
)
def test_a_unit_of_length_is_believed_where_a_head_can_be_as_large(
    voxel: float, unit: float, factor: float, said: Sequence[str]
) -> None:
    notes: list[str] = []
    affine = np.diag([voxel, voxel, voxel, 1.0])
    found = in_millimetres(affine, unit, (200, 200, 100), notes)
    assert np.diag(found) == pytest.approx([voxel * factor] * 3 + [1.0])
    assert affine[0, 0] == voxel, "the file's own is left as it is"
    assert len(notes) == len(said)
    assert all(note.startswith(begin) for note, begin in zip(notes, said, strict=True))


@pytest.mark.parametrize(
    ("shape", "said"), [((40, 40, 1999), False), ((40, 40, 2001), True), ((10, 19, 1), True)]
)
def test_the_longest_side_tells_whether_a_head_can_be_as_large(
    shape: tuple[int, int, int], said: bool
) -> None:
    notes: list[str] = []
    in_millimetres(np.eye(4), 1.0, shape, notes)
    assert bool(notes) is said
    in_metres: list[str] = []
    in_millimetres(np.diag([1e-3, 1e-3, 1e-3, 1.0]), 1000.0, shape, in_metres)
    assert any("unit of length" in note for note in in_metres) is said


def test_two_slices_lie_as_far_apart_as_they_say() -> None:
    two = msgspec.structs.replace(FACTS, slices=FACTS.slices[:2])
    image = MedicalImage(np.zeros((2, 8, 6), np.float32), "v", 16, "L", (0.5, 2.0), two)
    affine = affine_of(image)
    assert affine is not None
    assert affine[:3, 2].tolist() == [-3, 0, 0]

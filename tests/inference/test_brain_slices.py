"""Which slices of a head count, and when a stated distance of slices is not believed."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.imaging.facts import AcquisitionFacts, SliceFacts, Vector
from tumorlens.imaging.image import MedicalImage
from tumorlens.inference.brain_slices import (
    BASE_MM,
    TOP_MM,
    UNKNOWN_SPACING_MM,
    cap_share,
    head_profile,
    is_upright_axial,
    judge_slices,
    locate_slices,
    positions,
    up_direction,
)

Floats = NDArray[np.float64]


def evenly(count: int, spacing: float) -> Floats:
    """Positions of slices."""
    return np.arange(count, dtype=np.float64) * spacing


def sphere(spacing: float, height: float = 200.0) -> tuple[Floats, Floats]:
    """Cross-sections of a head from its top down, and where they lie."""
    along = np.arange(0.0, height, spacing)
    return np.array([cap_share(float(depth)) for depth in along]), along


@pytest.mark.parametrize("spacing", [1.0, 2.0, 5.0, 7.0])
@pytest.mark.parametrize("up", [1, -1])
def test_axial_slices_of_the_brain_count(spacing: float, up: int) -> None:
    profile, along = sphere(spacing)
    if up > 0:
        profile, along = profile[::-1], along
    found = judge_slices(profile, along, up, is_stated=True)
    depth = along if up < 0 else along.max() - along
    inside = (depth > TOP_MM + 1e-6) & (depth < BASE_MM - 1e-6)
    outside = (depth < TOP_MM - 1e-6) | (depth > BASE_MM + 1e-6)
    assert found.in_brain[inside].all()
    assert not found.in_brain[outside].any()
    assert not found.spacing_note


def test_a_stack_that_begins_below_the_vertex() -> None:
    profile, along = sphere(5.0)
    found = judge_slices(profile[5:], along[5:], -1, is_stated=True)
    assert found.in_brain[0]
    assert found.in_brain.sum() == 15  # 25 to 95 mm below the vertex


@pytest.mark.parametrize("stated", [0.6, 1.0, 30.0])
def test_a_distance_that_cannot_be_right_changes_nothing(stated: float) -> None:
    profile, along = sphere(5.0)
    truth = judge_slices(profile, along, -1, is_stated=True)
    wrong = judge_slices(profile, along * stated / 5.0, -1, is_stated=True)
    assert "cannot be correct" in wrong.spacing_note
    assert not wrong.spacing_is_known
    apart = np.flatnonzero(wrong.in_brain != truth.in_brain)
    assert len(apart) <= 2, "the estimate is good to a slice at either end"


def test_a_thin_slab_contradicts_no_distance() -> None:
    found = judge_slices(np.ones(8), np.arange(8.0), 1, is_stated=True)
    assert not found.spacing_note


@pytest.mark.parametrize(
    ("count", "spacing", "is_stated", "said"),
    [
        (30, 5.0, True, ""),
        (12, 5.0, True, ""),
        (11, 5.0, True, "11 slices over 55 mm show only part of the head"),
        (40, 1.0, True, "40 slices over 40 mm show only part of the head"),
        (4, 40.0, True, "4 slices over 160 mm show only part of the head"),
        (4, 5.0, False, "4 slices show only part of the head"),
        (1, 5.0, True, "1 slice shows only part of the head; the answer"),
        (1, 5.0, False, "1 slice shows only part of the head; the answer"),
        (5, 5.0, False, ""),
    ],
)
def test_a_part_of_a_head_is_told(count: int, spacing: float, is_stated: bool, said: str) -> None:
    along = np.arange(count, dtype=np.float64) * spacing
    note = judge_slices(np.ones(count), along, 0, is_stated=is_stated).coverage_note
    assert note.startswith(said)
    assert bool(note) == bool(said)
    around = np.arange(-3, count + 4, dtype=np.float64) * spacing
    profile = np.pad(np.ones(count), (3, 4))
    assert judge_slices(profile, around, 0, is_stated=is_stated).coverage_note == note


@pytest.mark.parametrize("up", [1, -1])
def test_shoulders_are_not_the_head(up: int) -> None:
    head, _ = sphere(5.0, 115.0)
    profile = np.concatenate([head, [0.7, 0.6, 0.6, 0.9, 1.6, 1.7]])
    along = np.arange(0.0, 5.0 * len(profile), 5.0)
    found = judge_slices(profile[::-up], along, up, is_stated=True)
    assert np.flatnonzero(found.in_brain[::-up]).tolist() == list(range(3, 20))


def test_other_planes_count_from_the_same_cross_section_on() -> None:
    profile = np.array([0.1, 0.4, 0.9, 1.0, 0.5, 0.2])
    found = judge_slices(profile, np.arange(0.0, 120.0, 20.0), 0, is_stated=True)
    assert found.in_brain.tolist() == [False, True, True, True, True, False]


def test_the_profile_is_of_what_is_bright() -> None:
    pixels = np.zeros((4, 40, 40), np.float32)
    pixels[1, :20] = 100
    pixels[2] = 100
    assert head_profile(pixels).round(1).tolist() == [0.0, 0.5, 1.0, 0.0]


@pytest.mark.parametrize(
    ("row", "column", "along", "up"),
    [((1, 0, 0), (0, 1, 0), (0.0, 5.0), 1), ((1, 0, 0), (0, 1, 0), (5.0, 0.0), -1),
     ((1, 0, 0), (0, -1, 0), (0.0, 5.0), -1), ((1, 0, 0), (0, 0, -1), (0.0, 5.0), 0)],
)  # fmt: skip
def test_which_end_is_the_head(
    row: Vector, column: Vector, along: tuple[float, float], up: int
) -> None:
    plane = "axial" if column[2] == 0 else "coronal"
    facts = AcquisitionFacts(
        row_direction=row, column_direction=column, plane=plane,
        slices=tuple(SliceFacts("a", along_mm=at) for at in along),
    )  # fmt: skip
    assert up_direction(facts) == up
    assert up_direction(None) == 0


def test_positions_are_as_stated_if_every_slice_states_its_own() -> None:
    assert positions([3.0, 1.0], 2).tolist() == [3, 1]
    assert positions([3.0, None], 2).tolist() == [0, UNKNOWN_SPACING_MM]
    assert positions([], 3).tolist() == [0, 5, 10]


def volume(spacing: float | None, profile: Floats, missing: int = -1) -> MedicalImage:
    """Axial slices of squares of these areas; ``spacing`` apart, None where no file says."""
    pixels = np.zeros((len(profile), 100, 100), np.float32)
    for slice_, share in zip(pixels, profile, strict=True):
        side = round(90 * float(np.sqrt(share)))
        slice_[:side, :side] = 100
    facts = None
    if spacing is not None:
        places = [SliceFacts("a", along_mm=k * spacing) for k in range(len(profile))]
        if missing >= 0:
            places[missing] = SliceFacts("a")
        facts = AcquisitionFacts(
            row_direction=(1, 0, 0), column_direction=(0, 1, 0), plane="axial",
            slices=tuple(places), slice_spacing_mm=spacing,
        )  # fmt: skip
    return MedicalImage(pixels, "v", 8, "L", facts=facts)


def test_slices_of_a_volume_lie_where_its_file_says() -> None:
    profile, along = sphere(4.0, 160.0)
    found = locate_slices(volume(4.0, profile[::-1]))
    assert found.along_mm.tolist() == along.tolist()
    depth = along.max() - along
    assert np.flatnonzero(found.in_brain).tolist() == pytest.approx(
        np.flatnonzero((depth > TOP_MM) & (depth < BASE_MM)), abs=1
    )
    assert (found.spacing_note, found.coverage_note) == ("", "")


@pytest.mark.parametrize("volume_of", [
    lambda profile: volume(None, profile), lambda profile: volume(2.0, profile, missing=1),
])  # fmt: skip
def test_slices_that_do_not_all_say_where_they_lie_are_taken_for_usual_ones(
    volume_of: Callable[[Floats], MedicalImage],
) -> None:
    found = locate_slices(volume_of(np.ones(4)))
    assert found.along_mm.tolist() == [0, 5, 10, 15]
    assert found.coverage_note.startswith("4 slices show only part"), "no millimetres are claimed"


@pytest.mark.parametrize("up", [1, -1])
@pytest.mark.parametrize("scale", [0.6, 0.25])
def test_a_head_is_measured_by_its_own_largest_slice_above_the_neck(up: int, scale: float) -> None:
    """Shoulders fill the image, so the head is but a part of the largest cross-section."""
    head, along = sphere(5.0, 120.0)
    alone = judge_slices(head[::up], along, -up, is_stated=True)
    smaller = judge_slices(scale * head[::up], along, -up, is_stated=True)
    assert smaller.in_brain.tolist() == alone.in_brain.tolist()
    assert not smaller.spacing_note


def test_in_other_planes_the_largest_slice_counts_as_full() -> None:
    half = 0.5 * np.ones(6)
    assert judge_slices(half, evenly(6, 20.0), 0, is_stated=True).in_brain.all()
    small = np.array([0.2, 0.3, cap_share(TOP_MM), 1.0])
    found = judge_slices(small, evenly(4, 20.0), 0, is_stated=False)
    assert found.in_brain.tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("factor", "believed"), [(0.35, False), (0.45, True), (2.3, True), (2.7, False)]
)
def test_a_stated_distance_is_believed_within_two_and_a_half_times(
    factor: float, believed: bool
) -> None:
    profile, along = sphere(5.0)
    found = judge_slices(profile, along * factor, -1, is_stated=True)
    assert found.spacing_is_known is believed
    assert np.array_equal(found.along_mm, along * factor) is believed


@pytest.mark.parametrize(("shortest", "note"), [(0.8, False), (0.4, True)])
def test_only_slices_that_differ_in_depth_contradict_a_distance(
    shortest: float, note: bool
) -> None:
    """From 0.8 to 0.95 of the largest cross-section is 19 mm in any head, less than is told."""
    profile = np.array([shortest, 0.9, 0.95, 1.0, 1.0])
    assert bool(judge_slices(profile, evenly(5, 100.0), -1, is_stated=True).spacing_note) is note


@pytest.mark.parametrize(("faint", "first"), [(0.04, 5), (0.06, 3)])
def test_what_is_nearly_empty_is_above_the_head(faint: float, first: int) -> None:
    """Three such slices before the one 5 mm below the vertex; brain begins 15 mm below it."""
    head, _ = sphere(5.0, 120.0)
    profile = np.concatenate([[faint] * 3, head[1:]])
    found = judge_slices(profile, evenly(len(profile), 5.0), -1, is_stated=True)
    assert np.flatnonzero(found.in_brain)[0] == first


@pytest.mark.parametrize(("gray", "share"), [(10, 0.0), (14, 1.0)])
def test_a_pixel_is_of_the_head_from_an_eighth_of_the_range_on(gray: int, share: float) -> None:
    pixels = np.zeros((3, 40, 40), np.float32)
    pixels[1] = gray
    pixels[2] = 100
    assert head_profile(pixels).tolist() == [0.0, share, 1.0]


def test_a_few_bright_pixels_do_not_make_the_head_dark() -> None:
    pixels = np.zeros((3, 60, 60), np.float32)
    pixels[1:] = 100
    pixels[2, 0, :10] = 30_000
    assert head_profile(pixels).tolist() == [0.0, 1.0, 1.0]


def test_the_profile_of_a_large_volume_is_that_of_a_small_one() -> None:
    """Of many voxels not each is looked at."""
    small = volume(5.0, np.array([0.1, 0.4, 0.7, 1.0, 0.8])).pixels
    large = small.repeat(3, axis=1).repeat(3, axis=2).repeat(2, axis=0)
    assert large.size > 200_000
    assert head_profile(large)[::2] == pytest.approx(head_profile(small), abs=0.05)


def test_whether_slices_are_upright_axial_with_a_known_end() -> None:
    facts = volume(4.0, np.ones(5)).facts
    assert facts is not None
    assert is_upright_axial(facts)
    assert not is_upright_axial(None)
    for unknown in (
        {"orientation_assumed": True}, {"plane": "coronal"}, {"plane": None}, {"slices": ()},
        {"row_direction": None}, {"column_direction": None}, {"slices": facts.slices[:1] * 2},
    ):  # fmt: skip
        assert not is_upright_axial(msgspec.structs.replace(facts, **unknown))


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 500.0), (0.01, 0.0), (40.0, -3000.0)])
def test_the_profile_does_not_depend_on_the_unit_of_intensity(scale: float, offset: float) -> None:
    pixels = volume(5.0, np.array([0.1, 0.4, 0.7, 1.0, 0.8])).pixels
    pixels[:, 90:] = 8  # dim, but not as dark as air
    same = head_profile(scale * pixels + np.float32(offset))
    assert same.tolist() == head_profile(pixels).tolist()

"""Which slices of a head count, and when a stated distance of slices is not believed."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.imaging.facts import AcquisitionFacts, SliceFacts, Vector
from tumorlens.inference.brain_slices import (
    BASE_MM,
    TOP_MM,
    UNKNOWN_SPACING_MM,
    cap_share,
    head_profile,
    judge_slices,
    positions,
    up_direction,
)

Floats = NDArray[np.float64]


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
        (5, 5.0, False, ""),
    ],
)
def test_a_part_of_a_head_is_told(count: int, spacing: float, is_stated: bool, said: str) -> None:
    along = np.arange(count, dtype=np.float64) * spacing
    note = judge_slices(np.ones(count), along, 0, is_stated=is_stated).coverage_note
    assert note.startswith(said)
    assert bool(note) == bool(said)


def test_shoulders_are_not_the_head() -> None:
    head, _ = sphere(5.0, 115.0)
    profile = np.concatenate([head, [0.7, 0.6, 0.6, 0.9, 1.6, 1.7]])
    found = judge_slices(profile, np.arange(0.0, 5.0 * len(profile), 5.0), -1, is_stated=True)
    assert np.flatnonzero(found.in_brain).tolist() == list(range(3, 20))


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

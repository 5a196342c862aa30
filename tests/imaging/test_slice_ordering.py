"""Slices are ordered by where they lie, and what is odd about them is told."""

import itertools
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tumorlens.imaging.facts import SliceFacts, Vector, normal, plane_of
from tumorlens.imaging.geometry.slice_ordering import Frame, Stack, split
from tumorlens.imaging.geometry.slice_spacing import ROUNDED

AXIAL: tuple[Vector, Vector] = ((1, 0, 0), (0, 1, 0))
SAGITTAL: tuple[Vector, Vector] = ((0, 1, 0), (0, 0, -1))


def frame(
    name: str,
    position: Vector | None,
    axes: tuple[Vector, Vector] = AXIAL,
    order: int = 0,
    shape: tuple[int, int] = (64, 64),
    thickness: float | None = None,
) -> Frame:
    place = SliceFacts(name, position_mm=position)
    return Frame(place, shape, *axes, order=(order,), thickness_mm=thickness)


def names(frames: tuple[Frame, ...]) -> str:
    return "".join(one.facts.path for one in frames)


def test_names_and_order_do_not_matter() -> None:
    frames = [frame("d", (0, 0, -9)), frame("a", (0, 0, 3)), frame("c", (0, 0, -3), order=-5)]
    for some in itertools.permutations(frames):
        (stack,) = split(some)
        assert names(stack.frames) == "dca"
        assert stack.slice_spacing_mm == 6
        assert stack.notes == ()
    assert [one.facts.along_mm for one in stack.frames] == [-9, -3, 3]


@given(st.lists(st.integers(-500, 500), min_size=2, max_size=40, unique=True), st.floats(0, 3.1))
def test_any_oblique_stack(heights: list[int], angle: float) -> None:
    """Sorted along the normal, whatever its direction."""
    row: Vector = (float(np.cos(angle)), float(np.sin(angle)), 0.0)
    column: Vector = (0.0, 0.0, -1.0)
    axis = np.asarray(normal(row, column))
    frames = [
        frame(str(height), tuple(float(v) for v in axis * height + 7), (row, column))  # type: ignore[arg-type]
        for height in heights
    ]
    (stack,) = split(frames)
    assert [int(one.facts.path) for one in stack.frames] == sorted(heights)


def test_positions_in_metres_are_not_plausible() -> None:
    """All slices lie within less than one, and so would count as copies of it."""
    (stack,) = split(
        [
            msgspec.structs.replace(frame(str(9 - k), (0, 0, k / 1000), thickness=0.001), number=k)
            for k in range(6)
        ]
    )
    assert names(stack.frames) == "987654"
    assert stack.notes[0].startswith("positions of the slices are not plausible")


def test_gaps() -> None:
    at = [0, 5, 10, 25, 30, 35, 45]
    (stack,) = split([frame(str(z), (0, 0, z)) for z in at])
    assert stack.slice_spacing_mm == 5
    assert stack.notes == (
        "gap of 15.0 mm between slices 3 and 4, counted from 1: about 2 missing",
        "gap of 10.0 mm between slices 6 and 7, counted from 1: about 1 missing",
    )


def test_many_gaps_are_counted() -> None:
    at = np.cumsum([1.0] * 30 + [5.0, 1.0] * 14)
    (stack,) = split([frame(str(z), (0, 0, float(z))) for z in at])
    assert len(stack.notes) == 11
    assert stack.notes[-1] == "4 more gaps"


def test_repeated_positions_keep_the_first_by_number() -> None:
    frames = [frame("b", (0, 0, 0), order=2), frame("a", (0, 0, 0.001), order=1),
              frame("c", (0, 0, 5)), frame("d", (0, 0, 5), order=1)]  # fmt: skip
    (stack,) = split(frames)
    assert names(stack.frames) == "ac"
    assert stack.notes == ("2 slices repeat the position of another and are left out",)
    (stack,) = split(frames[:2])
    assert stack.notes == ("1 slice repeats the position of another and is left out",)


@pytest.mark.parametrize("step", [0.6, 0.9, 1.5, -1.5])
def test_positions_rounded_to_whole_millimetres(step: float) -> None:
    """Several slices share one, or others seem to be missing."""

    def rounded(thickness: float, numbers: Sequence[int]) -> Stack:
        return split([
            msgspec.structs.replace(
                frame(f"{at:02}", (0, 0, round(at * step)), thickness=thickness), number=number
            )
            for at, number in enumerate(numbers)
        ])[0]  # fmt: skip

    stack = rounded(abs(step), range(1, 21))
    assert stack.notes == (ROUNDED,)
    assert [one.facts.path for one in stack.frames][:: 1 if step > 0 else -1] == [
        f"{at:02}" for at in range(20)
    ]
    assert stack.slice_spacing_mm == pytest.approx(abs(step), rel=0.05)
    for thickness, numbers in ((2, range(20)), (abs(step), [*range(10), *range(10)])):
        assert ROUNDED not in rounded(thickness, numbers).notes
    shuffled = [*range(0, 20, 2), *range(1, 20, 2)]
    assert ROUNDED not in rounded(abs(step), shuffled).notes


def test_whole_positions_are_not_taken_for_rounded_ones() -> None:
    frames = [frame(str(z), (0, 0, z), thickness=1.04) for z in range(9)]
    numbered = [msgspec.structs.replace(one, number=z) for z, one in enumerate(frames)]
    assert split(numbered)[0].notes == ()
    acquired_twice = [*numbered, *(msgspec.structs.replace(one, number=20 + z)
                                   for z, one in enumerate(frames[3:5]))]  # fmt: skip
    assert ROUNDED not in split(acquired_twice)[0].notes


@pytest.mark.parametrize("apart", [9.0, 3.0])
def test_thin_slices_far_apart(apart: float) -> None:
    (stack,) = split([frame(str(z), (0, 0, apart * z), thickness=1.5) for z in range(4)])
    assert stack.notes == (f"slices are {apart} mm apart but 1.5 mm thick: some may be missing",)
    (stack,) = split([frame(str(z), (0, 0, 6 * z), thickness=5) for z in range(4)])
    assert stack.notes == ()


@pytest.mark.parametrize("steps", [(5, 10), (5, 10, 10), (3, 3, 9, 9, 9)])
def test_as_many_gaps_as_distances_are_told(steps: tuple[int, ...]) -> None:
    """Where every third slice is missing, the usual distance is a gap."""
    places = np.cumsum([0, *4 * steps])
    (stack,) = split([frame(str(z), (0, 0, int(z))) for z in places])
    assert any(f"slices are {steps[0]}.0 mm apart here and" in note for note in stack.notes)
    (even,) = split([frame(str(z), (0, 0, 5 * z)) for z in range(9)])
    assert even.notes == ()


def test_orientations_and_sizes_are_split() -> None:
    frames = [frame("a", (0, 0, 0)), frame("b", (3, 0, 0), SAGITTAL), frame("c", (0, 0, 5)),
              frame("d", (9, 0, 0), SAGITTAL), frame("e", (0, 0, 9), shape=(64, 32)),
              frame("f", (6, 0, 0), SAGITTAL)]  # fmt: skip
    assert [names(stack.frames) for stack in split(frames)] == ["dfb", "ac", "e"]


def test_orientations_that_differ_by_rounding_are_one() -> None:
    nearly: tuple[Vector, Vector] = ((0.99999, 0.0003, 0.0), (-0.0003, 0.99999, 0.0))
    (stack,) = split([frame("a", (0, 0, 0)), frame("b", (0, 0, 5), nearly)])
    assert names(stack.frames) == "ab"


def test_unplaced_frames() -> None:
    frames = [frame("b", None), frame("a", None)]
    assert [names(stack.frames) for stack in split(frames)] == ["b", "a"]
    (stack,) = split(frames, keep_order=True)
    assert names(stack.frames) == "ba"
    assert "not stated" in stack.notes[0]


@pytest.mark.parametrize(
    ("axes", "plane"),
    [
        (AXIAL, "axial"),
        (SAGITTAL, "sagittal"),
        (((1, 0, 0), (0, 0, -1)), "coronal"),
        (((1, 0, 0), (0, 0.9, -0.43)), "axial"),
        (((1, 0, 0), (0, 0.71, -0.71)), "oblique"),
    ],
)
def test_planes(axes: tuple[Vector, Vector], plane: str) -> None:
    assert plane_of(normal(*axes)) == plane

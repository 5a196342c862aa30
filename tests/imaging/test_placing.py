"""Slices that do not say where they lie get the place that the others of their series leave."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tumorlens.imaging.facts import SliceFacts, Vector
from tumorlens.imaging.geometry.slice_ordering import Frame
from tumorlens.imaging.geometry.turn import Turn
from tumorlens.imaging.placing import ALONE, with_positions

AXIAL: tuple[Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


def slices(count: int = 6, step: Vector = (0.0, 1.0, 5.0), **more: Any) -> list[Frame]:
    """An oblique stack with SliceLocation and InstanceNumber, the latter from the other end."""
    made = []
    for k in range(count):
        x, y, z = (part * k for part in step)
        place = SliceFacts(f"{k}.dcm", position_mm=(x - 90, y - 100, z))
        frame = Frame(
            place, (64, 64), *AXIAL, spacing_mm=(1.0, 1.0), location_mm=5.0 * k, number=count - k
        )
        made.append(msgspec.structs.replace(frame, **more))
    return made


def lost(frame: Frame, **more: Any) -> Frame:
    """The same slice without its position and directions."""
    place = msgspec.structs.replace(frame.facts, position_mm=None)
    return msgspec.structs.replace(frame, facts=place, row=None, column=None, **more)


def without(frames: Sequence[Frame], *places: int, **more: Any) -> list[Frame]:
    return [lost(one, **more) if k in places else one for k, one in enumerate(frames)]


@given(
    step=st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(1, 9)),
    places=st.sets(st.integers(0, 7), min_size=1, max_size=5),
)
def test_a_lost_position_is_found_again(step: Vector, places: set[int]) -> None:
    whole = slices(8, step)
    found = with_positions(without(whole, *places))
    for place, (one, original) in enumerate(zip(found, whole, strict=True)):
        assert one.facts.position_mm == pytest.approx(original.facts.position_mm, abs=1e-6)
        assert (one.row, one.column) == AXIAL
        assert bool(one.notes) == (place in places)


@pytest.mark.parametrize(
    ("known", "name"),
    [
        ({}, "SliceLocation"),
        ({"location_mm": None}, "InstanceNumber"),
        ({"location_mm": 0.0}, "InstanceNumber"),
    ],
)
def test_the_location_is_asked_before_the_number(known: dict[str, Any], name: str) -> None:
    found = with_positions(without(slices(**known), 2))[2]
    assert found.facts.position_mm == pytest.approx((-90, -98, 10))
    assert found.notes == (f"the slice's position is not stated; it is taken from {name}",)


def test_a_slice_that_lacks_the_one_number_is_placed_by_the_other() -> None:
    found = with_positions(without(slices(), 2, location_mm=None))[2]
    assert found.facts.position_mm == pytest.approx((-90, -98, 10))
    assert found.notes[0].endswith("InstanceNumber")


@pytest.mark.parametrize(("off", "is_placed"), [(0.4, True), (0.9, False)])
def test_positions_must_follow_the_numbers_within_a_tenth_of_a_step(
    off: float, is_placed: bool
) -> None:
    frames = slices(7, step=(0.0, 0.0, 5.0))
    x, y, z = frames[3].facts.position_mm or (0, 0, 0)
    moved = msgspec.structs.replace(frames[3].facts, position_mm=(x, y, z + off))
    frames[3] = msgspec.structs.replace(frames[3], facts=moved)
    found = with_positions(without(frames, 1))[1]
    assert found.placed is is_placed
    assert (ALONE in found.notes) is not is_placed


def test_what_nothing_tells_stays_without_a_place_and_says_so() -> None:
    found = with_positions(without(slices(location_mm=None, number=None), 2, notes=("odd",)))
    assert not found[2].placed
    assert found[2].notes == ("odd", ALONE)
    assert all(one.notes == () for k, one in enumerate(found) if k != 2)


@pytest.mark.parametrize(("count", "changed"), [(3, False), (4, True)])
def test_a_line_needs_three_slices(count: int, changed: bool) -> None:
    frames = without(slices(count), 0)
    assert (with_positions(frames) != frames) is changed


def test_where_all_are_placed_or_none_is_nothing_changes() -> None:
    for frames in (slices(), without(slices(), *range(6))):
        assert with_positions(frames) == frames


def test_a_slice_of_another_size_is_not_placed_among_these() -> None:
    frames = without(slices(), 2)
    frames[2] = msgspec.structs.replace(frames[2], shape=(32, 32))
    assert with_positions(frames)[2].notes == (ALONE,)


def test_slices_of_another_direction_do_not_bend_the_line() -> None:
    sagittal = [
        msgspec.structs.replace(
            frame, row=(0.0, 1.0, 0.0), column=(0.0, 0.0, -1.0),
            facts=SliceFacts("s", position_mm=(4.0 * k, 0.0, 0.0)),
        )
        for k, frame in enumerate(slices(3))
    ]  # fmt: skip
    found = with_positions([*without(slices(), 2), *sagittal])[2]
    assert found.facts.position_mm == pytest.approx((-90, -98, 10))


def test_its_own_spacing_stays_and_a_missing_one_is_that_of_the_others() -> None:
    own, none = (
        with_positions(without(slices(), 2, spacing_mm=given))[2].spacing_mm
        for given in ((0.5, 0.5), None)
    )
    assert (own, none) == ((0.5, 0.5), (1.0, 1.0))


@pytest.mark.parametrize(("exchanged", "spacing"), [(True, (0.5, 2.0)), (False, (2.0, 0.5))])
def test_a_slice_is_turned_as_the_others_with_its_own_spacing(
    exchanged: bool, spacing: tuple[float, float]
) -> None:
    """Its spacing is that of the stored rows and columns, theirs that of the turned ones."""
    turn = Turn(exchanged, rows_reversed=True, columns_reversed=False)
    whole = slices(turn=turn, spacing_mm=spacing)
    frames = without(whole, 2, turn=None, spacing_mm=(2.0, 0.5), aspect=(2.0, 0.5))
    found = with_positions(frames)[2]
    assert (found.turn, found.spacing_mm, found.aspect) == (turn, spacing, spacing)

"""Which sides of the patient the edges of an image show."""

import numpy as np
import pytest

from tumorlens.imaging.facts import (
    AcquisitionFacts,
    SliceFacts,
    Vector,
    normal,
    plane_of,
    sides_of,
)


@pytest.mark.parametrize(
    ("row", "column", "sides"),
    [
        ((1, 0, 0), (0, 1, 0), ("R", "L", "A", "P")),
        ((1, 0, 0), (0, 0, -1), ("R", "L", "H", "F")),
        ((0, 1, 0), (0, 0, -1), ("A", "P", "H", "F")),
        ((-1, 0, 0), (0, 1, 0), ("L", "R", "A", "P")),
        ((1, 0, 0), (0, 0.97, 0.24), ("R", "L", "A", "P")),
        ((1, 0, 0), (0, 0.8, -0.6), ("R", "L", "AH", "PF")),
        ((0.6, -0.8, 0), (0, 0, -1), ("PR", "AL", "H", "F")),
    ],
)
def test_sides(row: Vector, column: Vector, sides: tuple[str, ...]) -> None:
    """The patient's frame is x to the left, y to the back, z to the head."""
    assert sides_of(AcquisitionFacts(row_direction=row, column_direction=column)) == sides


def test_unknown_sides() -> None:
    row, column = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    assert sides_of(None) is None
    assert sides_of(AcquisitionFacts(row_direction=row)) is None
    assert (
        sides_of(
            AcquisitionFacts(row_direction=row, column_direction=column, orientation_assumed=True)
        )
        is None
    )


@pytest.mark.parametrize(
    ("degrees", "plane"), [(0, "axial"), (36, "axial"), (38, "oblique"), (52, "oblique"),
                           (54, "coronal"), (90, "coronal")]
)  # fmt: skip
def test_a_plane_has_a_name_up_to_37_degrees_off(degrees: float, plane: str) -> None:
    angle = np.deg2rad(degrees)
    assert plane_of((0.0, float(np.sin(angle)), float(np.cos(angle)))) == plane
    assert plane_of((0.0, -float(np.sin(angle)), -float(np.cos(angle)))) == plane


def test_the_normal_is_a_unit_vector_across_both_directions() -> None:
    row, column = (0.6, 0.8, 0.0), (0.0, 0.0, -2.0)
    found = np.array(normal(row, column))
    assert np.linalg.norm(found) == pytest.approx(1)
    assert found @ np.array(row) == pytest.approx(0)
    assert found @ np.array(column) == pytest.approx(0)
    assert normal((1, 0, 0), (0, 1, 0)) == (0, 0, 1)
    assert normal((1, 0, 0), (1, 0, 0)) == (0, 0, 0), "no directions have none"


def test_stored_slices_are_those_of_the_files() -> None:
    made, acquired = (SliceFacts("made"),), (SliceFacts("a"), SliceFacts("b"))
    assert AcquisitionFacts(slices=made).stored == made
    assert AcquisitionFacts(slices=made, acquired=acquired).stored == acquired

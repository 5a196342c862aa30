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
    turned_notes,
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
    ("plane", "row", "column", "how"),
    [
        ("axial", (1, 0, 0), (0, 1, 0), ""),
        ("axial", (-1, 0, 0), (0, 1, 0), ""),
        ("axial", (1, 0, 0), (0, -1, 0), "upside down"),
        ("axial", (0, 1, 0), (1, 0, 0), "rotated by 90 degrees"),
        ("coronal", (1, 0, 0), (0, 0, -1), ""),
        ("coronal", (1, 0, 0), (0, 0, 1), "upside down"),
        ("sagittal", (0, 0, 1), (0, 1, 0), "rotated by 90 degrees"),
        ("sagittal", (0, 1, 0), (0, 0, -1), ""),
        ("axial", (1, 0, 0), (0, 0.8, -0.6), ""),
        ("oblique", (1, 0, 0), (0, -1, 0), ""),
        (None, (1, 0, 0), (0, -1, 0), ""),
    ],
)
def test_slices_that_are_not_upright_are_told(
    plane: str | None, row: Vector, column: Vector, how: str
) -> None:
    """Axial slices have the face on top, the others the crown."""
    facts = AcquisitionFacts(plane=plane, row_direction=row, column_direction=column)
    notes = [f"the slices are stored {how}; the network was trained on upright ones"]
    assert turned_notes(facts) == (notes if how else [])


def test_nothing_is_told_of_an_orientation_that_is_assumed() -> None:
    facts = AcquisitionFacts(
        plane="axial", row_direction=(1, 0, 0), column_direction=(0, -1, 0),
        orientation_assumed=True,
    )  # fmt: skip
    assert turned_notes(facts) == turned_notes(None) == []


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

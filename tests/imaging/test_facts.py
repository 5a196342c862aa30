"""Which sides of the patient the edges of an image show."""

import pytest

from tumorlens.imaging.facts import AcquisitionFacts, Vector, sides_of


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

"""How slices become upright: the face on top of axial ones, the crown on top of the others.

Some converters store slices in the order of other formats. Rows and columns are exchanged and
reversed, so no pixel changes.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.imaging.facts import Vector, letters, normal, plane_of

_UPRIGHT: Final = {
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
}
"""Directions along a row and down a column of upright slices, as radiologists see them."""


class Turn(NamedTuple):
    """Rows and columns are exchanged first, and then reversed."""

    exchanged: bool
    rows_reversed: bool
    columns_reversed: bool

    @property
    def note(self) -> str:
        """What a person should know of slices that were turned."""
        how = "rotated by 90 degrees" if self.exchanged else "upside down"
        return f"the slices are stored {how}; they are turned upright"

    def pixels(self, stored: NDArray[np.float32]) -> NDArray[np.float32]:
        """A view of (H, W), turned."""
        turned = stored.T if self.exchanged else stored
        turned = turned[::-1] if self.rows_reversed else turned
        return turned[:, ::-1] if self.columns_reversed else turned


def turn_of(row: Vector, column: Vector) -> Turn | None:
    """How slices of these directions become upright; None if they are, or have no named plane."""
    plane = plane_of(normal(row, column))
    if plane not in _UPRIGHT:
        return None
    across, down = _UPRIGHT[plane]
    if letters(down, -1) in letters(column, -1):
        return None
    exchanged = bool(abs(np.dot(row, down)) > abs(np.dot(column, down)))
    row, column = (column, row) if exchanged else (row, column)
    return Turn(exchanged, bool(np.dot(column, down) < 0), bool(np.dot(row, across) < 0))

"""Whether rows of pixels are as long as the file states, or rows and columns are exchanged."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import CorruptInputError

_ROWS: Final = 32
"""Rows of a frame that are looked at."""
_EVERY: Final = 3
"""Every third pixel of these is looked at."""
_ALIKE: Final = 0.7
"""Of 1,300 heads cut at random, no whole one is below 1.0 and no garbled one above 0.8."""
_BESIDE: Final = 3.0
"""Neighbours in a row differ by at most so many times as much as those below, but in patterns."""


def check_rows(frame: NDArray[Any], source: str) -> None:
    """Raise ``CorruptInputError`` where (H, W) holds rows of H samples."""
    check_planes(frame[None], source)


def check_planes(planes: NDArray[Any], source: str) -> None:
    """Raise ``CorruptInputError`` where (D, H, W) holds rows of H, by three planes of it."""
    depth, rows, columns = planes.shape
    middle = {depth // 4, depth // 2, 3 * depth // 4}
    if rows != columns and all(_are_exchanged(planes[i].ravel(), rows, columns) for i in middle):
        # Two rows of bytes make one of twice as wide samples.
        or_bits = ", or its samples have half the bits that it states" * (columns == 2 * rows)
        raise CorruptInputError(
            f"{source}: damaged (the pixels form rows of {rows}, not of {columns} as the file "
            f"states: its rows and columns are exchanged{or_bits})"
        )


def _are_exchanged(samples: NDArray[Any], rows: int, columns: int) -> bool:
    """Whether samples differ less from those ``rows`` further on than from those a stated row on.

    They must also differ more from those half a row nearer or farther: in a stripe all are alike.
    """
    last = samples.size - 2 * max(rows, columns)
    starts = np.arange(0, last, max(1, rows // _ROWS) * columns)
    positions = (starts[:, None] + np.arange(0, columns, _EVERY)).ravel()
    positions = positions[positions < last]
    if not positions.size:
        return False
    here = samples[positions].astype(np.float32)
    low, high = np.quantile(here, (0.01, 0.99))

    def difference(lag: int) -> float:
        there = samples[positions + lag].astype(np.float32)
        return float(np.abs(np.clip(there, low, high) - np.clip(here, low, high)).mean())

    below = difference(rows)
    others = min(difference(lag) for lag in (columns, rows // 2, 3 * rows // 2))
    return below < _ALIKE * others and difference(1) < _BESIDE * below

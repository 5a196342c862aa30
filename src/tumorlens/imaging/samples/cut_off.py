"""Whether stored values end before the image does, as of a file that was not copied completely.

Programs that copy reserve the whole length first, so that what is missing are zeros. An image may
end in zeros too, but a head becomes narrower towards its end; what was copied ends anywhere. The
page does the same (frontend/src/reading/cut_off.ts).
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CUT_OFF: Final = (
    "all values behind some point of the head are the same; the file may not have been copied "
    "completely"
)
_LEAST: Final = 0.05
"""Part of all values that is missing at least, where they end in the middle of a row, ..."""
_LEAST_ROWS: Final = 0.25
"""... and where they end with a row, which images with a margin do too."""
_ROWS: Final = 4
"""Whole rows above the end."""
_SAME_END: Final = 0.04
"""Most that the ends of these rows differ, in widths of the image: of a head they differ more."""
_SHORTER: Final = 0.1
"""How much shorter a row is at least that ends in the middle, in the same unit."""
_WIDE: Final = 0.4
"""Least length of the last rows, in the same unit: those of a head are short."""
_FILLED: Final = 0.5
"""Least part of these rows that has other values than the last one of all."""
_LAST_ROWS: Final = 0.02
"""Part of the rows of a plane at its end that a filter may have darkened before blank planes."""
_MARGIN: Final = 0.5
"""As high a margin at the top, in heights of what is missing: the image has it on all sides."""


def is_cut_off(planes: NDArray[Any]) -> bool:
    """Whether (D, H, W) or (H, W), in the order of their file, end within the head.

    Of 5,000 images of heads two do so by themselves, and of 47 volumes none.
    """
    height, width = planes.shape[-2:]
    values = planes.reshape(-1)
    last = values[-max(1, int(_LEAST * values.size)) :]
    if (last != last[-1]).any():
        return False  # nearly all images: the others need not be looked at
    others = np.flatnonzero(values != last[-1])
    end = int(others[-1]) + 1 if others.size else 0
    row, column = divmod(end, width)
    if not _ROWS <= row % height < (1 - _LAST_ROWS) * height - 1:
        return False
    rows = values[(row - _ROWS) * width : row * width].reshape(_ROWS, width)
    above = rows != last[-1]
    if not above.any() or np.ptp(rows[above]) == 0:
        return False  # padding
    is_empty = ~above.any(axis=1)
    starts = np.where(is_empty, width, np.argmax(above, axis=1))
    ends = np.where(is_empty, 0, width - np.argmax(above[:, ::-1], axis=1))
    if np.ptp(ends) > _SAME_END * width:
        return False
    if ends.min() - column >= _SHORTER * width:
        return bool(above[:, column : ends.min()].mean() >= _FILLED)
    plane = values[row // height * height * width : end]
    margin, missing = int(np.argmax(plane != last[-1])), (height - row % height) * width
    if values.size - end < _LEAST_ROWS * values.size or margin >= _MARGIN * missing:
        return False
    is_wide = (ends - starts).min() >= _WIDE * width and np.ptp(starts) <= _SAME_END * width
    return bool(is_wide and above[:, starts.max() : ends.min()].mean() >= _FILLED)

"""Label maps and masks, whose voxels name regions: they look like a head, and measure nothing."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import UnsupportedFormatError

_MOST_LABELS: Final = 7
"""An image of 3 bits a voxel has 8 values; MR volumes of 8 bits have a hundred and more."""
_CHUNK: Final = 1 << 16


def check_no_label_map(samples: NDArray[np.generic], source: str) -> None:
    """Raise ``UnsupportedFormatError`` for a volume (D, H, W) of 2 to 7 distinct values.

    One of a single value is blank, which is found where it is looked at.
    """
    if samples.ndim != 3:
        return
    found = _distinct(samples)
    if 2 <= len(found) <= _MOST_LABELS:
        values = ", ".join(f"{value:g}" for value in sorted(found))
        raise UnsupportedFormatError(
            f"{source}: a label map or mask, not an image (its only values are {values})"
        )


def _distinct(samples: NDArray[np.generic]) -> set[float]:
    """The distinct values, or more than ``_MOST_LABELS`` of them: of an image a part will do."""
    found: set[float] = set()
    flat = samples.ravel(order="K")
    for start in range(0, flat.size, _CHUNK):
        found.update(np.unique(flat[start : start + _CHUNK]).tolist())
        if len(found) > _MOST_LABELS:
            break
    return found

"""Whether samples of two bytes lie in the other order than the file states.

Neighbours in a picture differ by little of the range of values; with the bytes swapped, the lower
ones, which are nearly random, decide. The page does the same (frontend/src/reading/stored.ts).
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SMOOTHER: Final = 0.5
"""Samples this much smoother with their bytes swapped are stored so."""
SWAPPED: Final = (
    "the byte order of the pixel data is not the one that the file states; the bytes are swapped"
)


def is_swapped(samples: NDArray[Any], values: NDArray[Any]) -> bool:
    """Whether ``samples`` (H, W), by their ``values``, are swapped byte by byte."""
    if samples.dtype.kind not in "iu" or samples.dtype.itemsize != 2:
        return False
    stated = [roughness(samples)]
    if values is not samples:
        stated.append(roughness(values))
    return roughness(samples.byteswap()) < SMOOTHER * min(stated)


def are_words(data: NDArray[np.uint8], columns: int) -> bool:
    """Whether bytes, flat and stated to be samples of one, are samples of two, by their rows."""
    rows = data.reshape(-1, columns)
    words = (data.view(order).reshape(-1, columns) for order in ("<u2", ">u2"))
    return min(roughness(one) for one in words) < SMOOTHER * roughness(rows)


def roughness(samples: NDArray[Any]) -> float:
    """Mean difference of neighbours in rows, as part of what values (H, W) differ by at all."""
    values = samples.astype(np.float32)
    low, high = np.quantile(values[:, ::4], (0.01, 0.99))
    steps = np.abs(np.diff(np.clip(values, low, high), axis=1))
    return float(steps.mean()) / float(high - low) if high > low else 1.0

"""Whether samples of two bytes have the other byte order or the other sign than the file states.

Neighbours in an image differ by little of the range of values. With the bytes swapped, the low
bytes, which are nearly random, decide. With the other sign, values near one end of the range move
to the other. The page does the same (frontend/src/reading/stored.ts).
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SMOOTHER: Final = 0.5
"""Samples this much smoother with their bytes swapped are stored so."""
SWAPPED: Final = (
    "the byte order of the pixel data is not the one that the file states; the bytes are swapped"
)
OTHER_SIGN: Final = (
    "the sign of the pixel data is not the one that the file states; it is read as the steps "
    "between neighbours say"
)
_JUMP: Final = 15
"""Neighbours that differ this many times less with the other sign have been torn apart."""
_TORN: Final = 0.001
"""Part of the neighbours that must be torn, and ten times as many as the other sign would tear."""


def some_rows(samples: NDArray[Any], most: int = 32) -> NDArray[Any]:
    """About ``most`` rows of (H, W), evenly spread: enough to see in which order bytes are."""
    return samples[:: max(1, len(samples) // most)]


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
    return min(roughness(samples) for samples in words) < SMOOTHER * roughness(rows)


def has_other_sign(values: NDArray[Any], other: NDArray[Any], axes: Sequence[int] = (0, 1)) -> bool:
    """Whether ``values`` (H, W) must have the sign of ``other``, by neighbours along ``axes``."""
    # Saturated letters on an empty background are as far apart as what is torn.
    inner = (values > values.min()) & (values < values.max())
    stated, meant = (
        np.where(inner, reading, np.nan).astype(np.float32) for reading in (values, other)
    )
    torn = joined = 0
    for axis in axes:
        steps, steps_meant = (np.abs(np.diff(reading, axis=axis)) for reading in (stated, meant))
        torn += int((steps > _JUMP * steps_meant).sum())
        joined += int((steps_meant > _JUMP * steps).sum())
    return torn > max(_TORN * values.size, 10 * joined)


def roughness(samples: NDArray[Any]) -> float:
    """Mean difference of neighbours in rows, as a part of the range of values (H, W)."""
    values = samples.astype(np.float32)
    low, high = np.quantile(values[:, ::4], (0.01, 0.99))
    steps = np.abs(np.diff(np.clip(values, low, high), axis=1))
    return float(steps.mean()) / float(high - low) if high > low else 1.0

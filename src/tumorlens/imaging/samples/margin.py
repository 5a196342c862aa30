"""The bright margin of a screenshot: the page or window around an image, which is not part of it.

An image of a head ends in dark air, so a bright even line at its edge is not part of it. Left in,
the margin would be taken for tissue, and would shift the intensities. A dark margin needs no such
care: ``preprocessing`` cuts it away with the air around the head.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.imaging.samples.gray import Samples

_BRIGHT: Final = 0.85
"""Part of the image's range that every pixel of a line of margin reaches."""
_EDGE: Final = 0.1
"""In the same unit: a line beside a margin whose pixels reach it is the margin's blurred edge."""
_FEW: Final = 0.05
"""Part of an edge's pixels that may be darker."""
_EDGE_LINES: Final = 4
"""Most lines of such an edge."""
_WIDE: Final = 0.04
"""Part of a side that the widest margin takes: thinner ones are frames, which are left as they are
in the images that networks were trained on."""
_SMALLEST: Final = 32
"""Fewest pixels a side of what is left; with fewer, it was not a margin."""


def inside_margin(samples: Samples) -> tuple[int, int, int, int]:
    """Top, left, bottom and right, ends exclusive, of (H, W) without its bright margin."""
    height, width = samples.shape
    whole = (0, 0, height, width)
    low, high = float(samples.min()), float(samples.max())
    if not high > low:
        return whole
    top, bottom = _ends(samples, low, high)
    if bottom - top < _SMALLEST:
        return whole
    left, right = _ends(samples[top:bottom].T, low, high)
    widest = max(max(top, height - bottom) / height, max(left, width - right) / width)
    if widest < _WIDE or right - left < _SMALLEST:
        return whole
    return top, left, bottom, right


def _ends(samples: NDArray[np.generic], low: float, high: float) -> tuple[int, int]:
    """First line of (N, M) that is no margin, and the end of the last one."""
    bright = low + _BRIGHT * (high - low)
    if max(float(samples[0].min()), float(samples[-1].min())) < bright:
        return 0, len(samples)  # nearly all images: the rest need not be looked at
    is_margin = samples.min(axis=1).astype(np.float64) >= bright
    if is_margin.all():
        return 0, len(samples)
    first = int(np.argmin(is_margin))
    last = len(samples) - int(np.argmin(is_margin[::-1]))
    level = low + _EDGE * (high - low)
    if first:
        first += _edge(samples[first : first + _EDGE_LINES], level)
    if last < len(samples):
        last -= _edge(samples[max(0, last - _EDGE_LINES) : last][::-1], level)
    return first, max(first, last)


def _edge(lines: NDArray[np.generic], level: float) -> int:
    """How many of the first lines are brighter than air, except for a few pixels."""
    dark = (lines.astype(np.float64) < level).mean(axis=1)
    is_edge = dark <= _FEW
    return len(is_edge) if is_edge.all() else int(np.argmin(is_edge))

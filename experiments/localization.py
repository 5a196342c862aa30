"""Does a heatmap point at the tumour? Compared with experts' outlines.

The pointing game (Zhang et al., "Top-down neural attention by excitation backprop", 2018) asks
whether the largest value lies inside the outline; the share of the map's mass inside, and the
overlap of boxes, measure how well it covers it. A baseline that always points at one position
shows how much the position alone gives away.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

BOX_LEVEL: Final = 0.5
"""Share of the map's largest value that a pixel needs to belong to the box."""


class Localization(NamedTuple):
    """One map against one outline."""

    hit: bool
    """Whether the map's largest value lies inside the outline."""
    energy: float
    """Share of the map's mass inside the outline."""
    box_iou: float
    """Overlap of the box around the map's bright part with the box around the outline."""


def localize(heatmap: NDArray[np.floating], outline: NDArray[np.bool_]) -> Localization:
    """Compare ``heatmap`` (H, W), not negative, with ``outline`` (H, W), not empty.

    A map of nothing but zeros hits nothing. Raises ``ValueError`` for an empty outline or another
    shape.
    """
    if heatmap.shape != outline.shape:
        raise ValueError(f"a map of {heatmap.shape} for an outline of {outline.shape}")
    if not outline.any():
        raise ValueError("the outline is empty")
    total = float(heatmap.sum())
    if not total > 0:
        return Localization(False, 0.0, 0.0)
    peak = np.unravel_index(int(heatmap.argmax()), heatmap.shape)
    bright = heatmap >= BOX_LEVEL * heatmap.max()
    return Localization(
        bool(outline[peak]),
        float(heatmap[outline].sum()) / total,
        box_iou(bounding_box(bright), bounding_box(outline)),
    )


def center_map(shape: tuple[int, int]) -> NDArray[np.float64]:
    """The baseline: a smooth peak in the middle of (H, W), whatever the picture shows."""
    y, x = (np.linspace(-1, 1, side) for side in shape)
    return np.exp(-4 * (y[:, np.newaxis] ** 2 + x[np.newaxis] ** 2))


def mean_map(outlines: NDArray[np.floating]) -> NDArray[np.float64]:
    """A stronger baseline: the mean outline of other patients, (N, H, W) to (H, W)."""
    averaged: NDArray[np.float64] = outlines.mean(axis=0, dtype=np.float64)
    return averaged


def bounding_box(inside: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Top, left, bottom, right (ends exclusive) around the true pixels of (H, W)."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def box_iou(left: tuple[int, int, int, int], right: tuple[int, int, int, int]) -> float:
    """Intersection over union of two boxes."""
    height = min(left[2], right[2]) - max(left[0], right[0])
    width = min(left[3], right[3]) - max(left[1], right[1])
    both = max(0, height) * max(0, width)
    return both / (_area(left) + _area(right) - both)


def _area(box: tuple[int, int, int, int]) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])

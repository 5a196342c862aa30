"""Heatmaps: the class activation map, or the lesion map, in the pixels of the original image.

The network ends in global average pooling and one linear layer, so the map of a class is exact: its
spatial mean plus a bias is the logit of the class (Zhou et al., Learning Deep Features for
Discriminative Localization, CVPR 2016). It is computed in the same forward pass as the answer. If
the network was trained on experts' outlines, its lesion map is shown instead.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tumorlens.inference.record import Heatmap, Pixel, Region, SeenSquare
from tumorlens.preprocessing import Square

BOX_LEVEL: Final = 0.5
"""Share of the map's maximum from which a pixel belongs to the box."""
_DIGITS: Final = 4


def explain(
    cam: NDArray[np.float32], label: str, square: Square, shape: tuple[int, int]
) -> Heatmap:
    """Turn a class's map (h, w) for an image of ``shape`` (H, W) into a ``Heatmap``."""
    evidence = np.clip(cam.astype(np.float64), 0.0, None)
    strongest = float(evidence.max())
    grid = np.round(evidence / strongest if strongest > 0.0 else evidence, _DIGITS)
    # If nothing is positive, the peak is the least negative pixel.
    ranked = upsample(grid if strongest > 0.0 else cam, square, shape, outside=-np.inf)
    row, column = np.unravel_index(int(ranked.argmax()), shape)
    peak = Pixel(row=int(row), column=int(column))
    box = _box(ranked, peak) if strongest > 0.0 else None
    seen_square = SeenSquare(top=square.top, left=square.left, side=square.side)
    return Heatmap(label=label, square=seen_square, grid=grid.tolist(), peak=peak, box=box)


def render(heatmap: Heatmap, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Draw the map over an image of ``shape``: float32 (H, W), 0 to 1, 0 outside the square."""
    return upsample(np.asarray(heatmap.grid), heatmap.square, shape)


def upsample(
    grid: NDArray[np.floating],
    square: Square | SeenSquare,
    shape: tuple[int, int],
    outside: float = 0.0,
) -> NDArray[np.float32]:
    """Interpolate ``grid`` (h, w), cells of ``square``, linearly at the pixels of ``shape``.

    Undoes crop, padding and resizing of ``preprocessing``: cell centres lie where the network's
    receptive fields have theirs. Pixels that the network did not see are ``outside``.
    """
    rows, rows_seen = _weights(shape[0], square.top, square.side, grid.shape[0])
    columns, columns_seen = _weights(shape[1], square.left, square.side, grid.shape[1])
    full = (rows @ grid.astype(np.float64) @ columns.T).astype(np.float32)
    full[~rows_seen] = outside
    full[:, ~columns_seen] = outside
    return full


def _weights(
    pixels: int, start: int, side: int, cells: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(pixels, cells) weights whose rows sum to 1, and which pixels lie in the square."""
    fraction = (np.arange(pixels) + 0.5 - start) / side
    position = np.clip(fraction * cells - 0.5, 0.0, cells - 1.0)
    distance = np.abs(position[:, np.newaxis] - np.arange(cells))
    return np.clip(1.0 - distance, 0.0, None), (fraction > 0.0) & (fraction < 1.0)


def _box(full: NDArray[np.float32], peak: Pixel) -> Region | None:
    strongest = float(full[peak.row, peak.column])
    if not strongest > 0.0:
        return None
    parts, _ = ndimage.label(full >= BOX_LEVEL * strongest)
    rows, columns = np.nonzero(parts == parts[peak.row, peak.column])
    return Region(
        top=int(rows.min()),
        left=int(columns.min()),
        bottom=int(rows.max()) + 1,
        right=int(columns.max()) + 1,
    )

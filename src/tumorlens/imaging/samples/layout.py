"""Images that are not one slice as a viewer shows it, such as inverted ones, masks and pages.

The network takes each for one head on dark air, and may be confident. Whoever sees the image
sees at once what is wrong, so it is refused, with a word on what to do.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.imaging.samples.gray import Color, Samples
from tumorlens.imaging.samples.label_map import evenness
from tumorlens.imaging.samples.quantiles import quantiles

Floats = NDArray[np.float64]

VIVID: Final = "is coloured all over, like a photograph or a computed map; give the gray image"
INVERTED: Final = "has a bright background, as inverted images do; invert it first"
PANELS: Final = "shows several images side by side; use one image at a time"
LINES: Final = "shows letters or lines, as a page or a graph does, not a slice of a head"
LABELS: Final = "has even areas of one brightness each: a mask or label map, not an image"

_SIDE: Final = 128
"""Pixels a side that are looked at, about."""
_CORNER: Final = 0.03
"""Side of a corner, in sides of the image."""
_BRIGHT: Final = 0.7
"""Brightness of bright air, between the darkest and the brightest."""
_UNIFORM: Final = 0.08
"""Largest spread of air, in the same unit."""
_BRIGHT_CORNERS: Final = 3
"""Of four, where they are even: a label may lie in one."""
_FEWEST_BRIGHT_CORNERS: Final = 2
"""Where they are not."""
_END: Final = 0.15
"""Part of the range at either end that counts as black or white."""
_MUCH_AIR: Final = 0.15
_MORE_WHITE: Final = 4.0
_TISSUE: Final = 0.12
_OCCUPIED: Final = 0.04
"""Part of a row or column that must be brighter than ``_TISSUE`` for it to belong to a head."""
_PANEL: Final = 0.28
"""Fewest sides of the image that one of several panels alike measures across."""
_ALIKE: Final = 0.75
"""Such panels have the same width and height up to this ratio."""
_SMALL_PANEL: Final = 0.12
"""Fewest sides of the image that a panel beside a larger one measures across."""
_FILLED: Final = 0.5
"""Least part of both that is tissue: of a head it is more, of a part of one mostly less."""
_SHAPES: Final = (0.65, 1.6)
"""Heights of a head, in its widths."""
_SOLID: Final = 0.15
"""Part of the tissue that has tissue on all four sides: of 11,000 images of heads none is below
0.38, of pages with letters up to a fifth of their width none is above 0.15."""
_SPARSE: Final = 0.3
"""Most of an image that letters and lines cover; noise covers more."""
_EVEN: Final = 0.9
"""Part of the neighbours inside a mask that have the same value; of MR it is 0.3."""


def refusal(samples: Samples, color: Color = Color.GRAY) -> str:
    """Why (H, W), of any unit, is not one slice on dark air; empty where it seems to be one."""
    if color is Color.VIVID:
        return VIVID
    step = max(1, max(samples.shape) // _SIDE)
    small = samples[::step, ::step]
    low, high = quantiles(small, (0.01, 0.99))
    if not high > low:
        return ""
    if _is_inverted(small, low, high):
        return INVERTED
    tissue = small > low + _TISSUE * (high - low)
    if _has_panels(tissue):
        return PANELS
    if _is_of_lines(tissue):
        return LINES
    return LABELS if evenness(small, tissue) >= _EVEN else ""


def _is_inverted(samples: Samples, low: float, high: float) -> bool:
    """Whether the corners are bright and even, or bright where hardly anything is dark."""
    height, width = (max(2, round(_CORNER * side)) for side in samples.shape)
    corners = (
        samples[:height, :width], samples[:height, -width:], samples[-height:, :width],
        samples[-height:, -width:],
    )  # fmt: skip
    scaled = [_scaled(corner, low, high) for corner in corners]
    bright = [corner for corner in scaled if _median(corner) >= _BRIGHT]
    if len(bright) < _FEWEST_BRIGHT_CORNERS:
        return False
    if sum(float(corner.std()) <= _UNIFORM for corner in bright) >= _BRIGHT_CORNERS:
        return True
    gray = _scaled(samples, low, high)
    white, black = float((gray >= 1 - _END).mean()), float((gray <= _END).mean())
    return white >= _MUCH_AIR and white >= _MORE_WHITE * black


def _is_of_lines(tissue: NDArray[np.bool_]) -> bool:
    """Whether hardly any of it lies within an area."""
    inner = tissue[1:-1, 1:-1] & tissue[:-2, 1:-1] & tissue[2:, 1:-1]
    inner &= tissue[1:-1, :-2] & tissue[1:-1, 2:]
    count = int(np.count_nonzero(tissue))
    return count <= _SPARSE * tissue.size and int(np.count_nonzero(inner)) < _SOLID * count


def _scaled(samples: Samples, low: float, high: float) -> Floats:
    """0 to 1; in double precision, as floats may span more than single precision holds."""
    return np.clip((samples.astype(np.float64) - low) / (high - low), 0, 1)


def _median(numbers: Floats) -> float:
    """``numpy.median`` without its checks, which take longer than the rest for few numbers."""
    ordered, half = np.sort(numbers, axis=None), numbers.size // 2
    return (
        float(ordered[half]) if numbers.size % 2 else float(ordered[half - 1] + ordered[half]) / 2
    )


class _Run(NamedTuple):
    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start


class _Panel(NamedTuple):
    width: int
    height: int
    filled: float
    """Part of it that is tissue."""

    @property
    def is_head_shaped(self) -> bool:
        return _SHAPES[0] <= self.height / self.width <= _SHAPES[1]


def _has_panels(tissue: NDArray[np.bool_]) -> bool:
    """Two heads beside or above each other, with dark air between."""
    return _are_beside(tissue) or _are_beside(tissue.T)


def _are_beside(tissue: NDArray[np.bool_]) -> bool:
    width = tissue.shape[1]
    runs = [run for run in _runs(_occupied(tissue, 0)) if run.length >= _SMALL_PANEL * width]
    if len(runs) < 2:
        return False  # nearly all images: what lies in the run need not be looked at
    panels = [_panel(tissue, run) for run in runs]
    wide = [panel for panel in panels if panel.width >= _PANEL * width]
    if _are_alike(wide) and all(panel.is_head_shaped for panel in wide):
        return True
    return sum(panel.is_head_shaped and panel.filled >= _FILLED for panel in panels) >= 2


def _panel(tissue: NDArray[np.bool_], run: _Run) -> _Panel:
    """What lies in the columns of ``run``: its longest stretch of rows."""
    columns = tissue[:, run.start : run.stop]
    rows = _runs(_occupied(columns, 1))
    longest = max(rows, key=lambda row: row.length, default=_Run(0, 0))
    within = columns[longest.start : longest.stop]
    return _Panel(run.length, longest.length, float(within.mean()) if within.size else 0.0)


def _occupied(tissue: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Which columns (``axis`` 0) or rows (1) of (H, W) belong to a head."""
    # The mean of truth values takes three times as long.
    counts = tissue.view(np.uint8).sum(axis=axis, dtype=np.uint16)
    return np.asarray(counts >= _OCCUPIED * tissue.shape[axis])


def _are_alike(panels: list[_Panel]) -> bool:
    if len(panels) < 2:
        return False
    sides = ([panel.width for panel in panels], [panel.height for panel in panels])
    return all(min(side) >= _ALIKE * max(side) for side in sides)


def _runs(present: NDArray[np.bool_]) -> list[_Run]:
    """Stretches of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], present, [False]]).astype(np.int8)))
    return [_Run(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]

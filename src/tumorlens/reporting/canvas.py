"""The common style of all figures.

Figures are drawn with Agg and without pyplot, so no display is needed and no figure stays in
memory. The colours are those of Okabe and Ito, which can be distinguished with any colour vision;
curves also differ in line style.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLUE: Final = "#0072B2"
INK: Final = "#1b2430"
SOFT: Final = "#5b6878"
LINE: Final = "#d9dfe6"
Dashes = str | tuple[int, tuple[float, ...]]
"""A line style of matplotlib: a name, or offset and lengths."""
STYLES: Final[tuple[tuple[str, Dashes], ...]] = (
    ("#0072B2", "-"),
    ("#D55E00", (0, (6, 2))),
    ("#009E73", (0, (3, 1.5))),
    ("#CC79A7", (0, (6, 2, 1.5, 2))),
    ("#E69F00", "-"),
    ("#56B4E9", (0, (6, 2))),
    ("#882255", (0, (3, 1.5))),
    ("#444444", (0, (6, 2, 1.5, 2))),
)
# dict[Any, Any]: matplotlib types the keys as a list of literals that grows with every release.
_STYLE: Final[dict[Any, Any]] = {
    "font.size": 11.0,
    "font.family": "DejaVu Sans",
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.titlesize": 12.0,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 10.0,
}


@contextmanager
def figure(width: float, height: float) -> Iterator[tuple[Figure, io.BytesIO]]:
    """A new figure in the common style, and a buffer that contains its PNG after the ``with``."""
    png = io.BytesIO()
    with mpl.rc_context(_STYLE):
        drawing = Figure(figsize=(width, height), dpi=130, layout="constrained")
        FigureCanvasAgg(drawing)
        yield drawing, png
        # Without the software tag, equal figures have equal bytes with every matplotlib.
        drawing.savefig(png, format="png", facecolor="white", metadata={"Software": None})

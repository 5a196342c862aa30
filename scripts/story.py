"""Draw docs/figures/story.png: two networks on known patients, new patients and other sources.

    python scripts/story.py

Each bar is one of the records in experiments/evaluations; whiskers are their 95% intervals.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from records import ROOT, evaluation

from tumorlens.reporting import canvas
from tumorlens.reporting.canvas import BLUE, INK

ORANGE: Final = "#e69f00"
"""Of Okabe and Ito, as the colours of all figures."""
PLACES: Final = (
    ("folder-0", None, "patients\nit was trained on\n(folder test)"),
    ("clean-0", "default", "new patients,\nsame sources\n(clean test)"),
    ("clean-0-br35h-tumor", "br35h-tumor", "tumours of another\nsource, held out\n(Br35H)"),
    ("clean-0-brain-tumor-progression", "brain-tumor-progression",
     "another hospital,\nafter surgery\n(TCIA BTP)"),
)  # fmt: skip
PANELS: Final = (
    ("accuracy", "accuracy"),
    ("missed_tumor_rate", "tumours classified as “no tumour”"),
)


def main() -> None:
    """Draw and save."""
    with canvas.figure(11.0, 4.6) as (figure, png):
        panels = figure.subplots(1, 2)
        for panel, (metric, title) in zip(panels, PANELS, strict=True):
            _draw(panel, metric, title)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    (ROOT / "docs" / "figures" / "story.png").write_bytes(png.getvalue())


def _draw(axes: Axes, metric: str, title: str) -> None:
    plain = [_values(name, metric) for name, _, _ in PLACES]
    robust = [_values(name, metric) if name else None for _, name, _ in PLACES]
    places = np.arange(len(PLACES), dtype=np.float64)
    _bars(axes, places - 0.19, plain, ORANGE, "trained in the usual way")
    _bars(
        axes,
        places + 0.19,
        robust,
        BLUE,
        "trained with outlines and other collections (bundled as default)",
    )
    axes.set_xticks(places, [words for _, _, words in PLACES], fontsize=9)
    axes.set_ylim(0, 1.12 if metric == "accuracy" else 0.85)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}" if value <= 1 else "")
    axes.set_title(title)
    axes.tick_params(length=0)


def _bars(
    axes: Axes,
    places: NDArray[np.float64],
    rows: Sequence[NDArray[np.float64] | None],
    color: str,
    label: str,
) -> None:
    there = [(place, row) for place, row in zip(places, rows, strict=True) if row is not None]
    where = np.array([place for place, _ in there])
    value, low, high = np.array([row for _, row in there]).T
    axes.bar(where, value, 0.36, color=color, label=label)
    axes.errorbar(
        where, value, (value - low, high - value), fmt="none", ecolor=INK, elinewidth=1, capsize=3
    )
    for x, v, top in zip(where, value, high, strict=True):
        axes.text(x, top + 0.015, f"{v:.1%}", ha="center", va="bottom", fontsize=9, color=INK)


def _values(name: str, metric: str) -> NDArray[np.float64]:
    """Value and both ends of the interval of a metric in experiments/evaluations/NAME.json."""
    found = evaluation(name)["metrics"][metric]
    return np.array([found["value"], found["low"], found["high"]], dtype=np.float64)


if __name__ == "__main__":
    main()

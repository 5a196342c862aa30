"""Draw docs/figures/story.png: one network at home, on new patients and in other hospitals.

    python scripts/story.py

Every bar is one of the records in docs/evaluations; whiskers are their 95% intervals.
"""

import json
from pathlib import Path
from typing import Any, Final

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
Json = dict[str, Any]
BLUE, ORANGE, INK, LINE = "#0072b2", "#e69f00", "#222222", "#bbbbbb"
PLACES: Final = (
    ("folder-0", None, "patients\nit was trained on\n(folder test)"),
    ("clean-0", "default", "new patients,\nsame sources\n(clean test)"),
    ("clean-0-br35h-tumor", "br35h-tumor", "another source's\ntumours\n(Br35H)"),
    ("clean-0-brain-tumor-progression", "brain-tumor-progression",
     "another hospital,\nafter surgery\n(TCIA BTP)"),
)  # fmt: skip
PANELS: Final = (
    ("accuracy", "answered right"),
    ("missed_tumor_rate", "tumours called “no tumour”"),
)


def main() -> None:
    """Draw and save."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    for panel, (metric, title) in zip(axes, PANELS, strict=True):
        _draw(panel, metric, title)
    handles, labels = axes[1].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=2, frameon=False, labelcolor=INK
    )
    target = ROOT / "docs" / "figures" / "story.png"
    figure.savefig(target, dpi=130, metadata={"Software": None})


def _draw(axes: Axes, metric: str, title: str) -> None:
    plain = [_values(name, metric) for name, _, _ in PLACES]
    robust = [_values(name, metric) if name else None for _, name, _ in PLACES]
    places = np.arange(len(PLACES))
    _bars(axes, places - 0.19, plain, ORANGE, "trained as the literature does")
    _bars(axes, places + 0.19, robust, BLUE, "taught where tumours are (the network in the box)")
    axes.set_xticks(places, [words for _, _, words in PLACES], color=INK, fontsize=9)
    axes.set_ylim(0, 1.12 if metric == "accuracy" else 0.85)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}" if value <= 1 else "")
    axes.set_title(title, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(LINE)
    axes.tick_params(length=0, colors=INK)


def _bars(
    axes: Axes,
    places: NDArray[np.float64],
    rows: list[NDArray[np.float64] | None],
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
    """Value, low and high end of a metric in docs/evaluations/NAME.json."""
    path = ROOT / "docs" / "evaluations" / f"{name}.json"
    found: Json = json.loads(path.read_text("utf-8"))["metrics"][metric]
    return np.array([found["value"], found["low"], found["high"]], dtype=np.float64)


if __name__ == "__main__":
    main()

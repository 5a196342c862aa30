"""Make the figures of docs/results.md whose numbers come from records.

    python scripts/figures.py --report reports/clean    # that of `default` on the clean test
    python scripts/figures.py --check                   # fail where a figure shows older records

story.png is drawn here: two networks on known patients, new patients and other sources. Each bar is
one of the records in experiments/evaluations; whiskers are their 95% intervals. The confusion
matrix and the reliability diagram are those of the report. Each figure keeps the digest of what it
shows.
"""

import argparse
import hashlib
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from records import ROOT, evaluation

from tumorlens.reporting import canvas
from tumorlens.reporting.canvas import BLUE, INK

ORANGE: Final = "#e69f00"
"""From Okabe and Ito, as the colours of all figures."""
PLACES: Final = (
    ("folder-small", None, "patients\nit was trained on\n(folder test)"),
    ("clean-0", "default", "new patients,\nsame sources\n(clean test)"),
    ("clean-0-br35h-tumor", "br35h-tumor", "tumours of another\nsource, held out\n(Br35H)"),
    ("clean-0-brain-tumor-progression", "brain-tumor-progression",
     "another hospital,\nafter surgery\n(TCIA BTP)"),
)  # fmt: skip
NAMES: Final = [name for plain, ours, _ in PLACES for name in (plain, ours) if name]
PANELS: Final = (
    ("accuracy", "accuracy"),
    ("missed_tumor_rate", "tumours classified as “no tumour”"),
)


FIGURES: Final = ROOT / "docs" / "figures"
_OF_REPORT: Final = ("confusion", "reliability")
_DIGEST: Final = "Records"
"""Key of the PNG's text."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw and save, or check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--report", type=Path, help="of `default` on the clean test")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    digests = {"story": _digest([_values(name, m) for name in NAMES for m, _ in PANELS])}
    digests |= {f"clean-{name}": _digest(evaluation("default")["metrics"]) for name in _OF_REPORT}
    if options.check:
        stale = [name for name, digest in digests.items() if _stored_digest(name) != digest]
        if stale:
            sys.exit(f"of older records: {', '.join(stale)}; run python scripts/figures.py")
        return
    _save("story", _story(), digests["story"])
    if options.report:
        report = json.loads((options.report / "evaluation.json").read_text(encoding="utf-8"))
        if report["metrics"] != evaluation("default")["metrics"]:
            sys.exit(f"{options.report} is not the report that is on record")
        for name in _OF_REPORT:
            png = (options.report / f"{name}.png").read_bytes()
            _save(f"clean-{name}", png, digests[f"clean-{name}"])


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _stored_digest(name: str) -> str | None:
    with Image.open(FIGURES / f"{name}.png") as image:
        digest: str | None = image.info.get(_DIGEST)
        return digest


def _save(name: str, png: bytes, digest: str) -> None:
    text = PngInfo()
    text.add_text(_DIGEST, digest)
    with Image.open(io.BytesIO(png)) as image:
        image.save(FIGURES / f"{name}.png", pnginfo=text, optimize=True)


def _story() -> bytes:
    with canvas.figure(11.0, 4.6) as (figure, png):
        panels = figure.subplots(1, 2)
        for panel, (metric, title) in zip(panels, PANELS, strict=True):
            _draw(panel, metric, title)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return png.getvalue()


def _draw(axes: Axes, metric: str, title: str) -> None:
    plain = [_values(name, metric) for name, _, _ in PLACES]
    ours = [_values(name, metric) if name else None for _, name, _ in PLACES]
    positions = np.arange(len(PLACES), dtype=np.float64)
    _bars(axes, positions - 0.19, plain, ORANGE, "trained in the usual way")
    _bars(
        axes,
        positions + 0.19,
        ours,
        BLUE,
        "trained with outlines and other collections (bundled as default)",
    )
    axes.set_xticks(positions, [words for _, _, words in PLACES], fontsize=9)
    axes.set_ylim(0, 1.12 if metric == "accuracy" else 0.85)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}" if value <= 1 else "")
    axes.set_title(title)
    axes.tick_params(length=0)


def _bars(
    axes: Axes,
    positions: NDArray[np.float64],
    rows: Sequence[list[float] | None],
    color: str,
    label: str,
) -> None:
    there = [
        (position, row) for position, row in zip(positions, rows, strict=True) if row is not None
    ]
    where = np.array([position for position, _ in there])
    value, low, high = np.array([row for _, row in there]).T
    axes.bar(where, value, 0.36, color=color, label=label)
    axes.errorbar(
        where, value, (value - low, high - value), fmt="none", ecolor=INK, elinewidth=1, capsize=3
    )
    for x, v, top in zip(where, value, high, strict=True):
        axes.text(x, top + 0.015, f"{v:.1%}", ha="center", va="bottom", fontsize=9, color=INK)


def _values(name: str, metric: str) -> list[float]:
    """Value and both ends of the interval of a metric in experiments/evaluations/NAME.json."""
    estimate = evaluation(name)["metrics"][metric]
    return [estimate["value"], estimate["low"], estimate["high"]]


if __name__ == "__main__":
    main()

"""Figures of the corruptions: errors against strength, and what the strengths look like."""

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from tumorlens import preprocessing
from tumorlens.config import PreprocessConfig
from tumorlens.datasets.manifest import Manifest
from tumorlens.evaluation.corruptions.registry import CORRUPTIONS, STRENGTHS
from tumorlens.evaluation.corruptions.run import Corruptions, Errors
from tumorlens.imaging import reader
from tumorlens.labels import BRAIN_TUMORS, ClassSet
from tumorlens.reporting import canvas
from tumorlens.reporting.canvas import BLUE, SOFT, STYLES

_COLUMNS: Final = 5


def errors_png(corruptions: Corruptions, classes: ClassSet = BRAIN_TUMORS) -> bytes:
    """Draw the error rate against strength, one panel for each corruption; 0: not corrupted."""
    rows = -(-len(CORRUPTIONS) // _COLUMNS)
    with canvas.figure(11.5, 2.7 * rows + 0.5) as (figure, png):
        panels = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True).ravel()
        for k, (axes, corruption) in enumerate(zip(panels, CORRUPTIONS, strict=True)):
            _draw(axes, corruptions.own, k, BLUE, "-", "wrong answers")
            if classes.no_finding is not None:
                _draw_missed(axes, corruptions.own.missed[k], classes)
            if (reference := corruptions.reference) is not None:
                _draw(axes, reference, k, SOFT, "--", f"wrong, {reference.name}")
            axes.set_title(corruption.title, fontsize=11)
            axes.set_xticks(range(STRENGTHS + 1))
            axes.grid(True)
        panels[0].set_ylim(0, None)
        for axes in panels[::_COLUMNS]:
            axes.set_ylabel("images, %")
        for axes in panels[-_COLUMNS:]:
            axes.set_xlabel("strength")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=3)
    return png.getvalue()


def examples_png(corruptions: Corruptions, manifest: Manifest, side: int) -> bytes:
    """Show one tumour image under each corruption (columns) at each strength (rows)."""
    record = corruptions.example
    pixels = reader.read(manifest.file(record)).pixels
    config = PreprocessConfig(image_size=max(side, 128))
    with canvas.figure(13.0, 6.9) as (figure, png):
        panels = figure.subplots(STRENGTHS, len(CORRUPTIONS))
        for k, corruption in enumerate(CORRUPTIONS):
            for strength in range(1, STRENGTHS + 1):
                corrupted = corruption(pixels, strength, record.sha256)
                preprocessed = preprocessing.preprocess(corrupted, config, record.path)
                _show(panels[strength - 1, k], preprocessed)
            panels[0, k].set_title(corruption.title.replace(" (", "\n("), fontsize=10)
        for strength in range(1, STRENGTHS + 1):
            panels[strength - 1, 0].set_ylabel(f"{strength}", rotation=0, labelpad=12, va="center")
    return png.getvalue()


def _draw(axes: Axes, errors: Errors, k: int, color: str, style: str, label: str) -> None:
    percent = 100 * np.concatenate([[errors.clean], errors.table[k]])
    axes.plot(range(STRENGTHS + 1), percent, color=color, ls=style, lw=1.8, marker="o", ms=3,
              label=label)  # fmt: skip


def _draw_missed(axes: Axes, missed: NDArray[np.float64], classes: ClassSet) -> None:
    color, style = STYLES[1]
    axes.plot(range(1, STRENGTHS + 1), 100 * missed, color=color, ls=style, lw=1.4,
              label=f"{classes.findings} answered no {classes.finding}")  # fmt: skip


def _show(axes: Axes, image: NDArray[np.uint8]) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)

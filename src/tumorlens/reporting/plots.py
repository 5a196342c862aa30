"""The figures of an evaluation, as PNG bytes: confusion matrix, reliability, ROC, risk-coverage."""

from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score, roc_curve

from tumorlens.evaluation import metrics
from tumorlens.evaluation.selective import Selective
from tumorlens.labels import BRAIN_TUMORS, ClassSet
from tumorlens.reporting import canvas
from tumorlens.reporting.canvas import BLUE, INK, LINE, SOFT, STYLES
from tumorlens.text import counted, percent

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

_ZOOM: Final = 0.2
"""Side of the corner of the ROC square that is also drawn enlarged."""
_WRITTEN: Final = 12
"""Most classes for which the cells of a confusion matrix contain numbers."""


def confusion_png(labels: Labels, predicted: Labels, classes: ClassSet = BRAIN_TUMORS) -> bytes:
    """Draw counts and row shares of each true class (rows) and answer (columns)."""
    counts = metrics.confusion_matrix(labels, predicted, classes)
    totals = counts.sum(axis=1, keepdims=True)
    fractions = counts / np.maximum(totals, 1)
    side = 0.32 * max(0, len(classes) - 6)
    with canvas.figure(6.0 + side, 5.2 + side) as (figure, png):
        axes = figure.subplots()
        axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
        written = counts.shape if len(classes) <= _WRITTEN else (0, 0)
        for row, column in np.ndindex(*written):
            count, share = int(counts[row, column]), float(fractions[row, column])
            _write_cell(axes, row, column, count, share, digits=1 if side == 0 else 0)
        names = [classes.display_name(name) for name in classes.answerable]
        columns = names[: counts.shape[1]]
        axes.set_xticks(
            range(len(columns)), columns, rotation=20 if side == 0 else 60, ha="right", color=INK
        )
        rows = [
            f"{name}\n({counted(int(n), 'image')})"
            for name, n in zip(names, totals[:, 0], strict=False)
        ]
        axes.set_yticks(range(len(rows)), rows, color=INK)
        axes.set(xlabel="answer", ylabel="truth", title="Confusion matrix")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return png.getvalue()


def reliability_png(
    labels: Labels, probabilities: Floats, classes: ClassSet = BRAIN_TUMORS
) -> bytes:
    """Draw accuracy against confidence for each of 15 bins, above the images in each bin."""
    table = metrics.reliability(labels, probabilities, classes)
    with canvas.figure(6.0, 5.2) as (figure, png):
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.2))
        _draw_reliability(upper, table)
        _draw_bin_counts(lower, table[:, 0])
    return png.getvalue()


def roc_png(labels: Labels, probabilities: Floats, classes: ClassSet = BRAIN_TUMORS) -> bytes:
    """Draw the ROC curve of each class against the rest, and the upper left corner enlarged.

    If there are many classes, those with most images are drawn. The corner is drawn only if a curve
    reaches it.
    """
    names = list(classes.display_names.values())
    common = np.argsort(-np.bincount(labels, minlength=len(classes))[: len(classes)])
    curves = [
        curve
        for style, k in enumerate(sorted(common[: len(STYLES)].tolist()))
        if (curve := _roc(labels, probabilities, k, names[k], style, classes)) is not None
    ]
    reached = any(curve.corner for curve in curves)
    with canvas.figure(9.2 if reached else 5.0, 4.6) as (figure, png):
        panels = figure.subplots(1, 1 + reached, squeeze=False)[0].tolist()
        whole = panels[0]
        whole.plot([0, 1], [0, 1], color=LINE, linewidth=1, zorder=0)
        whole.set(xlim=(-0.01, 1), ylim=(0, 1.01), title="ROC curves, one class against the rest")
        for corner in panels[1:]:
            corner.set(xlim=(-0.002, _ZOOM), ylim=(1 - _ZOOM, 1.002))
            corner.set(title="Detail of the upper left")
        for axes in panels:
            for curve in curves:
                curve.draw(axes)
            axes.set(xlabel="1 - specificity", ylabel="sensitivity")
            axes.grid(True)
        if curves:
            whole.legend(loc="lower right", title="area under the curve", borderpad=1, frameon=True)
    return png.getvalue()


def selective_png(selective: Selective, classes: ClassSet = BRAIN_TUMORS) -> bytes:
    """Draw errors and missed tumours among the answers, against the share of images answered."""
    with canvas.figure(7.4, 4.4) as (figure, png):
        axes = figure.subplots()
        percent = 100 * selective.coverage
        axes.plot(
            percent, 100 * selective.risk, color=BLUE, lw=1.8, label="wrong, of those answered"
        )
        missed = selective.missed if classes.no_finding is not None else np.zeros(1)
        if classes.no_finding is not None:
            color, style = STYLES[1]
            word = classes.finding
            axes.plot(
                percent, 100 * missed, color=color, ls=style, lw=1.8,
                label=f"answered no {word}, of the answered {word} images",
            )  # fmt: skip
        axes.plot(
            percent, 100 * selective.ideal, color=SOFT, lw=1, ls=":",
            label="wrong, with ideal confidence",
        )  # fmt: skip
        top = 100 * float(np.nanmax([selective.risk[-1], missed[-1], 0.005]))
        axes.set(xlim=(0, 100.5), ylim=(-0.03 * top, 1.6 * top))
        axes.set(xlabel="images answered, most confident first, %", ylabel="%")
        axes.set_title("Selective classification")
        axes.grid(True)
        axes.legend(loc="upper left")
    return png.getvalue()


def _write_cell(axes: Axes, row: int, column: int, count: int, share: float, digits: int) -> None:
    color = "white" if share > 0.5 else INK if count else SOFT
    weight = "bold" if count and row != column else "normal"
    text = f"{count}\n{percent(share, digits)}" if count else "0"
    axes.text(column, row, text, ha="center", va="center", color=color, weight=weight)


def _draw_reliability(axes: Axes, table: Floats) -> None:
    filled = table[:, 0] > 0
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle="--", label="perfect")
    count, confidence, accuracy = table[filled].T
    axes.plot(confidence, accuracy, "o-", color=BLUE, linewidth=1.5, label="answers")
    axes.vlines(
        confidence, *wilson(accuracy, count), color=BLUE, linewidth=1, alpha=0.6,
        label="95% by images in the bin",
    )  # fmt: skip
    axes.set(xlim=(0, 1.01), ylim=(-0.02, 1.04), ylabel="accuracy in the bin")
    axes.set_title("Reliability: accuracy against confidence")
    axes.grid(True)
    axes.legend(loc="upper left")


def _draw_bin_counts(axes: Axes, counts: Floats) -> None:
    edges = np.linspace(0, 1, metrics.BINS + 1)
    axes.bar(edges[:-1], counts, width=1 / metrics.BINS, align="edge", color=BLUE, ec="white")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(0, max(10.0, 6 * float(counts.max())))
    for left, count in zip(edges, counts, strict=False):
        if count:
            at = (left + 0.5 / metrics.BINS, count)
            axes.annotate(
                f"{int(count)}", at, (0, 2), textcoords="offset points", ha="center", fontsize=9
            )
    axes.set(xlabel="confidence: probability of the answer", ylabel="images")
    axes.set_yticks([1, 10, 100, 1000][: 1 + int(np.log10(max(10.0, float(counts.max()))))])
    axes.yaxis.set_major_formatter("{x:.0f}")
    axes.minorticks_off()


def wilson(share: Floats, count: Floats) -> tuple[Floats, Floats]:
    """95% interval of a share of ``count`` independent images (Wilson, 1927)."""
    tests = (binomtest(round(p * n), int(n)) for p, n in zip(share, count, strict=True))
    low, high = np.array([test.proportion_ci(method="wilson") for test in tests]).T
    return low, high


class _Curve(NamedTuple):
    """The ROC curve of one class."""

    false_positive: Floats
    true_positive: Floats
    name: str
    look: tuple[str, canvas.Dashes]

    @property
    def corner(self) -> bool:
        """Whether it has a point in the enlarged corner."""
        return bool(((self.false_positive <= _ZOOM) & (self.true_positive >= 1 - _ZOOM)).any())

    def draw(self, axes: Axes) -> None:
        """Draw it."""
        color, style = self.look
        axes.plot(
            self.false_positive, self.true_positive, color=color, ls=style, linewidth=1.8,
            label=self.name,
        )  # fmt: skip


def _roc(
    labels: Labels, probabilities: Floats, k: int, name: str, style: int, classes: ClassSet
) -> _Curve | None:
    """The curve of class ``k``; None unless there are images of it and of others."""
    known = metrics.decides(labels, k, classes)
    positive, scores = labels[known] == k, probabilities[known, k]
    if positive.all() or not positive.any():
        return None
    false_positive, true_positive, _ = roc_curve(positive, scores)
    area = roc_auc_score(positive, scores)
    return _Curve(false_positive, true_positive, f"{name} {area:.4f}", STYLES[style % len(STYLES)])

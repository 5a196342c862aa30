"""The report of a comparison: one HTML page, its figure as PNG, and JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib.axes import Axes

from tumorlens.evaluation import comparison as comparisons
from tumorlens.evaluation import metrics
from tumorlens.evaluation.comparison import COMPARED, ComparedNetwork, Comparison
from tumorlens.evaluation.resampling import Estimate
from tumorlens.files import json_bytes, write_file
from tumorlens.reporting import canvas, html
from tumorlens.reporting.canvas import SOFT, STYLES
from tumorlens.reporting.evaluation_report import show, shown, titles

PAGE: Final = "index.html"
RECORD: Final = "comparison.json"
FIGURE: Final = "curves.png"
_MARKERS: Final = ("o", "s", "^", "D", "v")
_BELOW: Final[dict[str, Any]] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16)}
_RISK_FROM: Final = 0.05
_MIN_OF_BIN: Final = 5
"""Fewest images of a confidence bin whose accuracy is drawn."""
_SHARES: Final = frozenset({"accuracy", "missed_tumor_rate", "false_alarm_rate"})


def write(folder: Path, comparison: Comparison) -> Path:
    """Write ``index.html``, ``comparison.json`` and ``curves.png``; return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    figure = curves_png(comparison.networks)
    write_file(folder / FIGURE, figure)
    write_file(folder / RECORD, json_bytes(comparisons.as_dict(comparison)))
    classes = comparison.first.evaluation.classes
    return html.write(
        folder / PAGE,
        "compare.html",
        comparison=comparison,
        compared=metrics.asked(COMPARED, classes),
        titles=titles(classes),
        definitions=metrics.definitions(classes),
        show=show,
        show_difference=show_difference,
        show_p=show_p,
        decided=decided,
        figure=html.embed_png(figure),
    )


def show_difference(name: str, estimate: Estimate) -> str:
    """Format a difference: ``+1.20 points (-0.31 to +2.80)``, ``-0.0120 (...)``."""
    scale, digits, unit = (100, 2, " points") if name in _SHARES else (1, 4, "")
    return shown(estimate, scale, digits, unit, "+")


def show_p(value: float) -> str:
    """Format a p-value: ``0.032``, ``below 0.001``."""
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def decided(estimate: Estimate) -> bool:
    """Whether the interval of a difference excludes 0."""
    return estimate.low > 0 or estimate.high < 0


def curves_png(networks: Sequence[ComparedNetwork]) -> bytes:
    """Draw errors against the share answered, and accuracy against confidence, of all bundles."""
    with canvas.figure(11.0, 5.0 + 0.25 * len(networks)) as (figure, png):
        risk, calibration = figure.subplots(1, 2)
        for k, network in enumerate(networks):
            _draw_risk(risk, network, k)
            _draw_calibration(calibration, network, k)
        # Only of the drawn part: one error among the first answers is a rate of up to 100%.
        curves = [network.evaluation.selective for network in networks]
        top = 110 * max(float(curve.risk[curve.coverage >= _RISK_FROM].max()) for curve in curves)
        risk.set(xlim=(0, 100.5), ylim=(-0.03 * max(top, 1), max(top, 1)))
        risk.set(xlabel="images answered, most confident first, %", ylabel="wrong answers, %")
        risk.set_title("Risk and coverage")
        risk.legend(**_BELOW, title="area under the curve")
        calibration.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=":", label="perfect")
        calibration.set(xlim=(0, 1.01), ylim=(-0.02, 1.04))
        calibration.set(xlabel="confidence: probability of the answer", ylabel="accuracy")
        calibration.set_title("Calibration")
        calibration.legend(**_BELOW, title="expected calibration error")
        for axes in (risk, calibration):
            axes.grid(True)
    return png.getvalue()


def _draw_risk(axes: Axes, network: ComparedNetwork, k: int) -> None:
    curve = network.evaluation.selective
    color, style = STYLES[k % len(STYLES)]
    drawn = curve.coverage >= _RISK_FROM
    axes.plot(
        100 * curve.coverage[drawn], 100 * curve.risk[drawn], color=color, ls=style, lw=1.8,
        label=f"{network.name} {curve.aurc.value:.4f}",
    )  # fmt: skip


def _draw_calibration(axes: Axes, network: ComparedNetwork, k: int) -> None:
    evaluation = network.evaluation
    table = metrics.reliability(evaluation.labels, evaluation.probabilities, evaluation.classes)
    enough = table[:, 0] >= _MIN_OF_BIN
    _, confidence, accuracy = table[enough if enough.any() else table[:, 0] > 0].T
    color, style = STYLES[k % len(STYLES)]
    error = evaluation.estimates["expected_calibration_error"].value
    axes.plot(
        confidence, accuracy, color=color, ls=style, lw=1.8, label=f"{network.name} {error:.4f}",
        marker=_MARKERS[k // len(STYLES) % len(_MARKERS)], markersize=4,
    )  # fmt: skip

"""The report of an evaluation: one HTML page, its figures as PNG, JSON and CSV beside it."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from tumorlens.datasets.controls import FRAME_CLASSIFIER, HASH_NEIGHBOUR
from tumorlens.datasets.manifest import Manifest
from tumorlens.evaluation import metrics, record, selective
from tumorlens.evaluation.conformal import Covered, Sets
from tumorlens.evaluation.corruptions.run import Corruptions
from tumorlens.evaluation.evaluator import Evaluation, Measured
from tumorlens.evaluation.probes.result import ProbeResult
from tumorlens.evaluation.resampling import Estimate
from tumorlens.files import write_file
from tumorlens.imaging import reader
from tumorlens.imaging.raster import encode
from tumorlens.labels import BRAIN_TUMORS, UNANSWERABLE, ClassSet
from tumorlens.reporting import corruption_figures, html, plots

PAGE: Final = "index.html"
RECORD: Final = "evaluation.json"
PREDICTIONS: Final = "predictions.csv"
_MISTAKES: Final = 24
_MIN_FOR_FIGURES: Final = 50
"""Fewest images of a subset for which figures are drawn."""

TITLES: Final[Mapping[str, str]] = {
    "accuracy": "Accuracy",
    "log_loss": "Log-loss",
    "macro_f1": "Macro F1",
    "mcc": "Matthews correlation",
    "macro_auroc": "Macro AUROC",
    "expected_calibration_error": "Expected calibration error",
    "brier_score": "Brier score",
    "missed_tumor_rate": "Missed tumours",
    "false_alarm_rate": "False alarms",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision",
    "f1": "F1",
    "auroc": "AUROC",
}
CONTROL_TITLES: Final[Mapping[str, str]] = {
    HASH_NEIGHBOUR: "most similar training image",
    FRAME_CLASSIFIER: "outer frame only",
}
_RATES: Final = frozenset(
    {"accuracy", "missed_tumor_rate", "false_alarm_rate", "sensitivity", "specificity", "precision"}
)


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the report."""

    file: str
    alt: str
    png: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Mistake:
    """One wrong answer with its image."""

    image: str
    """A data URI."""
    label: str
    predicted: str
    confidence: float
    probability_of_truth: float
    path: str
    group: str


def write(
    folder: Path,
    evaluation: Evaluation,
    manifest: Manifest,
    probes: Sequence[ProbeResult] = (),
    corruptions: Corruptions | None = None,
) -> Path:
    """Write ``index.html``, ``evaluation.json``, ``predictions.csv`` and PNGs; return the page.

    ``manifest`` is the one that was evaluated; mistakes are shown as the network saw them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = {m.subset.name: draw(evaluation, m) for m in evaluation.measured}
    sure = Figure(
        "selective.png",
        "Errors against the share of images answered",
        plots.selective_png(evaluation.selective, evaluation.classes),
    )
    worse = _draw_corruptions(corruptions, evaluation, manifest)
    for figure in (sure, *worse, *(figure for drawn in figures.values() for figure in drawn)):
        write_file(folder / figure.file, figure.png)
    data = record.to_json(evaluation, probes, corruptions)
    write_file(folder / RECORD, data)
    write_file(folder / PREDICTIONS, record.predictions_csv(evaluation))
    return html.write(
        folder / PAGE,
        "evaluation.html",
        evaluation=evaluation,
        protocol=evaluation.protocol,
        warnings=evaluation.warnings,
        clean=evaluation.quotable,
        comparison=comparison(evaluation),
        paper=evaluation.protocol.paper,
        titles=titles(evaluation.classes),
        definitions=metrics.definitions(evaluation.classes),
        overall=metrics.asked(metrics.OVERALL, evaluation.classes),
        per_class=metrics.PER_CLASS,
        classes=evaluation.classes.display_names,
        named=evaluation.classes.display_name,
        show=show,
        figures=figures,
        rates=metrics.asked(metrics.RATES, evaluation.classes),
        other_answers={
            label: row for label, row in record.answers(evaluation).items() if label in UNANSWERABLE
        },
        selective_figure=sure,
        abstention=record.abstention_outcome(evaluation),
        set_rows=set_rows,
        sets=record.prediction_sets(evaluation),
        selective_points=[evaluation.selective.at(c) for c in selective.COVERAGES],
        probes=probes,
        corruptions=corruptions,
        corruption_figures=worse,
        show_rate=show_rate,
        mistakes=mistakes(evaluation, manifest),
        wrong=int((~evaluation.correct).sum()),
    )


def titles(classes: ClassSet = BRAIN_TUMORS) -> dict[str, str]:
    """Names of the metrics, for people."""
    if classes.finding == BRAIN_TUMORS.finding:
        return dict(TITLES)
    return {**TITLES, "missed_tumor_rate": f"Missed {classes.findings}"}


def show(name: str, estimate: Estimate) -> str:
    """Format an estimate: ``98.44% (97.53 to 99.16)``, ``0.0612 (0.0410 to 0.0853)``."""
    return shown(estimate, 100, 2, "%") if name in _RATES else shown(estimate, 1, 4)


def show_rate(estimate: Estimate) -> str:
    """Format a share: ``98.4% (97.5 to 99.2)``."""
    return shown(estimate, 100, 1, "%")


def shown(estimate: Estimate, scale: float, digits: int, unit: str = "", sign: str = "") -> str:
    """Format ``scale`` times an estimate; ``sign`` is ``+`` for a difference."""
    value, low, high = (f"{scale * part:{sign}.{digits}f}" for part in estimate)
    if math.isnan(estimate.value):
        return "undefined"
    interval = "no interval" if math.isnan(estimate.low) else f"{low} to {high}"
    return f"{value}{unit} ({interval})"


def set_rows(sets: Sets) -> list[tuple[str, Covered]]:
    """Rows of a table of prediction sets: all images, by decision, by label."""
    return [("all images", sets.whole), *sets.by_decision.items(), *sets.by_label.items()]


def comparison(evaluation: Evaluation) -> list[tuple[str, Mapping[str, Estimate]]]:
    """Accuracy of the bundle and of each control, keyed by subset."""
    bundle = {m.subset.name: m.estimates["accuracy"] for m in evaluation.measured}
    title = "these bundles, pooled" if any(evaluation.folds) else "this bundle"
    rows: list[tuple[str, Mapping[str, Estimate]]] = [(title, bundle)]
    return rows + [
        (f"control: {CONTROL_TITLES[control.name]}", control.accuracy)
        for control in evaluation.controls
    ]


def draw(evaluation: Evaluation, measured: Measured) -> list[Figure]:
    """Draw the three figures of all images, or of a subset with at least 50 images."""
    subset = measured.subset
    if subset.name != "all" and measured.images < _MIN_FOR_FIGURES:
        return []
    classes = evaluation.classes
    labels = evaluation.labels[subset.member]
    probabilities = evaluation.probabilities[subset.member]
    tail = "" if subset.name == "all" else f"_{subset.name}"
    return [
        Figure(
            f"confusion{tail}.png",
            f"Confusion matrix, {subset.title}",
            plots.confusion_png(labels, evaluation.predicted[subset.member], classes),
        ),
        Figure(
            f"reliability{tail}.png",
            f"Reliability diagram with images per bin, {subset.title}",
            plots.reliability_png(labels, probabilities, classes),
        ),
        Figure(
            f"roc{tail}.png",
            f"One-vs-rest ROC curves, {subset.title}",
            plots.roc_png(labels, probabilities, classes),
        ),
    ]


def _draw_corruptions(
    corruptions: Corruptions | None, evaluation: Evaluation, manifest: Manifest
) -> list[Figure]:
    if corruptions is None:
        return []
    side = evaluation.bundle.info.preprocess.image_size
    return [
        Figure(
            "corruptions.png",
            "Errors against strength for each corruption",
            corruption_figures.errors_png(corruptions, evaluation.classes),
        ),
        Figure(
            "corruption_examples.png",
            "One image under each corruption at each strength",
            corruption_figures.examples_png(corruptions, manifest, side),
        ),
    ]


def mistakes(evaluation: Evaluation, manifest: Manifest) -> list[Mistake]:
    """The most confident wrong answers, with the input of the network."""
    wrong_answers, names = [], evaluation.classes.names
    correct = metrics.correct_table(evaluation.classes)
    classifiers = {fold.name: fold.classifier for fold in evaluation.plan.folds}
    for i in evaluation.mistakes(_MISTAKES):
        image = evaluation.records[i]
        pixels = classifiers[evaluation.folds[i]].preprocess(reader.read(manifest.file(image)))
        row = evaluation.probabilities[i]
        wrong_answers.append(
            Mistake(
                image=encode.data_uri(pixels),
                label=image.label,
                predicted=names[int(np.argmax(row))],
                confidence=float(row.max()),
                probability_of_truth=float(row[correct[evaluation.labels[i]]].sum()),
                path="/".join(Path(image.path).parts[-3:]),
                group=evaluation.groups[i],
            )
        )
    return wrong_answers

"""Every metric of a four-class answer, for one weighting of the images or thousands at once.

A metric here is a function of totals over images (a confusion matrix, sums of losses, bins of
confidence), or, for the area under the ROC curve, of a weighted ranking. Both are linear algebra
over a matrix of weights, which makes a bootstrap of 2,000 resamples cost one matrix product. One
implementation gives the value and its interval; tests hold it to scikit-learn.

Undefined is NaN, never 0: the sensitivity for a class without images, the precision for a class
never answered, a rate over no images. Means over classes leave undefined classes out.

Truths index ``labels.ANSWERABLE``: the four classes, and ``tumor`` for a tumour whose kind is not
known. Of such an image every tumour class is a right answer, its loss is that of the summed tumour
probabilities, and it counts for a class only where its label decides: ``notumor`` is wrong.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.labels import ANSWERABLE, BRAIN_TUMORS, CLASSES, NO_TUMOR_INDEX, TUMOR_INDICES

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

BINS: Final = 15
"""Equal-width bins of the top probability in ``expected_calibration_error``."""

OVERALL: Final = (
    "accuracy", "log_loss", "macro_f1", "mcc", "macro_auroc", "expected_calibration_error",
    "brier_score", "missed_tumor_rate", "false_alarm_rate",
)  # fmt: skip
PER_CLASS: Final = ("sensitivity", "specificity", "precision", "f1", "auroc")
NAMES: Final = (*OVERALL, *(f"{metric}.{name}" for metric in PER_CLASS for name in CLASSES))
"""Columns of ``measure``: overall metrics, then ``metric.class``."""

RATES: Final = ("accuracy", "missed_tumor_rate", "false_alarm_rate")
"""Columns of ``rates``: what stands side by side in every table."""

CORRECT: Final = np.array(
    [[k in BRAIN_TUMORS.correct_classes(name) for k in range(len(CLASSES))] for name in ANSWERABLE]
)
"""(6, 4) which classes answer each of ``labels.ANSWERABLE`` rightly."""

DEFINITIONS: Final[Mapping[str, str]] = {
    "accuracy": "Share of images whose most probable class is right: the true one, or any tumour "
    "where only that is known.",
    "log_loss": "Mean negative natural logarithm of the probability given to what is right.",
    "macro_f1": "Unweighted mean of the F1 scores of the classes that have images.",
    "mcc": "Matthews correlation coefficient of the confusion matrix (Gorodkin's R_K).",
    "macro_auroc": "Unweighted mean of the one-vs-rest areas under the ROC curve.",
    "expected_calibration_error": (
        f"Mean distance between top probability and accuracy over {BINS} equal-width bins of the "
        "top probability, weighted by images. Resampling biases it upwards, so its interval may "
        "lie above its value."
    ),
    "brier_score": (
        "Multiclass sum form: mean over images of the squared distance between the four "
        "probabilities and the truth; 0 to 2."
    ),
    "missed_tumor_rate": "Share of tumour images answered with no tumour.",
    "false_alarm_rate": "Share of images without tumour answered with a tumour.",
    "sensitivity": "Share of the class's images answered with the class (recall).",
    "specificity": "Share of other images not answered with the class.",
    "precision": "Share of answers of the class that are right.",
    "f1": "Harmonic mean of precision and sensitivity.",
    "auroc": "Area under the one-vs-rest ROC curve of the class's probability.",
}

_COUNT: Final = len(CLASSES)
_CONFUSION: Final = slice(0, len(ANSWERABLE) * _COUNT)
_LOSS: Final = _CONFUSION.stop
_BRIER: Final = _LOSS + 1
_BIN_COUNT: Final = slice(_BRIER + 1, _BRIER + 1 + BINS)
_BIN_CONFIDENCE: Final = slice(_BIN_COUNT.stop, _BIN_COUNT.stop + BINS)
_BIN_CORRECT: Final = slice(_BIN_CONFIDENCE.stop, _BIN_CONFIDENCE.stop + BINS)
_WIDTH: Final = _BIN_CORRECT.stop


def measure(labels: Labels, probabilities: Floats, weights: Floats | None = None) -> Floats:
    """Compute every metric of ``NAMES`` under each weighting: (B, len(NAMES)).

    ``labels`` (N,) index ``ANSWERABLE``; ``probabilities`` (N, 4) sum to 1; ``weights`` (B, N) are
    how often each image counts, by default once (B = 1).
    """
    if weights is None:
        weights = np.ones((1, len(labels)))
    totals = weights @ image_statistics(labels, probabilities)
    return np.column_stack(
        [columns(totals), one_vs_rest_auroc(labels, probabilities, weights)]
    )[:, _ORDER]  # fmt: skip


def rates(labels: Labels, predicted: Labels, weights: Floats) -> Floats:
    """Compute ``RATES`` of answers (N,) under weights (B, N): (B, 3)."""
    tumor, missed = labels != NO_TUMOR_INDEX, predicted == NO_TUMOR_INDEX
    counts = np.column_stack(
        [CORRECT[labels, predicted], tumor & missed, tumor, ~tumor & ~missed, ~tumor]
    ).astype(np.float64)
    right, missed_tumors, tumors, alarms, healthy = (weights @ counts).T
    return np.column_stack(
        [
            ratio(right, weights.sum(axis=1)),
            ratio(missed_tumors, tumors),
            ratio(alarms, healthy),
        ]
    )


def image_statistics(labels: Labels, probabilities: Floats) -> Floats:
    """What each image adds to the totals: (N, K)."""
    images = np.arange(len(labels))
    predicted = probabilities.argmax(axis=1)
    correct = CORRECT[labels, predicted]
    given = (probabilities * CORRECT[labels]).sum(axis=1)
    top, brier = probabilities[images, predicted], 2 * (1 - given) ** 2
    known = labels < _COUNT
    # Of a tumour of unknown kind only "tumour or not" can be judged: the sum stands for the answer.
    top = np.where(known, top, np.where(correct, given, 1 - given))
    brier[known] = ((probabilities[known] - np.eye(_COUNT)[labels[known]]) ** 2).sum(axis=1)
    bins = confidence_bin(top)
    statistics = np.zeros((len(labels), _WIDTH))
    statistics[images, labels * _COUNT + predicted] = 1.0
    statistics[:, _LOSS] = -np.log(np.maximum(given, _SMALLEST))
    statistics[:, _BRIER] = brier
    statistics[images, _BIN_COUNT.start + bins] = 1.0
    statistics[images, _BIN_CONFIDENCE.start + bins] = top
    statistics[images, _BIN_CORRECT.start + bins] = correct
    return statistics


def columns(totals: Floats) -> Floats:
    """Every metric but the areas under ROC curves, from totals (B, K): (B, 8 + 4 * 4)."""
    table = totals[:, _CONFUSION].reshape(-1, len(ANSWERABLE), _COUNT)
    confusion, unknown = table[:, :_COUNT], table[:, _COUNT:].sum(axis=1)
    images = table.sum(axis=(1, 2))
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    truth, answered = confusion.sum(axis=2), confusion.sum(axis=1)
    decided = np.repeat(confusion.sum(axis=(1, 2))[:, np.newaxis], _COUNT, axis=1)
    answered[:, NO_TUMOR_INDEX] += unknown[:, NO_TUMOR_INDEX]
    decided[:, NO_TUMOR_INDEX] += unknown.sum(axis=1)
    f1 = ratio(2 * hits, truth + answered)
    gaps = np.abs(totals[:, _BIN_CONFIDENCE] - totals[:, _BIN_CORRECT]).sum(axis=1)
    healthy = truth[:, NO_TUMOR_INDEX]
    missed = table[:, [*TUMOR_INDICES, _COUNT], NO_TUMOR_INDEX].sum(axis=1)
    alarms = healthy - hits[:, NO_TUMOR_INDEX]
    rest = decided - truth
    return np.column_stack(
        [
            ratio((table * CORRECT).sum(axis=(1, 2)), images),
            ratio(totals[:, _LOSS], images),
            # Of a class without images F1 would be 0 as soon as one answer names it.
            mean_of_defined(np.where(truth > 0, f1, np.nan)),
            matthews(confusion),
            ratio(gaps, images),
            ratio(totals[:, _BRIER], images),
            ratio(missed, images - healthy),
            ratio(alarms, healthy),
            ratio(hits, truth),
            ratio(rest - (answered - hits), rest),
            ratio(hits, answered),
            f1,
        ]
    )


def matthews(confusion: Floats) -> Floats:
    """Multiclass Matthews correlation of (B, C, C): (B,); NaN where truth or answer is constant."""
    images = confusion.sum(axis=(1, 2))
    truth, answered = confusion.sum(axis=2), confusion.sum(axis=1)
    hits = np.trace(confusion, axis1=1, axis2=2)
    covariance = hits * images - (truth * answered).sum(axis=1)
    spread = (images**2 - (truth**2).sum(axis=1)) * (images**2 - (answered**2).sum(axis=1))
    return ratio(covariance, np.sqrt(np.maximum(spread, 0.0)))


def one_vs_rest_auroc(labels: Labels, probabilities: Floats, weights: Floats) -> Floats:
    """Area under each class's ROC curve and their mean: (B, 4 + 1); ties count one half."""
    areas = np.column_stack(
        [
            auroc(labels[member] == k, probabilities[member, k], weights[:, member])
            for k, member in ((k, decides(labels, k)) for k in range(_COUNT))
        ]
    )
    return np.column_stack([areas, mean_of_defined(areas)])


def decides(labels: Labels, index: int) -> NDArray[np.bool_]:
    """(N,) whether the label says if the image is of class ``index``, or not."""
    return (labels < _COUNT) | (index == NO_TUMOR_INDEX)


def auroc(positive: NDArray[np.bool_], scores: Floats, weights: Floats) -> Floats:
    """Weighted Mann-Whitney statistic of ``scores`` (N,) under weights (B, N): (B,)."""
    if len(scores) == 0:
        return np.full(len(weights), np.nan)
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.nan) != 0)
    ranked = weights[:, order]
    wins = np.add.reduceat(ranked * positive[order], starts, axis=1)
    losses = np.add.reduceat(ranked * ~positive[order], starts, axis=1)
    below = np.cumsum(losses, axis=1) - losses
    return ratio((wins * (below + 0.5 * losses)).sum(axis=1), wins.sum(axis=1) * losses.sum(axis=1))


def confusion_matrix(labels: Labels, predicted: Labels) -> NDArray[np.int64]:
    """Images by truth (rows) and answer (columns).

    (4, 4), or (6, 4) where there are tumours of an unknown or another kind.
    """
    flat = np.bincount(labels * _COUNT + predicted, minlength=len(ANSWERABLE) * _COUNT)
    table = flat.reshape(len(ANSWERABLE), _COUNT).astype(np.int64)
    return table if table[_COUNT:].any() else table[:_COUNT]


def reliability(labels: Labels, probabilities: Floats) -> Floats:
    """Count, mean top probability and accuracy of each confidence bin: (15, 3), NaN if empty."""
    totals = image_statistics(labels, probabilities).sum(axis=0)
    count = totals[_BIN_COUNT]
    confidence = ratio(totals[_BIN_CONFIDENCE], count)
    return np.column_stack([count, confidence, ratio(totals[_BIN_CORRECT], count)])


def confidence_bin(top: Floats) -> Labels:
    """Index of the bin of each top probability; bins include their upper edge."""
    return np.clip(np.ceil(top * BINS).astype(np.int64) - 1, 0, BINS - 1)


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Quotient, NaN where the denominator is 0, without a warning."""
    undefined = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    quotient: Floats = np.divide(numerator, denominator, out=undefined, where=denominator != 0)
    return quotient


def mean_of_defined(values: Floats) -> Floats:
    """Mean over the last axis without NaN; NaN where nothing is defined."""
    defined = np.isfinite(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1).astype(float))


# The order in which ``measure`` computes, before it is put into the order of NAMES.
_COMPUTED: Final = (
    *(name for name in OVERALL if name != "macro_auroc"),
    *(f"{metric}.{name}" for metric in PER_CLASS for name in CLASSES),
    "macro_auroc",
)
_ORDER: Final = [_COMPUTED.index(name) for name in NAMES]
_SMALLEST: Final = float(np.finfo(np.float64).eps)
"""Probabilities are raised to this before the logarithm, as scikit-learn does."""

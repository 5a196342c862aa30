"""All metrics of a classifier's answers, for one or many weightings of the images at once.

A metric is a function of totals over images (confusion matrix, sums of losses, bins of confidence)
or, for the area under the ROC curve, of a weighted ranking. Both are linear in the weights, so a
bootstrap of 2,000 resamples is one matrix product. Value and interval come from one implementation,
which tests compare with scikit-learn.

Undefined metrics are NaN, never 0: the sensitivity for a class without images, the precision for a
class that was never answered, a rate over no images. Means over classes skip undefined ones.

Truths are indices of ``ClassSet.answerable``: the classes, and ``tumor`` for a finding of unknown
kind. For such an image every kind is correct, its loss is that of the summed probabilities of the
kinds, and it counts in metrics of a class only for "no finding", which is wrong. Without a class
for "no finding", the rates of missed findings and false alarms are undefined.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.labels import BRAIN_TUMORS, ClassSet

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

BINS: Final = 15
"""Equal-width bins of the top probability in ``expected_calibration_error``."""

OVERALL: Final = (
    "accuracy", "log_loss", "macro_f1", "mcc", "macro_auroc", "expected_calibration_error",
    "brier_score", "missed_tumor_rate", "false_alarm_rate",
)  # fmt: skip
PER_CLASS: Final = ("sensitivity", "specificity", "precision", "f1", "auroc")

RATES: Final = ("accuracy", "missed_tumor_rate", "false_alarm_rate")
"""Columns of ``rates``, which all tables show."""

_OF_PRESENCE: Final = ("missed_tumor_rate", "false_alarm_rate")
"""Rates that need a class for "no finding"."""

_DEFINITIONS: Final[Mapping[str, str]] = {
    "accuracy": "Share of images whose most probable class is correct: the true one{vague}.",
    "log_loss": "Mean negative natural logarithm of the probability of the correct answer.",
    "macro_f1": "Unweighted mean of the F1 scores of the classes that have images.",
    "mcc": "Matthews correlation coefficient of the confusion matrix (Gorodkin's R_K).",
    "macro_auroc": "Unweighted mean of the one-vs-rest areas under the ROC curve.",
    "expected_calibration_error": (
        f"Mean distance between top probability and accuracy over {BINS} equal-width bins of the "
        "top probability, weighted by images. Resampling biases it upwards, so its interval may "
        "lie above its value."
    ),
    "brier_score": (
        "Multiclass sum form: mean over images of the squared distance between the "
        "probabilities and the truth; 0 to 2."
    ),
    "missed_tumor_rate": "Share of images with {a_finding} answered with {none}.",
    "false_alarm_rate": "Share of images without any {finding} answered with one.",
    "sensitivity": "Share of the class's images answered with the class (recall).",
    "specificity": "Share of other images not answered with the class.",
    "precision": "Share of answers of the class that are correct.",
    "f1": "Harmonic mean of precision and sensitivity.",
    "auroc": "Area under the one-vs-rest ROC curve of the class's probability.",
}

_SMALLEST: Final = float(np.finfo(np.float64).eps)
"""Probabilities are raised to this before the logarithm, as scikit-learn does."""


@cache
def names(classes: ClassSet = BRAIN_TUMORS) -> tuple[str, ...]:
    """Columns of ``measure``: overall metrics, then ``metric.class``."""
    per_class = (f"{metric}.{name}" for metric in PER_CLASS for name in classes.names)
    return (*OVERALL, *per_class)


def asked(names: Iterable[str], classes: ClassSet) -> list[str]:
    """``names`` without the rates that are undefined for these classes."""
    return [k for k in names if classes.no_finding is not None or k not in _OF_PRESENCE]


def definitions(classes: ClassSet = BRAIN_TUMORS) -> dict[str, str]:
    """Definition of each defined metric, in the words of ``classes``."""
    finding, none = classes.finding, ""
    if classes.no_finding is not None:
        none = classes.display_name(classes.no_finding)
        none = none if finding in none else f'"{none}"'
    # Only with a class for "no finding" may a set hold findings whose kind is not known.
    vague = f", or any {finding} where only that is known" if none else ""
    return {
        name: _DEFINITIONS[name].format(
            finding=finding, a_finding=classes.a_finding, none=none, vague=vague
        )
        for name in asked(_DEFINITIONS, classes)
    }


def most_probable(probabilities: Floats) -> Labels:
    """(N, C) to (N,): the most probable class of each image."""
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


@cache
def correct_table(classes: ClassSet = BRAIN_TUMORS) -> NDArray[np.bool_]:
    """(A, C) the correct classes of each label of ``ClassSet.answerable``."""
    correct = [classes.correct_classes(name) for name in classes.answerable]
    return np.array([[k in answers for k in range(len(classes))] for answers in correct])


def correct_of(labels: Sequence[str], classes: ClassSet = BRAIN_TUMORS) -> NDArray[np.bool_]:
    """(N, C) the correct classes of each of ``labels``, which must be answerable."""
    return correct_table(classes)[truths(labels, classes)]


def truths(labels: Sequence[str], classes: ClassSet = BRAIN_TUMORS) -> Labels:
    """(N,) labels as indices of ``ClassSet.answerable``."""
    indices = {name: k for k, name in enumerate(classes.answerable)}
    return np.array([indices[label] for label in labels], dtype=np.int64)


NAMES: Final = names()


class _Totals(NamedTuple):
    """Sums over the images under each of B weightings."""

    answers: Floats
    """(B, A, C) images by truth and answer."""
    loss: Floats
    """(B,)"""
    brier: Floats
    """(B,)"""
    bins: Floats
    """(B, 3, 15) images, confidence and correct answers of each bin."""


def measure(
    labels: Labels,
    probabilities: Floats,
    weights: Floats | None = None,
    classes: ClassSet = BRAIN_TUMORS,
) -> Floats:
    """Compute every metric of ``names`` under each weighting: (B, len(names)).

    ``labels`` (N,) index ``ClassSet.answerable``; ``probabilities`` (N, C) sum to 1; ``weights``
    (B, N) are how often each image counts, by default once (B = 1).
    """
    if weights is None:
        weights = np.ones((1, len(labels)))
    totals = _totals(labels, probabilities, weights, classes)
    areas = one_vs_rest_auroc(labels, probabilities, weights, classes)
    count, none = len(classes), classes.no_finding_index
    confusion, unknown = totals.answers[:, :count], totals.answers[:, count:].sum(axis=1)
    images = totals.answers.sum(axis=(1, 2))
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    truth, answered = confusion.sum(axis=2), confusion.sum(axis=1)
    decided = np.repeat(confusion.sum(axis=(1, 2))[:, np.newaxis], count, axis=1)
    missed, alarms, healthy, tumors = np.zeros((4, len(weights)))
    if none is not None:
        answered[:, none] += unknown[:, none]
        decided[:, none] += unknown.sum(axis=1)
        healthy, tumors = truth[:, none], images - truth[:, none]
        missed = totals.answers[:, :, none].sum(axis=1) - hits[:, none]
        alarms = healthy - hits[:, none]
    f1 = ratio(2 * hits, truth + answered)
    gaps = np.abs(totals.bins[:, 1] - totals.bins[:, 2]).sum(axis=1)
    rest = decided - truth
    # In the order of ``names``.
    return np.column_stack(
        [
            ratio((totals.answers * correct_table(classes)).sum(axis=(1, 2)), images),
            ratio(totals.loss, images),
            # For a class without images, F1 would be 0 if it was answered once.
            mean_of_defined(np.where(truth > 0, f1, np.nan)),
            matthews(confusion),
            mean_of_defined(areas),
            ratio(gaps, images),
            ratio(totals.brier, images),
            ratio(missed, tumors),
            ratio(alarms, healthy),
            ratio(hits, truth),
            ratio(rest - (answered - hits), rest),
            ratio(hits, answered),
            f1,
            areas,
        ]
    )


def rates(
    labels: Labels, predicted: Labels, weights: Floats, classes: ClassSet = BRAIN_TUMORS
) -> Floats:
    """Compute ``RATES`` of answers (N,) under weights (B, N): (B, 3)."""
    none = -1 if classes.no_finding_index is None else classes.no_finding_index
    healthy, missed = labels == none, predicted == none
    tumor = ~healthy & (none >= 0)
    correct = correct_table(classes)[labels, predicted]
    counts = np.column_stack([correct, tumor & missed, tumor, healthy & ~missed, healthy])
    hits, missed_tumors, tumors, alarms, healthies = (weights @ counts.astype(np.float64)).T
    shares = (hits, weights.sum(axis=1)), (missed_tumors, tumors), (alarms, healthies)
    return np.column_stack([ratio(*share) for share in shares])


def _totals(labels: Labels, probabilities: Floats, weights: Floats, classes: ClassSet) -> _Totals:
    table = correct_table(classes)
    images, (rows, count) = np.arange(len(labels)), table.shape
    predicted = probabilities.argmax(axis=1)
    correct = table[labels, predicted]
    given = (probabilities * table[labels]).sum(axis=1)
    top, brier = probabilities[images, predicted], 2 * (1 - given) ** 2
    known = labels < count
    # For a tumour of unknown kind only "tumour or not" is known: use the summed probability.
    top = np.where(known, top, np.where(correct, given, 1 - given))
    brier[known] = ((probabilities[known] - np.eye(count)[labels[known]]) ** 2).sum(axis=1)
    answers = np.zeros((len(labels), rows * count))
    answers[images, labels * count + predicted] = 1.0
    # A bin includes its upper edge.
    bin_of = np.clip(np.ceil(top * BINS).astype(np.int64) - 1, 0, BINS - 1)
    bins = np.zeros((len(labels), 3, BINS))
    bins[images, :, bin_of] = np.column_stack([np.ones(len(labels)), top, correct])
    loss = -np.log(np.maximum(given, _SMALLEST))
    # One product of matrices is faster than four.
    added = np.column_stack([answers, loss, brier, bins.reshape(len(labels), -1)])
    sums = np.split(weights @ added, np.cumsum([rows * count, 1, 1]), axis=1)
    return _Totals(
        sums[0].reshape(-1, rows, count), sums[1][:, 0], sums[2][:, 0],
        sums[3].reshape(-1, 3, BINS),
    )  # fmt: skip


def matthews(confusion: Floats) -> Floats:
    """Multiclass Matthews correlation of (B, C, C): (B,); NaN where truth or answer is constant."""
    images = confusion.sum(axis=(1, 2))
    truth, answered = confusion.sum(axis=2), confusion.sum(axis=1)
    hits = np.trace(confusion, axis1=1, axis2=2)
    covariance = hits * images - (truth * answered).sum(axis=1)
    spread = (images**2 - (truth**2).sum(axis=1)) * (images**2 - (answered**2).sum(axis=1))
    return ratio(covariance, np.sqrt(np.maximum(spread, 0.0)))


def one_vs_rest_auroc(
    labels: Labels, probabilities: Floats, weights: Floats, classes: ClassSet
) -> Floats:
    """Area under each class's ROC curve: (B, C); ties count one half."""
    return np.column_stack(
        [
            auroc(labels[member] == k, probabilities[member, k], weights[:, member])
            for k, member in ((k, decides(labels, k, classes)) for k in range(len(classes)))
        ]
    )


def decides(labels: Labels, index: int, classes: ClassSet) -> NDArray[np.bool_]:
    """(N,) whether it is known from the label if the image is of class ``index``."""
    return (labels < len(classes)) | (index == classes.no_finding_index)


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


def confusion_matrix(
    labels: Labels, predicted: Labels, classes: ClassSet = BRAIN_TUMORS
) -> NDArray[np.int64]:
    """Images by truth (rows) and answer (columns).

    (C, C), or (A, C) if there are findings of an unknown or another kind.
    """
    count, rows = len(classes), len(classes.answerable)
    flat = np.bincount(labels * count + predicted, minlength=rows * count)
    table = flat.reshape(rows, count).astype(np.int64)
    return table if table[count:].any() else table[:count]


def reliability(labels: Labels, probabilities: Floats, classes: ClassSet = BRAIN_TUMORS) -> Floats:
    """Count, mean top probability and accuracy of each confidence bin: (15, 3), NaN if empty."""
    each_once = np.ones((1, len(labels)))
    count, confidence, correct = _totals(labels, probabilities, each_once, classes).bins[0]
    return np.column_stack([count, ratio(confidence, count), ratio(correct, count)])


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Quotient; NaN if the denominator is 0, without a warning."""
    undefined = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    return np.asarray(np.divide(numerator, denominator, out=undefined, where=denominator != 0))


def mean_of_defined(values: Floats) -> Floats:
    """Mean over the last axis without NaN; NaN if nothing is defined."""
    defined = np.isfinite(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1).astype(float))

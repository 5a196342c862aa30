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


class _Layout(NamedTuple):
    """Positions of the totals in the statistics of an image."""

    answerable: int
    classes: int
    none: int
    """Index of "no finding"; -1 if there is none."""

    @classmethod
    def for_classes(cls, classes: ClassSet) -> "_Layout":
        none = classes.no_finding_index
        return cls(len(classes.answerable), len(classes), -1 if none is None else none)

    @property
    def loss(self) -> int:
        """The loss follows the confusion matrix."""
        return self.answerable * self.classes

    @property
    def brier(self) -> int:
        return self.loss + 1

    @property
    def bins(self) -> tuple[slice, slice, slice]:
        """Images, confidence and correct answers of each bin."""
        count, confidence, correct = (self.brier + 1 + k * BINS for k in range(3))
        return (
            slice(count, confidence), slice(confidence, correct), slice(correct, correct + BINS),
        )  # fmt: skip

    @property
    def width(self) -> int:
        return self.brier + 1 + 3 * BINS


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
    totals = weights @ image_statistics(labels, probabilities, classes)
    areas = one_vs_rest_auroc(labels, probabilities, weights, classes)
    return np.column_stack([columns(totals, classes), areas])[:, _order(classes)]


def rates(
    labels: Labels, predicted: Labels, weights: Floats, classes: ClassSet = BRAIN_TUMORS
) -> Floats:
    """Compute ``RATES`` of answers (N,) under weights (B, N): (B, 3)."""
    none = _Layout.for_classes(classes).none
    healthy, missed = labels == none, predicted == none
    tumor = ~healthy & (none >= 0)
    correct = correct_table(classes)[labels, predicted]
    counts = np.column_stack([correct, tumor & missed, tumor, healthy & ~missed, healthy]).astype(
        np.float64
    )
    hits, missed_tumors, tumors, alarms, healthies = (weights @ counts).T
    return np.column_stack(
        [
            ratio(hits, weights.sum(axis=1)),
            ratio(missed_tumors, tumors),
            ratio(alarms, healthies),
        ]
    )


def image_statistics(labels: Labels, probabilities: Floats, classes: ClassSet) -> Floats:
    """What each image adds to the totals: (N, K)."""
    layout, table = _Layout.for_classes(classes), correct_table(classes)
    images = np.arange(len(labels))
    predicted = probabilities.argmax(axis=1)
    correct = table[labels, predicted]
    given = (probabilities * table[labels]).sum(axis=1)
    top, brier = probabilities[images, predicted], 2 * (1 - given) ** 2
    known = labels < layout.classes
    # For a tumour of unknown kind only "tumour or not" is known: use the summed probability.
    top = np.where(known, top, np.where(correct, given, 1 - given))
    brier[known] = ((probabilities[known] - np.eye(layout.classes)[labels[known]]) ** 2).sum(axis=1)
    bins = confidence_bin(top)
    statistics = np.zeros((len(labels), layout.width))
    statistics[images, labels * layout.classes + predicted] = 1.0
    statistics[:, layout.loss] = -np.log(np.maximum(given, _SMALLEST))
    statistics[:, layout.brier] = brier
    for part, values in zip(layout.bins, (1.0, top, correct), strict=True):
        statistics[images, part.start + bins] = values
    return statistics


def columns(totals: Floats, classes: ClassSet = BRAIN_TUMORS) -> Floats:
    """Every metric but the areas under ROC curves, from totals (B, K): (B, 8 + 4 C)."""
    layout = _Layout.for_classes(classes)
    count, none = layout.classes, layout.none
    table = totals[:, : layout.loss].reshape(-1, layout.answerable, count)
    confusion, unknown = table[:, :count], table[:, count:].sum(axis=1)
    images = table.sum(axis=(1, 2))
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    truth, answered = confusion.sum(axis=2), confusion.sum(axis=1)
    decided = np.repeat(confusion.sum(axis=(1, 2))[:, np.newaxis], count, axis=1)
    missed, alarms, healthy, tumors = np.zeros((4, len(totals)))
    if none >= 0:
        answered[:, none] += unknown[:, none]
        decided[:, none] += unknown.sum(axis=1)
        healthy, tumors = truth[:, none], images - truth[:, none]
        missed = table[:, :, none].sum(axis=1) - hits[:, none]
        alarms = healthy - hits[:, none]
    f1 = ratio(2 * hits, truth + answered)
    _, confidence, correct = (totals[:, part] for part in layout.bins)
    gaps = np.abs(confidence - correct).sum(axis=1)
    rest = decided - truth
    return np.column_stack(
        [
            ratio((table * correct_table(classes)).sum(axis=(1, 2)), images),
            ratio(totals[:, layout.loss], images),
            # For a class without images, F1 would be 0 if it was answered once.
            mean_of_defined(np.where(truth > 0, f1, np.nan)),
            matthews(confusion),
            ratio(gaps, images),
            ratio(totals[:, layout.brier], images),
            ratio(missed, tumors),
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


def one_vs_rest_auroc(
    labels: Labels, probabilities: Floats, weights: Floats, classes: ClassSet
) -> Floats:
    """Area under each class's ROC curve and their mean: (B, C + 1); ties count one half."""
    areas = np.column_stack(
        [
            auroc(labels[member] == k, probabilities[member, k], weights[:, member])
            for k, member in ((k, decides(labels, k, classes)) for k in range(len(classes)))
        ]
    )
    return np.column_stack([areas, mean_of_defined(areas)])


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
    totals = image_statistics(labels, probabilities, classes).sum(axis=0)
    count, confidence, correct = (totals[part] for part in _Layout.for_classes(classes).bins)
    return np.column_stack([count, ratio(confidence, count), ratio(correct, count)])


def confidence_bin(top: Floats) -> Labels:
    """Index of the bin of each top probability; bins include their upper edge."""
    return np.clip(np.ceil(top * BINS).astype(np.int64) - 1, 0, BINS - 1)


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Quotient; NaN if the denominator is 0, without a warning."""
    undefined = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    quotient: Floats = np.divide(numerator, denominator, out=undefined, where=denominator != 0)
    return quotient


def mean_of_defined(values: Floats) -> Floats:
    """Mean over the last axis without NaN; NaN if nothing is defined."""
    defined = np.isfinite(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1).astype(float))


@cache
def _order(classes: ClassSet) -> list[int]:
    """Indices that sort the computed columns into the order of ``names``."""
    computed = (
        *(name for name in OVERALL if name != "macro_auroc"),
        *(f"{metric}.{name}" for metric in PER_CLASS for name in classes.names),
        "macro_auroc",
    )
    return [computed.index(name) for name in names(classes)]

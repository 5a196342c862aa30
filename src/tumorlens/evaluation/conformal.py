"""Fit prediction sets on images that trained nothing, and measure what they cover.

Split-conformal (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005) with the
probability of the truth as score, class by class: the sets of least ambiguity with a bounded error
in each class (Sadinle, Lei and Wasserman, JASA 2019). The class is in the set where its probability
reaches all but the lowest 5% (of n + 1) of those that its own validation images got.

What it promises: were a new image of a class exchangeable with that class's validation images, its
set would hold the class with at least the stated probability, however rare the class is. What it
cannot: slices of one patient resemble each other, so 300 slices of 12 patients count for far fewer
than 300 draws, and the share covered on other patients scatters more than a binomial does; for
another scanner or hospital there is no promise. The interval that resamples patients shows the
first. Temperature and epoch were chosen on the same images; that is neglected.

Held-back answers are the hard ones, so their sets have thresholds of their own, fitted on held-back
images alone, of held-out sources too (Mondrian conformal prediction, by decision).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from tumorlens.bundle import ConformalThresholds
from tumorlens.evaluation import metrics, resampling
from tumorlens.evaluation.resampling import Estimate, Sampling
from tumorlens.evaluation.small_samples import conformal_threshold
from tumorlens.inference.conformal import has_sets, prediction_sets
from tumorlens.inference.record import ABSTAINED, CLASSIFIED, DETECTED
from tumorlens.labels import BRAIN_TUMORS, ClassSet

Floats = NDArray[np.float64]

COVERAGE: Final = 0.95
MIN_HELD_BACK: Final = 40
"""Held-back images from which a set beside such an answer can be promised to hold."""


@dataclasses.dataclass(frozen=True, slots=True)
class Covered:
    """What the sets of some images hold."""

    images: int
    coverage: Estimate
    """Share of sets that hold a right answer; the interval resamples patients."""
    exact: tuple[float, float]
    """95% interval (Clopper and Pearson, 1934) of the same share, as if images were independent."""
    size: Estimate
    """Mean number of classes in a set."""
    singletons: Estimate
    """Share of sets with one class."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sets:
    """What the sets of all images hold, and of parts of them."""

    stated: float
    whole: Covered
    by_decision: Mapping[str, Covered]
    """``classified``, ``detected`` and ``abstained``, as far as there are such images."""
    by_label: Mapping[str, Covered]
    """Keyed by label; of a tumour of unknown kind any tumour class is right."""
    without: int
    """Further images whose answers come without a set."""


def fit_sets(
    probabilities: Floats,
    labels: NDArray[np.integer],
    coverage: float = COVERAGE,
    held_back: Mapping[str, tuple[Floats, NDArray[np.integer]]] | None = None,
) -> ConformalThresholds:
    """Fit the thresholds of ``coverage`` to probabilities (N, C) of images of classes ``labels``.

    A class with too few images for the coverage (19 for 95%) gets the threshold 0: it is in every
    set. ``held_back`` holds probabilities and labels of images that were ``detected`` or
    ``abstained``; a decision with fewer than ``MIN_HELD_BACK`` gets no thresholds, and such answers
    then come without a set.
    """
    if not 0.0 < coverage < 1.0:
        raise ValueError(f"coverage must be between 0 and 1, not {coverage}")
    return ConformalThresholds(
        coverage=coverage,
        thresholds=_by_class(probabilities, labels, coverage),
        by_decision={
            name: _by_class(rows, truths, coverage, least=MIN_HELD_BACK)
            for name, (rows, truths) in (held_back or {}).items()
            if len(truths) >= MIN_HELD_BACK
        },
    )


def sets_of(
    probabilities: Floats, decided: NDArray[np.str_], rule: ConformalThresholds
) -> NDArray[np.bool_]:
    """(N, C): the classes in the set of each image with such a decision; none without a set."""
    kept = np.zeros(probabilities.shape, dtype=np.bool_)
    for name in np.unique(decided).tolist():
        if has_sets(rule, name):
            member = decided == name
            kept[member] = prediction_sets(probabilities[member], rule, name)
    return kept


def measure_sets(
    probabilities: Floats,
    labels: NDArray[np.int64],
    groups: Sequence[str],
    rule: ConformalThresholds,
    decided: NDArray[np.str_],
    sampling: Sampling,
    classes: ClassSet = BRAIN_TUMORS,
) -> Sets | None:
    """Measure the sets of N images of the patients ``groups``; ``labels`` index the answerable.

    ``decided`` (N,) names the decision on each. None where no answer comes with a set.
    """
    kept = sets_of(probabilities, decided, rule)
    given = np.asarray(kept.any(axis=1), dtype=np.bool_)
    if not given.any():
        return None
    parts = {name: given & (decided == name) for name in (CLASSIFIED, DETECTED, ABSTAINED)}
    hit = (kept & metrics.correct_table(classes)[labels]).any(axis=1)
    table = np.column_stack([hit, kept.sum(axis=1), kept.sum(axis=1) == 1]).astype(np.float64)
    names = np.asarray(groups)

    def covered(member: NDArray[np.bool_]) -> Covered:
        return _covered(table[member], names[member].tolist(), sampling)

    of_label = {name: given & (labels == k) for k, name in enumerate(classes.answerable)}
    return Sets(
        rule.coverage,
        covered(given),
        {name: covered(member) for name, member in parts.items() if member.any()},
        {name: covered(member) for name, member in of_label.items() if member.any()},
        int((~given).sum()),
    )


def as_dict(found: Sets) -> dict[str, Any]:
    """JSON types."""
    return {
        "stated_coverage": found.stated,
        **_covered_dict(found.whole),
        "n_without_set": found.without,
        "by_decision": {name: _covered_dict(one) for name, one in found.by_decision.items()},
        "by_label": {name: _covered_dict(one) for name, one in found.by_label.items()},
    }


def _by_class(
    probabilities: Floats, labels: NDArray[np.integer], coverage: float, least: int = 0
) -> tuple[float, ...]:
    """A threshold for each class; classes with fewer images than ``least`` share one of all."""
    every = probabilities[np.arange(len(labels)), labels]
    own = [every[labels == k] for k in range(probabilities.shape[1])]
    chosen = [values if len(values) >= least else every for values in own]
    return tuple(conformal_threshold(one, np.ones(len(one)), coverage) or 0.0 for one in chosen)


def _covered(table: Floats, groups: Sequence[str], sampling: Sampling) -> Covered:
    coverage, size, singletons = resampling.bootstrap(
        lambda weights: metrics.ratio(weights @ table, weights.sum(axis=1, keepdims=True)),
        groups,
        sampling,
    )
    test = binomtest(int(table[:, 0].sum()), len(table))
    interval = test.proportion_ci(resampling.LEVEL, method="exact")
    exact = (float(interval.low), float(interval.high))
    return Covered(len(table), coverage, exact, size, singletons)


def _covered_dict(found: Covered) -> dict[str, Any]:
    return {
        "n": found.images,
        "coverage": resampling.rounded(found.coverage),
        "binomial_interval": [round(bound, 6) for bound in found.exact],
        "mean_size": resampling.rounded(found.size),
        "singletons": resampling.rounded(found.singletons),
    }

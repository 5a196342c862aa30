"""Fit prediction sets on images that were not used in training, and measure their coverage.

Split-conformal prediction (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World,
2005) with the probability of the true class as score, for each class separately (Sadinle, Lei and
Wasserman, JASA 2019). A class is in the set if its probability is at least the 5% quantile (of
n + 1) of the probabilities that the class has on its own validation images.

Guarantee: if a new image of a class is exchangeable with the validation images of that class, its
set contains the class with at least the stated probability, however rare the class is. Limits:
slices of one patient resemble each other, so the coverage on other patients varies more than for
independent images, which the interval from resampling patients shows; there is no guarantee for
another scanner or hospital; temperature and epoch were chosen on the same images, which is
neglected.

Detected and abstained answers are the difficult ones. Their sets have separate thresholds, fitted
only on such images, also of held-out sources (Mondrian conformal prediction, by decision).
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
"""Fewest detected or abstained images for which thresholds are fitted."""


@dataclasses.dataclass(frozen=True, slots=True)
class Covered:
    """Coverage and size of the sets of some images."""

    images: int
    coverage: Estimate
    """Share of sets that contain a correct class; the interval resamples patients."""
    exact: tuple[float, float]
    """95% interval (Clopper and Pearson, 1934) of the coverage for independent images."""
    size: Estimate
    """Mean number of classes in a set."""
    singletons: Estimate
    """Share of sets with one class."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sets:
    """Coverage and size of the sets of all images, and of parts of them."""

    stated: float
    whole: Covered
    by_decision: Mapping[str, Covered]
    """Keyed by ``classified``, ``detected`` and ``abstained``, if there are such images."""
    by_label: Mapping[str, Covered]
    """Keyed by label; for a tumour of unknown kind any tumour class is correct."""
    without: int
    """Number of further images without a set."""


def fit_sets(
    probabilities: Floats,
    labels: NDArray[np.integer],
    coverage: float = COVERAGE,
    held_back: Mapping[str, tuple[Floats, NDArray[np.integer]]] | None = None,
) -> ConformalThresholds:
    """Fit the thresholds of ``coverage`` to probabilities (N, C) of images of classes ``labels``.

    A class with too few images for the coverage (19 for 95%) gets the threshold 0, so it is in
    every set. ``held_back`` are probabilities and labels of images that were ``detected`` or
    ``abstained``; a decision with fewer than ``MIN_HELD_BACK`` gets no thresholds, and such answers
    have no set.
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
    """(N, C): the classes in the set of each image with the decision ``decided`` (N,)."""
    sets = np.zeros(probabilities.shape, dtype=np.bool_)
    for name in np.unique(decided).tolist():
        if has_sets(rule, name):
            member = decided == name
            sets[member] = prediction_sets(probabilities[member], rule, name)
    return sets


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

    ``decided`` (N,) are the decisions. None if no answer has a set.
    """
    sets = sets_of(probabilities, decided, rule)
    given = np.asarray(sets.any(axis=1), dtype=np.bool_)
    if not given.any():
        return None
    parts = {name: given & (decided == name) for name in (CLASSIFIED, DETECTED, ABSTAINED)}
    hit = (sets & metrics.correct_table(classes)[labels]).any(axis=1)
    table = np.column_stack([hit, sets.sum(axis=1), sets.sum(axis=1) == 1]).astype(np.float64)
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


def as_dict(sets: Sets) -> dict[str, Any]:
    """JSON types."""
    return {
        "stated_coverage": sets.stated,
        **_covered_dict(sets.whole),
        "n_without_set": sets.without,
        "by_decision": {name: _covered_dict(covered) for name, covered in sets.by_decision.items()},
        "by_label": {name: _covered_dict(covered) for name, covered in sets.by_label.items()},
    }


def _by_class(
    probabilities: Floats, labels: NDArray[np.integer], coverage: float, least: int = 0
) -> tuple[float, ...]:
    """A threshold for each class; that of all images for classes with fewer than ``least``."""
    every = probabilities[np.arange(len(labels)), labels]
    own = [every[labels == k] for k in range(probabilities.shape[1])]
    chosen = [values if len(values) >= least else every for values in own]
    return tuple(
        conformal_threshold(values, np.ones(len(values)), coverage) or 0.0 for values in chosen
    )


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


def _covered_dict(covered: Covered) -> dict[str, Any]:
    return {
        "n": covered.images,
        "coverage": resampling.rounded(covered.coverage),
        "binomial_interval": [round(bound, 6) for bound in covered.exact],
        "mean_size": resampling.rounded(covered.size),
        "singletons": resampling.rounded(covered.singletons),
    }

"""Selective classification: the errors that remain against the share that is answered.

Geifman and El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017: images are
answered in order of confidence, which here is the probability of the answer. Coverage is the share
that is answered, risk the share of wrong answers among these. The area under the risk-coverage
curve (AURC) is the mean risk over all coverages. The excess is its difference from the AURC of an
ideal confidence, which ranks every correct answer before every wrong one (Geifman, Uziel and
El-Yaniv, ICLR 2019).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.evaluation import metrics, resampling
from tumorlens.evaluation.resampling import Estimate, Sampling
from tumorlens.labels import BRAIN_TUMORS, ClassSet

Floats = NDArray[np.float64]

COVERAGES: Final = (1.0, 0.95, 0.9, 0.8, 0.7)
"""Shares of images answered that are reported as numbers."""


@dataclasses.dataclass(frozen=True, slots=True)
class CoveragePoint:
    """The error rates at one coverage."""

    coverage: float
    """Share answered: the largest possible one up to the requested coverage."""
    risk: float
    """Share of wrong answers."""
    missed: float
    """Share of the answered tumour images answered with no tumour; NaN without any."""


@dataclasses.dataclass(frozen=True, slots=True)
class Selective:
    """Risk and coverage of N answers."""

    coverage: Floats
    """(K,) ascending to 1; images of equal confidence are answered together."""
    risk: Floats
    """(K,) error rate of the answers at that coverage."""
    missed: Floats
    """(K,) share of missed tumours among the answered tumour images; NaN without any."""
    ideal: Floats
    """(K,) risk of a confidence that ranks every correct answer before every wrong one."""
    aurc: Estimate
    excess: float
    """AURC above that of the ideal confidence."""

    def at(self, coverage: float) -> CoveragePoint:
        """Return the curve's point of the largest coverage up to ``coverage``; else the first."""
        k = max(0, int(np.searchsorted(self.coverage, coverage + 1e-9, side="right")) - 1)
        return CoveragePoint(float(self.coverage[k]), float(self.risk[k]), float(self.missed[k]))


def selective(
    labels: NDArray[np.int64],
    probabilities: Floats,
    groups: Sequence[str],
    sampling: Sampling,
    classes: ClassSet = BRAIN_TUMORS,
) -> Selective:
    """Order N answers (N, C) of ``groups`` (N,) by their probability."""
    score: Floats = probabilities.max(axis=1)
    predicted = probabilities.argmax(axis=1)
    wrong = (~metrics.correct_table(classes)[labels, predicted]).astype(np.float64)
    none = -1 if classes.no_finding_index is None else classes.no_finding_index
    tumor = ((labels != none) & (none >= 0)).astype(np.float64)
    missed = tumor * (predicted == none)
    order, ends = ranking(score)
    answered = (ends + 1).astype(np.float64)

    def total(values: Floats) -> Floats:
        return np.cumsum(values[order])[ends]

    ideal = np.maximum(0.0, answered - (len(wrong) - wrong.sum())) / answered
    (estimate,) = resampling.bootstrap(
        lambda weights: aurc(wrong, score, weights)[:, np.newaxis], groups, sampling
    )
    best = float(aurc(wrong, -wrong, np.ones((1, len(wrong))), together=False)[0])
    return Selective(
        answered / len(wrong),
        total(wrong) / answered,
        metrics.ratio(total(missed), total(tumor)),
        ideal,
        estimate,
        estimate.value - best,
    )


def ranking(score: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order of N scores from the highest, and the last position (K,) of each run of equals."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order], append=np.nan) != 0)
    return order.astype(np.int64), ends.astype(np.int64)


def aurc(wrong: Floats, score: Floats, weights: Floats, *, together: bool = True) -> Floats:
    """Area under risk against coverage for each weighting (B, N): (B,).

    The mean over images of the risk at the coverage at which the image is answered; images of
    equal score are answered ``together``, or in their order.
    """
    order, ends = ranking(score)
    if not together:
        ends = np.arange(len(score))
    ranked = weights[:, order]
    answered = np.cumsum(ranked, axis=1)[:, ends]
    errors = np.cumsum(ranked * wrong[order], axis=1)[:, ends]
    added = np.diff(answered, axis=1, prepend=0.0)
    risk = np.nan_to_num(metrics.ratio(errors, answered))
    return metrics.ratio((added * risk).sum(axis=1), weights.sum(axis=1))


def as_dict(curve: Selective) -> dict[str, Any]:
    """JSON types."""
    points = [curve.at(coverage) for coverage in COVERAGES]
    return {
        "confidence": "probability of the answer",
        "aurc": resampling.rounded(curve.aurc),
        "excess_aurc": round(curve.excess, 6),
        "at": [
            {
                "coverage": round(point.coverage, 6),
                "accuracy": round(1 - point.risk, 6),
                "missed_tumor_rate": resampling.plain(point.missed),
            }
            for point in points
        ],
    }

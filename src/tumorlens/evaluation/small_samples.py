"""Thresholds with guarantees from few labelled cases.

The slices of one patient resemble each other, so patients are counted, not images: each patient has
the weight 1, divided among the images. For K patients the corrections are those of

- split-conformal prediction for grouped data (Lee, Foygel Barber and Willett 2023, "Distribution-
  free inference with hierarchical data"): for a new patient's image, the threshold passes the truth
  with the stated probability on average over draws of the K patients;
- conformal risk control (Angelopoulos, Bates, Fisch, Lei and Schuster, ICLR 2024): the expected
  rate of an error that only falls as its threshold rises stays within the limit.

If K is too small for a guarantee, the functions say so.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.evaluation.thresholds import within_count, within_share

Floats = NDArray[np.float64]

MIN_FOR_SHARE: Final = 30
"""Fewest patients for which the share of errors among answers is controlled."""
_ROUNDING: Final = 1e-9
"""Tolerance: in binary 0.95 is slightly more than 95/100, which would need one patient more."""


class Controlled(NamedTuple):
    """A threshold, and whether its limit is guaranteed."""

    threshold: float
    enough: bool
    """Whether there are enough patients for the limit. If not, the threshold is the lowest without
    an error among these cases, or 0."""
    keeps: bool = True
    """Whether the limit is kept on these cases (``thresholds.Threshold``)."""

    @property
    def promised(self) -> bool:
        """Whether the limit is guaranteed for a new patient, on average."""
        return self.enough and self.keeps


def patient_weights(groups: Sequence[str]) -> Floats:
    """(N,): 1 divided by the number of images of the patient; sums to the number of patients."""
    _, member, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    return 1.0 / counts[member]


def patients_for_coverage(coverage: float) -> int:
    """Fewest patients for which a coverage can be guaranteed: 19 for 95%."""
    return math.ceil(round(coverage / (1.0 - coverage), 6))


def patients_for_limit(limit: float) -> int:
    """Fewest patients for which an error rate can be guaranteed: 19 for 5%."""
    return math.ceil(round(1.0 / limit, 6)) - 1


def no_sets(whose: str, coverage: float) -> str:
    """Why there are no prediction sets; ``whose`` are the patients."""
    return (
        f"prediction sets: none, because {whose} are too few to guarantee a coverage of "
        f"{coverage:.0%} ({patients_for_coverage(coverage)} are needed)"
    )


def conformal_threshold(values: Floats, weights: Floats, coverage: float) -> float | None:
    """The threshold that a share ``coverage`` of ``values`` (N,) reaches, for a new patient too.

    ``values`` are the probabilities of the true class; ``weights`` (N,) sum to the patients. None
    for fewer patients than ``patients_for_coverage``.
    """
    patients = round(float(weights.sum()))
    if patients < patients_for_coverage(coverage):
        return None
    order = np.argsort(-values, kind="stable")
    passed = np.cumsum(weights[order])
    needed = coverage * (patients + 1)
    position = int(np.searchsorted(passed, needed - _ROUNDING))
    return float(values[order][min(position, len(values) - 1)])


def controlled_threshold(values: Floats, groups: Sequence[str], limit: float) -> Controlled:
    """The lowest threshold for which the share of errors among the images is at most ``limit``.

    ``values`` (N,): the probability of the error; below 0 for an image without error.
    """
    budget = limit * (len(set(groups)) + 1) - 1.0
    threshold = within_count(values, patient_weights(groups), max(0.0, budget))
    return Controlled(threshold.value, budget >= -_ROUNDING, threshold.keeps)


def controlled_error(
    values: Floats, wrong: NDArray[np.bool_], groups: Sequence[str], limit: float
) -> Controlled:
    """The lowest of ``values`` (N,) from which on at most ``limit`` of the answers are wrong.

    One more wrong patient is counted than there are. This is a correction without proof, because
    the share of errors among the answers need not fall as the threshold rises. Below
    ``MIN_FOR_SHARE`` patients, where hardly any answer would be left, nothing is fitted.
    """
    if len(set(groups)) < MIN_FOR_SHARE:
        return Controlled(0.0, False)
    threshold = within_share(values, wrong, patient_weights(groups), limit, more=1.0)
    return Controlled(threshold.value, True, threshold.keeps)

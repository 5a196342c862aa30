"""What few labelled cases can promise: thresholds with a correction for how few there are.

The slices of one patient resemble each other, so patients are counted, not images: each patient
weighs 1, shared among the patient's images. With K patients the corrections are those of

- split-conformal prediction for grouped data (Lee, Foygel Barber and Willett 2023, "Distribution-
  free inference with hierarchical data"): for a new patient's image, the threshold passes the truth
  with the stated probability on average over draws of the K patients;
- conformal risk control (Angelopoulos, Bates, Fisch, Lei and Schuster, ICLR 2024): the expected
  rate of an error that only falls as its threshold rises stays within the limit.

Where K is too small for a promise, functions say so instead of giving a number that looks like one.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.evaluation.thresholds import within_count, within_share

Floats = NDArray[np.float64]

MIN_FOR_SHARE: Final = 30
"""Patients from which the share of errors among answers is controlled."""
_ROUNDING: Final = 1e-9
"""0.95 is a little more than 95 in 100, and would ask for one patient too many."""


class Controlled(NamedTuple):
    """A threshold, and what can be promised of it."""

    threshold: float
    enough: bool
    """Whether there are patients enough to show the limit. If not, the threshold is what no error
    of these cases passes, or 0."""
    keeps: bool = True
    """Whether the limit is kept on these cases; see ``thresholds.Threshold``."""

    @property
    def promised(self) -> bool:
        """Whether a new patient is answered within the limit, on average."""
        return self.enough and self.keeps


def patient_weights(groups: Sequence[str]) -> Floats:
    """(N,): one over how many of the N images are of the same patient; sums to the patients."""
    _, member, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    return 1.0 / counts[member]


def patients_for_coverage(coverage: float) -> int:
    """Fewest patients with which a share of ``coverage`` can be promised: 19 for 95%."""
    return math.ceil(round(coverage / (1.0 - coverage), 6))


def patients_for_limit(limit: float) -> int:
    """Fewest patients with which an error rate of ``limit`` can be promised: 19 for 5%."""
    return math.ceil(round(1.0 / limit, 6)) - 1


def no_sets(whose: str, coverage: float) -> str:
    """Why there are no prediction sets: ``whose`` names the patients, who are too few."""
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
    place = int(np.searchsorted(passed, needed - _ROUNDING))
    return float(values[order][min(place, len(values) - 1)])


def controlled_threshold(values: Floats, groups: Sequence[str], limit: float) -> Controlled:
    """The lowest threshold that, of N images, a share of errors within ``limit`` reaches.

    ``values`` (N,): how sure the error is; below 0 for an image that is none at any threshold.
    """
    budget = limit * (len(set(groups)) + 1) - 1.0
    found = within_count(values, patient_weights(groups), max(0.0, budget))
    return Controlled(found.value, budget >= -_ROUNDING, found.keeps)


def controlled_error(
    values: Floats, wrong: NDArray[np.bool_], groups: Sequence[str], limit: float
) -> Controlled:
    """The lowest of ``values`` (N,) from which on at most ``limit`` of the answers are wrong.

    One more wrong patient is counted than there are. A share of what is answered does not only
    fall as the threshold rises, so this is a correction, not a proof; of fewer than
    ``MIN_FOR_SHARE`` patients it would leave nearly nothing answered, and nothing is fitted.
    """
    if len(set(groups)) < MIN_FOR_SHARE:
        return Controlled(0.0, False)
    found = within_share(values, wrong, patient_weights(groups), limit, more=1.0)
    return Controlled(found.value, True, found.keeps)

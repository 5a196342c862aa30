"""One answer for each patient: the majority of the answers for the patient's slices.

Each slice has one vote. With equal votes, the class with the larger summed probability wins.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tumorlens.datasets.manifest import Record
from tumorlens.evaluation import metrics, resampling
from tumorlens.evaluation.resampling import Estimate, Sampling
from tumorlens.labels import BRAIN_TUMORS, ClassSet


@dataclasses.dataclass(frozen=True, slots=True)
class PatientLevel:
    """The majority answer for each patient."""

    patients: int
    """Number of patients; one whose images have two classes counts twice."""
    images: int
    labels: NDArray[np.int64]
    """(P,) truth."""
    predicted: NDArray[np.int64]
    """(P,) majority answer."""
    estimates: dict[str, Estimate]
    """Keyed by ``metrics.RATES``; intervals over patients."""


def vote(
    records: Sequence[Record],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    groups: Sequence[str],
    sampling: Sampling,
    classes: ClassSet = BRAIN_TUMORS,
) -> PatientLevel | None:
    """Majority vote over each patient's images; None unless the patient of every image is known."""
    if not records or not all(record.patient for record in records):
        return None
    keys = [f"{group}\t{label}" for group, label in zip(groups, labels, strict=True)]
    _, first, member = np.unique(keys, return_index=True, return_inverse=True)
    votes = np.zeros((len(first), probabilities.shape[1]))
    np.add.at(votes, (member, probabilities.argmax(axis=1)), 1.0)
    summed = np.zeros_like(votes)
    np.add.at(summed, member, probabilities)
    # Summed probabilities, at most one for each image, break ties only.
    probabilities = summed / (summed.sum(axis=1, keepdims=True) + 1)
    predicted = (votes + 0.5 * probabilities).argmax(axis=1).astype(np.int64)
    truth = labels[first]
    estimates = resampling.named(
        metrics.RATES,
        lambda weights: metrics.rates(truth, predicted, weights, classes),
        [groups[i] for i in first],
        sampling,
    )
    return PatientLevel(len(first), len(records), truth, predicted, estimates)

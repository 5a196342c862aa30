"""Prediction sets: the classes that an answer does not exclude."""

import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import ConformalThresholds
from tumorlens.labels import CLASSES


def prediction_sets(
    probabilities: NDArray[np.float64], rule: ConformalThresholds
) -> NDArray[np.bool_]:
    """Whether each class is in the set of each row of probabilities (N, 4): (N, 4).

    The most probable class always is: no set is empty or leaves the answer out. That only enlarges
    sets, so what they cover stays covered. What an answer, or the reason why it is held back
    (``decision.abstention_reason``), names as most probable is therefore never excluded beside it.
    """
    kept: NDArray[np.bool_] = probabilities >= np.asarray(rule.thresholds)
    kept[np.arange(len(kept)), probabilities.argmax(axis=1)] = True
    return kept


def named(row: NDArray[np.float64], rule: ConformalThresholds) -> tuple[str, ...]:
    """The set of one row of probabilities (4,), the most probable class first."""
    (kept,) = prediction_sets(row[np.newaxis], rule)
    return tuple(CLASSES[k] for k in np.argsort(-row, kind="stable") if kept[k])

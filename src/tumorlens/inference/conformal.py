"""Prediction sets: the classes that an answer does not exclude."""

import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import SetRule
from tumorlens.labels import CLASSES


def prediction_sets(shares: NDArray[np.float64], rule: SetRule) -> NDArray[np.bool_]:
    """Whether each class is in the set of each row of probabilities (N, 4): (N, 4).

    The most probable class always is: no set is empty or leaves the answer out. That only enlarges
    sets, so what they cover stays covered. What an answer, or the reason why it is held back
    (``decision.doubt``), names as most probable is therefore never excluded beside it.
    """
    kept: NDArray[np.bool_] = shares >= np.asarray(rule.at_least)
    kept[np.arange(len(kept)), shares.argmax(axis=1)] = True
    return kept


def named(row: NDArray[np.float64], rule: SetRule) -> tuple[str, ...]:
    """The set of one row of probabilities (4,), the most probable class first."""
    (kept,) = prediction_sets(row[np.newaxis], rule)
    return tuple(CLASSES[k] for k in np.argsort(-row, kind="stable") if kept[k])

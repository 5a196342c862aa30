"""Prediction sets: the classes that an answer does not exclude."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import ConformalThresholds
from tumorlens.inference.record import CLASSIFIED, REJECTED, Decision
from tumorlens.labels import BRAIN_TUMORS, ClassSet

NEVER_EXCLUDED_FROM: Final = 0.10
"""A class of at least this probability is in the set, whatever the thresholds."""


def prediction_sets(
    probabilities: NDArray[np.float64], rule: ConformalThresholds, decision: str = CLASSIFIED
) -> NDArray[np.bool_]:
    """Whether each class is in the set of each row of probabilities (N, C): (N, C).

    All rows must be of images with the same ``decision``, for which ``has_sets`` is true. The most
    probable class and each class of at least ``NEVER_EXCLUDED_FROM`` are always included. This only
    enlarges the sets, so the coverage is kept.
    """
    fitted = rule.thresholds if decision == CLASSIFIED else rule.by_decision[decision]
    included: NDArray[np.bool_] = probabilities >= np.minimum(fitted, NEVER_EXCLUDED_FROM)
    included[np.arange(len(included)), probabilities.argmax(axis=1)] = True
    return included


def has_sets(rule: ConformalThresholds, decision: str) -> bool:
    """Whether answers with this decision have a set.

    Detected and abstained answers have one only if thresholds were fitted for them: those of
    classified images would not give the stated coverage.
    """
    return decision == CLASSIFIED or decision in rule.by_decision


def named(
    row: NDArray[np.float64],
    rule: ConformalThresholds | None,
    decision: Decision,
    classes: ClassSet = BRAIN_TUMORS,
) -> tuple[str, ...] | None:
    """The set of one row of probabilities (C,), the most probable class first.

    None without a rule, for a rejected image, and for a decision without sets.
    """
    if rule is None or decision == REJECTED or not has_sets(rule, decision):
        return None
    (included,) = prediction_sets(row[np.newaxis], rule, decision)
    return tuple(classes.names[k] for k in np.argsort(-row, kind="stable") if included[k])

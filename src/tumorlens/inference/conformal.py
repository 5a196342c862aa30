"""Prediction sets: the classes that an answer does not exclude."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import ConformalThresholds
from tumorlens.inference.record import CLASSIFIED, REJECTED, Decision
from tumorlens.labels import BRAIN_TUMORS, ClassSet

NEVER_EXCLUDED_FROM: Final = 0.10
"""Probability from which a class is in every set, whatever the thresholds."""


def prediction_sets(
    probabilities: NDArray[np.float64], rule: ConformalThresholds, decision: str = CLASSIFIED
) -> NDArray[np.bool_]:
    """Whether each class is in the set of each row of probabilities (N, C): (N, C).

    All rows are of images with the same ``decision``, for which ``has_sets``. The most probable
    class always is in, and each from ``NEVER_EXCLUDED_FROM``: that only enlarges sets, so what they
    cover stays covered.
    """
    fitted = rule.thresholds if decision == CLASSIFIED else rule.by_decision[decision]
    kept: NDArray[np.bool_] = probabilities >= np.minimum(fitted, NEVER_EXCLUDED_FROM)
    kept[np.arange(len(kept)), probabilities.argmax(axis=1)] = True
    return kept


def has_sets(rule: ConformalThresholds, decision: str) -> bool:
    """Whether answers of this decision come with a set.

    Not those that are held back where nothing was fitted for them: a set of all classes would say
    nothing, and the thresholds of classified images would promise too much.
    """
    return decision == CLASSIFIED or decision in rule.by_decision


def named(
    row: NDArray[np.float64],
    rule: ConformalThresholds | None,
    decision: Decision,
    classes: ClassSet = BRAIN_TUMORS,
) -> tuple[str, ...] | None:
    """The set of one row of probabilities (C,), the most probable class first.

    None without a rule, of a rejected image, and where the decision has no sets.
    """
    if rule is None or decision == REJECTED or not has_sets(rule, decision):
        return None
    (kept,) = prediction_sets(row[np.newaxis], rule, decision)
    return tuple(classes.names[k] for k in np.argsort(-row, kind="stable") if kept[k])

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

    All rows are of images with the same ``decision``; where the rule has no thresholds for it, no
    class is excluded. The most probable class always is in, and each from
    ``NEVER_EXCLUDED_FROM``: that only enlarges sets, so what they cover stays covered.
    """
    nothing = (0.0,) * len(rule.thresholds)
    fitted = rule.thresholds if decision == CLASSIFIED else rule.by_decision.get(decision, nothing)
    kept: NDArray[np.bool_] = probabilities >= np.minimum(fitted, NEVER_EXCLUDED_FROM)
    kept[np.arange(len(kept)), probabilities.argmax(axis=1)] = True
    return kept


def named(
    row: NDArray[np.float64],
    rule: ConformalThresholds | None,
    decision: Decision,
    classes: ClassSet = BRAIN_TUMORS,
) -> tuple[str, ...] | None:
    """The set of one row of probabilities (C,), the most probable class first.

    None without a rule, of a rejected image, and beside a held-back answer that the rule has no
    thresholds for: a set of all classes would say nothing.
    """
    if rule is None or decision == REJECTED:
        return None
    if decision != CLASSIFIED and decision not in rule.by_decision:
        return None
    (kept,) = prediction_sets(row[np.newaxis], rule, decision)
    return tuple(classes.names[k] for k in np.argsort(-row, kind="stable") if kept[k])

"""Whether an answer is given, or held back with its reason.

A tumour told "no tumour" by a confident machine is the worst that this software can do, so "no
tumour" has a bar of its own, and nothing that was held back is ever shown as one.
"""

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import DecisionRule
from tumorlens.labels import CLASSES, DISPLAY_NAMES, NO_TUMOR_INDEX

Decision = Literal["classified", "abstained", "rejected"]
CLASSIFIED: Final = "classified"
ABSTAINED: Final = "abstained"
REJECTED: Final = "rejected"


def is_confident(probabilities: NDArray[np.float64], rule: DecisionRule) -> NDArray[np.bool_]:
    """Whether each row of probabilities (N, 4) passes the bar of its most probable class: (N,)."""
    answered = probabilities.argmax(axis=1)
    bar = np.where(answered == NO_TUMOR_INDEX, rule.notumor_threshold, rule.tumor_threshold)
    confident: NDArray[np.bool_] = probabilities.max(axis=1) >= bar
    return confident


def abstention_reason(
    row: NDArray[np.float64], rule: DecisionRule, kept: Sequence[str] | None = None
) -> str:
    """Say in words why an answer with these probabilities (4,) is held back; empty if it is not.

    Names the two most probable classes, the second only where the prediction set ``kept`` leaves
    it open (None: there is none): reason and set stand side by side and must not contradict. The
    first is in every set (``conformal``).
    """
    if is_confident(row[np.newaxis], rule)[0]:
        return ""
    first, second = np.argsort(-row, kind="stable")[:2]
    bar = rule.notumor_threshold if first == NO_TUMOR_INDEX else rule.tumor_threshold
    seen = _named(first, row)
    if kept is None or CLASSES[second] in kept:
        seen += f" or {_named(second, row)}"
    return (
        f"not sure enough: {seen}; "
        f"{DISPLAY_NAMES[CLASSES[first]]} is answered from {_whole_percent(bar)}"
    )


def _named(index: int, row: NDArray[np.float64]) -> str:
    return f"{DISPLAY_NAMES[CLASSES[index]]} {_whole_percent(float(row[index]))}"


def _whole_percent(share: float) -> str:
    return f"{100 * share:.0f}%"

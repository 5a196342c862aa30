"""The lowest threshold from which on answers keep a limit, on the images that it is fitted on."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.evaluation.selective import ranking

Floats = NDArray[np.float64]

MAX_THRESHOLD: Final = 0.99
"""No threshold is set above it: hardly anything would be answered."""
_ROUNDING: Final = 1e-9
"""A share of 0.05 of 20 images allows one error, whatever binary fractions make of it."""


class Threshold(NamedTuple):
    """A threshold, and whether it does what it is for."""

    value: float
    keeps: bool
    """Whether the limit is kept; not where that takes more than ``MAX_THRESHOLD``."""


def within_count(errors: Floats, weights: Floats, most: float) -> Threshold:
    """The lowest threshold that no more than ``most`` of the ``errors`` (N,) reach.

    Each is the probability of a wrong answer, and counts for its weight (N,); below 0 it is no
    error at any threshold.
    """
    order = np.argsort(-errors, kind="stable")
    passed = np.cumsum(weights[order])
    over = np.flatnonzero((passed > most + _ROUNDING) & (errors[order] >= 0.0))
    lowest = float(np.nextafter(errors[order][over[0]], 1.0)) if over.size else 0.0
    return Threshold(min(MAX_THRESHOLD, lowest), over.size == 0 or lowest <= MAX_THRESHOLD)


def within_share(
    values: Floats, wrong: NDArray[np.bool_], weights: Floats, limit: float, more: float = 0.0
) -> Threshold:
    """The lowest of ``values`` (N,) from which on at most ``limit`` of the answers are wrong.

    ``values`` are the probabilities of the answers, each counts for its weight (N,). Errors of the
    weight ``more`` are counted beside those that there are.
    """
    if not len(values):
        return Threshold(0.0, True)
    # Answers of one value are given together, or none of them.
    order, ends = ranking(values)
    answered = np.cumsum(weights[order])[ends]
    errors = np.cumsum((weights * wrong)[order])[ends]
    kept = (errors + more) / (answered + more) <= limit + _ROUNDING
    if not kept.any():
        return Threshold(MAX_THRESHOLD, False)
    if kept[-1]:
        return Threshold(0.0, True)
    steps = values[order][ends]
    threshold = min(MAX_THRESHOLD, float(steps[kept].min()))
    return Threshold(threshold, bool(kept[steps >= threshold][-1]))

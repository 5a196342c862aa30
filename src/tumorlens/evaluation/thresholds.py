"""Find the lowest threshold that keeps an error limit on the images that it is fitted on."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.evaluation.selective import ranking

Floats = NDArray[np.float64]

MAX_THRESHOLD: Final = 0.99
"""Highest threshold: above it, hardly any image would be answered."""
_ROUNDING: Final = 1e-9
"""Tolerance, so that a share of 0.05 of 20 images allows one error."""


class Threshold(NamedTuple):
    """A threshold, and whether it keeps the limit."""

    value: float
    keeps: bool
    """False if a threshold above ``MAX_THRESHOLD`` would be needed."""


def within_count(errors: Floats, weights: Floats, most: float) -> Threshold:
    """The lowest threshold that at most ``most`` of the ``errors`` (N,) reach.

    Each is the probability of a wrong answer, with a weight (N,); below 0 there is no error.
    """
    order = np.argsort(-errors, kind="stable")
    passed = np.cumsum(weights[order])
    over = np.flatnonzero((passed > most + _ROUNDING) & (errors[order] >= 0.0))
    lowest = float(np.nextafter(errors[order][over[0]], 1.0)) if over.size else 0.0
    return Threshold(min(MAX_THRESHOLD, lowest), over.size == 0 or lowest <= MAX_THRESHOLD)


def within_share(
    values: Floats, wrong: NDArray[np.bool_], weights: Floats, limit: float, more: float = 0.0
) -> Threshold:
    """The lowest of ``values`` (N,) at and above which at most ``limit`` of the answers are wrong.

    ``values`` are the probabilities of the answers, with weights (N,). Further errors with the
    weight ``more`` are added.
    """
    if not len(values):
        return Threshold(0.0, True)
    # Answers with equal values are given together.
    order, ends = ranking(values)
    answered = np.cumsum(weights[order])[ends]
    errors = np.cumsum((weights * wrong)[order])[ends]
    within_limit = (errors + more) / (answered + more) <= limit + _ROUNDING
    if not within_limit.any():
        return Threshold(MAX_THRESHOLD, False)
    if within_limit[-1]:
        return Threshold(0.0, True)
    steps = values[order][ends]
    threshold = min(MAX_THRESHOLD, float(steps[within_limit].min()))
    return Threshold(threshold, bool(within_limit[steps >= threshold][-1]))

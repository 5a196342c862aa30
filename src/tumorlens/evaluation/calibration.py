"""Temperature scaling (Guo et al., 2017): one parameter that calibrates probabilities."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

MIN_TEMPERATURE: Final = 0.05
MAX_TEMPERATURE: Final = 20.0


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Find the T in 0.05 to 20 that minimises the log-loss of softmax(logits / T).

    ``logits`` (N, C), ``labels`` (N,) from 0 to C - 1. The loss is convex in 1 / T, so it has one
    minimum. Where every answer is correct the loss only falls with T, until it is flat.
    """
    if len(logits) == 0 or len(logits) != len(labels):
        raise ValueError("fit_temperature needs one label for each of at least one row of logits")
    wide = np.asarray(logits, dtype=np.float64)

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(wide / np.exp(log_temperature), labels)

    return _least(loss)


def adapt_temperature(
    logits: NDArray[np.floating],
    labels: NDArray[np.integer],
    weights: NDArray[np.floating],
    start: float,
) -> float:
    """Fit T to few images, with a prior at ``start``.

    ``weights`` (N,) of the images sum to the number of patients. The prior of log T is normal; its
    standard deviation is a factor of two. So ten cases that are all answered correctly do not make
    every answer certain.
    """
    wide = np.asarray(logits, dtype=np.float64)

    def loss(log_temperature: float) -> float:
        scaled = wide / np.exp(log_temperature)
        chosen = scaled[np.arange(len(labels)), labels]
        fit = float((weights * (logsumexp(scaled, axis=1) - chosen)).sum())
        away = (log_temperature - np.log(start)) / np.log(2.0)
        return fit + 0.5 * float(away) ** 2

    return _least(loss)


def _least(loss: Callable[[float], float]) -> float:
    """The temperature with the least ``loss``, a function of its logarithm."""
    bounds = (np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE))
    result = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(result.x))


def negative_log_likelihood(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Mean of -log softmax(logits)[label] over the rows."""
    chosen = logits[np.arange(len(labels)), labels]
    return float(np.mean(logsumexp(logits, axis=1) - chosen))

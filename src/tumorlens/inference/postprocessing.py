"""From logits to probabilities."""

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """Softmax of ``logits / temperature`` over the last axis, in float64.

    (..., C) to (..., C), each row sums to 1. Temperature scaling: Guo et al., On Calibration of
    Modern Neural Networks, ICML 2017. Raises ``ValueError`` unless ``temperature`` is above 0.
    """
    if not temperature > 0.0:
        raise ValueError(f"temperature must be above 0, not {temperature}")
    scaled = np.asarray(logits, dtype=np.float64)
    # Subtract before dividing: a tiny temperature then overflows to -inf, whose exp is 0.
    with np.errstate(over="ignore"):
        scaled = (scaled - scaled.max(axis=-1, keepdims=True)) / temperature
    exponential = np.exp(scaled)
    probabilities: NDArray[np.float64] = exponential / exponential.sum(axis=-1, keepdims=True)
    return probabilities

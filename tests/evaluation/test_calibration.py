"""Temperature scaling finds the temperature that made the data."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from tumorlens.evaluation.calibration import fit_temperature, negative_log_likelihood


def drawn(temperature: float, count: int = 20_000) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Labels drawn from softmax(logits / temperature)."""
    generator = np.random.default_rng(1)
    logits = 4 * generator.normal(size=(count, 4)).astype(np.float32)
    gumbel = generator.gumbel(size=logits.shape)
    return logits, (logits / temperature + gumbel).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_recovers_a_known_temperature(temperature: float) -> None:
    assert fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_has_a_lower_loss() -> None:
    logits, labels = drawn(1.7, 500)
    best = fit_temperature(logits, labels)
    loss = negative_log_likelihood(logits / best, labels)
    for factor in (0.8, 0.95, 1.05, 1.25):
        assert loss < negative_log_likelihood(logits / (best * factor), labels)


def test_loss_equals_scikit_learn() -> None:
    logits, labels = drawn(1.0, 200)
    exponents = np.exp(logits.astype(np.float64))
    probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    assert negative_log_likelihood(logits, labels) == pytest.approx(
        log_loss(labels, probabilities, labels=range(4)), rel=1e-6
    )


def test_perfect_answers_stay_within_bounds() -> None:
    labels = np.arange(4)
    assert 0.05 <= fit_temperature(5 * np.eye(4), labels) < 0.2


def test_refuses_nothing_to_fit_on() -> None:
    with pytest.raises(ValueError, match="one label"):
        fit_temperature(np.zeros((0, 4)), np.zeros(0, dtype=int))

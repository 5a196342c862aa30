"""Temperature scaling finds the temperature that made the data."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from tumorlens.evaluation.calibration import (
    adapt_temperature,
    fit_temperature,
    negative_log_likelihood,
)

Logits = NDArray[np.float32]


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


def cases(
    count: int, temperature: float = 1.0
) -> tuple[Logits, NDArray[np.int64], NDArray[np.float64]]:
    logits, labels = drawn(temperature, count)
    return logits, labels, np.ones(count)


def test_many_images_are_believed_whatever_the_start() -> None:
    logits, labels, weights = cases(5000, 2.5)
    best = fit_temperature(logits, labels)
    for start in (0.3, 1.0, 9.0):
        assert adapt_temperature(logits, labels, weights, start) == pytest.approx(best, rel=0.01)


def test_no_image_moves_the_temperature() -> None:
    nothing = np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0)
    assert adapt_temperature(*nothing, start=0.7) == pytest.approx(0.7, rel=1e-4)


def test_the_less_images_weigh_the_nearer_it_stays_to_the_start() -> None:
    logits, labels, weights = cases(40, 2.5)
    found = [adapt_temperature(logits, labels, w * weights, 0.5) for w in (0, 0.01, 0.1, 1, 100)]
    assert found == sorted(found)
    assert found[0] == pytest.approx(0.5, rel=1e-4)
    assert found[-1] == pytest.approx(fit_temperature(logits, labels), rel=0.01)


def test_what_counts_half_moves_it_as_half_as_many_images_would() -> None:
    logits, labels, weights = cases(40, 2.5)
    twice = np.repeat(logits, 2, axis=0), np.repeat(labels, 2), np.full(80, 0.5)
    assert adapt_temperature(*twice, 0.5) == pytest.approx(
        adapt_temperature(logits, labels, weights, 0.5), rel=1e-4
    )


def test_a_factor_of_two_costs_as_much_as_one_deviation() -> None:
    """Of one image the loss and its price are known in closed form."""
    logits, labels = np.array([[1.0, 0.0]]), np.array([1])

    def cost(temperature: float) -> float:
        loss = np.log1p(np.exp(1 / temperature))
        return float(loss + 0.5 * np.log2(temperature / 0.5) ** 2)

    best = adapt_temperature(logits, labels, np.ones(1), 0.5)
    assert best > 0.5
    assert cost(best) < min(cost(best * 1.02), cost(best / 1.02))


@pytest.mark.parametrize(("logits", "bound"), [([[900.0, 0.0]], 20.0), ([[0.0, 1e-4]], 0.05)])
def test_a_temperature_stays_within_its_bounds(logits: list[list[float]], bound: float) -> None:
    labels = np.array([1])
    assert fit_temperature(np.array(logits), labels) == pytest.approx(bound, rel=1e-3)

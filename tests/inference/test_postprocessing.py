"""Softmax with temperature, at the edges of float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tumorlens.inference.postprocessing import softmax

finite32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(arrays.arrays(np.float32, (3, 4), elements=finite32), st.floats(0.01, 100))
def test_rows_are_distributions_in_the_order_of_the_logits(
    logits: np.ndarray[tuple[int, int], np.dtype[np.float32]], temperature: float
) -> None:
    found = softmax(logits, temperature)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert found.min() >= 0
    best = found[np.arange(3), logits.argmax(axis=1)]
    np.testing.assert_array_equal(best, found.max(axis=1))


def test_known_values() -> None:
    found = softmax(np.log(np.array([1.0, 2.0, 3.0, 4.0])))
    np.testing.assert_allclose(found, [0.1, 0.2, 0.3, 0.4])


def test_temperature_softens_and_sharpens() -> None:
    logits = np.array([[2.0, 1.0, 0.0, -1.0]])
    assert softmax(logits, 4.0)[0, 0] < softmax(logits)[0, 0]
    assert softmax(logits, 1e-300)[0].tolist() == [1, 0, 0, 0]
    np.testing.assert_allclose(softmax(logits, 1e300), 0.25)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperature_must_be_positive(temperature: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        softmax(np.zeros(4), temperature)

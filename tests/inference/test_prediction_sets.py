import numpy as np
import pytest

from tumorlens.bundle import ConformalThresholds
from tumorlens.inference.conformal import named, prediction_sets

RULE = ConformalThresholds(coverage=0.95, thresholds=(0.1, 0.2, 0.05, 0.5))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([0.6, 0.3, 0.08, 0.02], ("glioma", "meningioma", "notumor")),
        ([0.1, 0.2, 0.05, 0.65], ("pituitary", "meningioma", "glioma", "notumor")),
        ([0.09, 0.45, 0.02, 0.44], ("meningioma",)),
        ([0.09, 0.19, 0.04, 0.49], ("pituitary",)),
    ],
)
def test_classes_that_reach_their_bars_the_likeliest_first(
    row: list[float], expected: tuple[str, ...]
) -> None:
    assert named(np.array(row), RULE) == expected


def test_a_set_holds_the_answer_and_is_never_empty() -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), size=200)
    never = ConformalThresholds(coverage=0.5, thresholds=(1.0, 1.0, 1.0, 1.0))
    kept = prediction_sets(probabilities, never)
    assert (kept.sum(axis=1) == 1).all()
    assert (kept.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    assert prediction_sets(np.zeros((0, 4)), RULE).shape == (0, 4)

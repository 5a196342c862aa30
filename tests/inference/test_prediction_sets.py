"""What an answer does not exclude."""

import numpy as np
import pytest

from tumorlens.bundle import ConformalThresholds
from tumorlens.inference.conformal import NEVER_EXCLUDED_FROM, has_sets, named, prediction_sets

RULE = ConformalThresholds(
    coverage=0.95,
    thresholds=(0.05, 0.2, 0.02, 0.5),
    by_decision={"detected": (0.01, 0.01, 0.06, 0.01)},
)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([0.6, 0.3, 0.08, 0.02], ("glioma", "meningioma", "notumor")),
        ([0.04, 0.89, 0.01, 0.06], ("meningioma",)),
        ([0.06, 0.84, 0.01, 0.09], ("meningioma", "glioma")),
        ([0.06, 0.82, 0.01, 0.11], ("meningioma", "pituitary", "glioma")),
    ],
)
def test_classes_that_reach_their_thresholds_the_likeliest_first(
    row: list[float], expected: tuple[str, ...]
) -> None:
    assert named(np.array(row), RULE, "classified") == expected


def test_held_back_answers_have_thresholds_of_their_own() -> None:
    row = np.array([0.6, 0.33, 0.05, 0.02])
    assert named(row, RULE, "classified") == ("glioma", "meningioma", "notumor")
    assert named(row, RULE, "detected") == ("glioma", "meningioma", "pituitary")
    assert named(row, RULE, "abstained") is None, "nothing was fitted for it"
    assert named(row, RULE, "rejected") is None
    assert named(row, None, "classified") is None
    assert not has_sets(RULE, "abstained")
    with pytest.raises(KeyError):
        prediction_sets(row[np.newaxis], RULE, "abstained")


@pytest.mark.parametrize("decision", ["classified", "detected", "abstained"])
def test_no_class_above_a_tenth_is_excluded(decision: str) -> None:
    never = ConformalThresholds(
        coverage=0.5,
        thresholds=(1.0, 1.0, 1.0, 1.0),
        by_decision={"detected": (1.0, 1.0, 1.0, 1.0), "abstained": (1.0, 1.0, 1.0, 1.0)},
    )
    rows = np.random.default_rng(0).dirichlet(np.ones(4), size=300)
    kept = prediction_sets(rows, never, decision)
    assert kept[rows >= NEVER_EXCLUDED_FROM].all()
    assert not kept[(rows < NEVER_EXCLUDED_FROM)].any()
    assert (kept.sum(axis=1) >= 1).all()
    assert prediction_sets(np.zeros((0, 4)), RULE).shape == (0, 4)

"""Prediction sets keep what they promise, and agree with a library's."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta

from tumorlens.bundle import ConformalThresholds, DecisionRule
from tumorlens.evaluation.conformal import as_dict, fit_sets, measure_sets
from tumorlens.evaluation.resampling import Sampling
from tumorlens.inference.conformal import prediction_sets
from tumorlens.inference.decision import decisions
from tumorlens.labels import ANSWERABLE, ANY_TUMOR

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
_DRAWS = 1000


def answers(seed: int, count: int) -> tuple[Floats, Labels]:
    """Probabilities that favour the truth, some classes more than others."""
    random = np.random.default_rng(seed)
    labels = random.choice(4, size=count, p=[0.4, 0.3, 0.2, 0.1])
    favour = np.eye(4)[labels] * np.array([6.0, 3.0, 2.0, 1.5])[labels, np.newaxis]
    drawn = random.standard_gamma(0.6 + favour)
    probabilities: Floats = drawn / drawn.sum(axis=1, keepdims=True)  # Dirichlet
    return probabilities, labels.astype(np.int64)


@pytest.mark.parametrize("coverage", [0.7, 0.9, 0.95])
def test_each_class_is_covered_as_stated(coverage: float) -> None:
    """On average over draws; the most probable class, always in, may add to it."""
    held = np.zeros(4)
    exact = np.zeros(4)
    for seed in range(_DRAWS):
        probabilities, labels = answers(seed, 800)
        rule = fit_sets(probabilities[:400], labels[:400], coverage)
        later, truth = probabilities[400:], labels[400:]
        kept = prediction_sets(later, rule)
        passed = later >= np.array(rule.thresholds)
        for k in range(4):
            held[k] += kept[truth == k, k].mean() / _DRAWS
            exact[k] += passed[truth == k, k].mean() / _DRAWS
    assert (exact >= coverage - 0.01).all()
    assert (exact <= coverage + 0.04).all()  # 1 / (n + 1) for the rarest class
    assert (held >= exact).all()


def test_sets_are_those_of_a_library() -> None:
    """crepes, class-conditional, without smoothing; its bound is met, ours passed, at equality."""
    crepes = pytest.importorskip("crepes", reason="needs the dev extra")
    probabilities, labels = answers(1, 900)
    theirs = crepes.ConformalClassifier()
    own = 1 - probabilities[:500][np.arange(500), labels[:500]]
    theirs.fit(own, bins=labels[:500])
    sets = np.column_stack(
        [
            theirs.predict_set(
                1 - probabilities[500:, [k]], bins=np.full(400, k), confidence=0.93, smoothing=False
            )[:, 0]
            for k in range(4)
        ]
    ).astype(bool)
    rule = fit_sets(probabilities[:500], labels[:500], 0.93)
    assert (probabilities[500:] >= np.array(rule.thresholds)).tolist() == sets.tolist()


def test_a_class_with_too_few_images_is_in_every_set() -> None:
    probabilities = np.full((19 + 18, 4), 0.25)
    labels = np.array([0] * 19 + [1] * 18)
    assert fit_sets(probabilities, labels).thresholds == (0.25, 0.0, 0.0, 0.0)


def test_the_bar_leaves_out_the_lowest_few() -> None:
    """Of 39 images (n + 1 = 40) 38 must stay: one may be missed."""
    own = np.linspace(0.2, 0.96, 39)
    probabilities = np.column_stack([own, 1 - own, np.zeros(39), np.zeros(39)])
    assert fit_sets(probabilities, np.zeros(39, dtype=np.int64)).thresholds[0] == np.sort(own)[1]


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1.0])
def test_coverage_is_a_share(coverage: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        fit_sets(np.full((1, 4), 0.25), np.array([0]), coverage)


def test_what_sets_hold() -> None:
    probabilities = np.array(
        [
            [0.94, 0.04, 0.02, 0.0],  # classified, held
            [0.5, 0.48, 0.02, 0.0],  # detected, held
            [0.05, 0.0, 0.95, 0.0],  # classified, wrong and not held
            [0.4, 0.0, 0.55, 0.05],  # abstained, held
        ]
        * 5
    )
    labels = np.array([0, 1, 0, ANSWERABLE.index(ANY_TUMOR)] * 5)
    groups = [f"p{i // 2}" for i in range(20)]
    rule = ConformalThresholds(
        coverage=0.9, thresholds=(0.09, 0.09, 0.09, 0.09), by_decision={"abstained": (0.3,) * 4}
    )
    decision = DecisionRule(tumor_threshold=0.6, notumor_threshold=0.7, kind_threshold=0.9)
    decided = decisions(probabilities, decision).names
    found = measure_sets(probabilities, labels, groups, rule, decided, Sampling(200, 0))
    assert found is not None
    # A detected tumour comes without a set: nothing was fitted for such answers.
    assert found.without == as_dict(found)["n_without_set"] == 5
    assert found.whole.images == 15
    assert found.whole.coverage.value == pytest.approx(2 / 3)
    assert found.whole.size.value == pytest.approx(4 / 3)
    assert found.whole.singletons.value == pytest.approx(2 / 3)
    assert found.whole.coverage.low <= 2 / 3 <= found.whole.coverage.high
    by_beta = beta.ppf(0.025, 10, 6), beta.ppf(0.975, 11, 5)  # 10 of 15
    assert found.whole.exact == pytest.approx(by_beta)
    assert {name: one.images for name, one in found.by_decision.items()} == {
        "classified": 10,
        "abstained": 5,
    }
    assert found.by_decision["classified"].coverage.value == pytest.approx(0.5)
    assert set(found.by_label) == {"glioma", "tumor"}
    assert found.by_label["tumor"].coverage.value == 1.0
    assert as_dict(found)["by_label"]["glioma"]["coverage"]["value"] == 0.5
    only = decided == "detected"
    held = probabilities[only], labels[only], ["p"] * 5, rule, decided[only]
    assert measure_sets(*held, Sampling(200, 0)) is None


@pytest.mark.parametrize(("count", "fitted"), [(39, False), (40, True)])
def test_answers_that_are_held_back_have_sets_once_there_are_enough_of_them(
    count: int, fitted: bool
) -> None:
    probabilities, labels = answers(3, 400)
    held = np.tile([0.4, 0.3, 0.2, 0.1], (count, 1)), np.zeros(count, dtype=np.int64)
    rule = fit_sets(probabilities, labels, held_back={"detected": held})
    assert rule.by_decision == ({"detected": (0.4,) * 4} if fitted else {})
    assert rule.thresholds == fit_sets(probabilities, labels).thresholds


def test_a_rare_class_among_those_held_back_gets_the_threshold_of_all() -> None:
    probabilities, labels = answers(3, 400)
    truths = np.array([0] * 40 + [1] * 5)
    held = np.tile([0.4, 0.3, 0.2, 0.1], (45, 1)), truths
    rule = fit_sets(probabilities, labels, held_back={"abstained": held})
    # Of all 45 the lowest is 0.3; alone, five images would put the class into every set.
    assert rule.by_decision == {"abstained": (0.4, 0.3, 0.3, 0.3)}

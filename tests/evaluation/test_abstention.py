import numpy as np
import pytest

from tumorlens.bundle import DecisionRule
from tumorlens.evaluation.abstention import (
    MAX_THRESHOLD,
    fit_shifted_thresholds,
    fit_thresholds,
    outcome,
    stricter,
)
from tumorlens.labels import CLASSES, NO_TUMOR_INDEX, TUMOR_INDICES


def _probabilities(*answers: tuple[str, float]) -> np.ndarray:
    """Rows whose most probable class is the one named, with that probability."""
    rows = np.array([[(1 - top) / 3] * 4 for _, top in answers])
    for row, (name, top) in zip(rows, answers, strict=True):
        row[CLASSES.index(name)] = top
    return rows


def _correct(*labels: str) -> np.ndarray:
    correct = np.zeros((len(labels), 4), dtype=bool)
    for row, label in zip(correct, labels, strict=True):
        row[list(TUMOR_INDICES) if label == "tumor" else [CLASSES.index(label)]] = True
    return correct


def test_no_tumour_is_answered_above_the_last_missed_one() -> None:
    probabilities = _probabilities(
        ("notumor", 0.8), ("notumor", 0.95), ("notumor", 0.7), ("glioma", 0.9)
    )
    correct = _correct("tumor", "notumor", "notumor", "glioma")
    rule = fit_thresholds(probabilities, correct, missed=0.0)
    assert 0.8 < rule.notumor_threshold < 0.8001
    found = outcome(probabilities, correct, rule)
    assert found.missed_tumor_rate == 0.0
    assert found.coverage == 0.5
    assert found.accuracy == 1.0


def test_a_budget_of_misses_is_spent() -> None:
    probabilities = _probabilities(*[("notumor", 0.5 + i / 25) for i in range(10)])
    correct = _correct(*["glioma"] * 10)
    for missed in (0.0, 0.1, 0.3, 1.0):
        rule = fit_thresholds(probabilities, correct, missed=missed)
        assert outcome(probabilities, correct, rule).missed_tumor_rate == pytest.approx(missed)


def test_tumours_are_answered_from_where_few_are_wrong() -> None:
    probabilities = _probabilities(
        ("glioma", 0.9), ("glioma", 0.8), ("glioma", 0.6), ("pituitary", 0.5)
    )
    correct = _correct("glioma", "glioma", "meningioma", "notumor")
    rule = fit_thresholds(probabilities, correct, error=0.0)
    assert rule.tumor_threshold == pytest.approx(0.8)
    assert fit_thresholds(probabilities, correct, error=0.4).tumor_threshold == pytest.approx(0.6)
    assert fit_thresholds(probabilities, correct, error=0.5).tumor_threshold == 0.0


def test_when_all_is_right_nothing_is_held_back() -> None:
    probabilities = _probabilities(("glioma", 0.4), ("notumor", 0.4))
    assert fit_thresholds(probabilities, _correct("tumor", "notumor")) == DecisionRule()


def test_when_all_is_wrong_the_bar_is_as_high_as_it_gets() -> None:
    probabilities = _probabilities(("glioma", 0.9), ("notumor", 0.999))
    rule = fit_thresholds(probabilities, _correct("notumor", "glioma"), missed=0.0)
    assert rule.tumor_threshold == MAX_THRESHOLD
    assert rule.notumor_threshold == MAX_THRESHOLD


def test_rates_over_nothing_are_undefined() -> None:
    probabilities = _probabilities(("glioma", 0.9))
    found = outcome(probabilities, _correct("glioma"), DecisionRule(tumor_threshold=0.95))
    assert found.coverage == 0.0
    assert np.isnan(found.accuracy)
    assert np.isnan(found.false_alarm_rate)
    assert found.missed_tumor_rate == 0.0
    assert NO_TUMOR_INDEX == 2


def test_abroad_the_healthy_shall_be_right_whatever_kind_the_tumours_are() -> None:
    probabilities = _probabilities(
        ("notumor", 0.9), ("notumor", 0.8), ("notumor", 0.6),  # healthy, told so
        ("glioma", 0.95), ("pituitary", 0.7),  # healthy, told a tumour
        ("notumor", 0.7), ("meningioma", 0.99),  # gliomas: missed, and of the wrong kind
    )  # fmt: skip
    correct = _correct(*["notumor"] * 5, *["glioma"] * 2)
    rule = fit_shifted_thresholds(probabilities, correct, missed=0.5, healthy=0.75)
    assert rule.notumor_threshold == 0.0
    assert 0.7 < rule.tumor_threshold < 0.7001  # three correct, one alarm
    strict = fit_shifted_thresholds(probabilities, correct, missed=0.0, healthy=0.75)
    assert 0.7 < strict.notumor_threshold < 0.7001
    assert 0.95 < strict.tumor_threshold < 0.9501  # two correct: no alarm is left
    found = outcome(probabilities, correct, strict)
    assert found.healthy_accuracy == 1.0
    assert found.missed_tumor_rate == 0.0
    assert found.accuracy < 1.0  # the wrong kind is no matter here


def test_nine_right_allow_one_alarm() -> None:
    probabilities = _probabilities(*[("notumor", 0.9)] * 9, ("glioma", 0.9))
    correct = _correct(*["notumor"] * 10)
    assert fit_shifted_thresholds(probabilities, correct, healthy=0.9) == DecisionRule()


def test_the_stricter_rule_has_the_higher_of_each_bar() -> None:
    one = DecisionRule(tumor_threshold=0.5, notumor_threshold=0.9, chosen_on="here")
    other = DecisionRule(tumor_threshold=0.7, notumor_threshold=0.6)
    assert stricter(one, other) == DecisionRule(tumor_threshold=0.7, notumor_threshold=0.9)

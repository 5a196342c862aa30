import numpy as np
import pytest

from tumorlens.bundle import DecisionRule
from tumorlens.evaluation.abstention import (
    MAX_BAR,
    choose_rule,
    choose_rule_abroad,
    outcome,
    stricter,
)
from tumorlens.labels import CLASSES, NO_TUMOR_INDEX, TUMOR_INDICES


def _shares(*answers: tuple[str, float]) -> np.ndarray:
    """Rows whose most probable class is the one named, with that probability."""
    rows = np.array([[(1 - top) / 3] * 4 for _, top in answers])
    for row, (name, top) in zip(rows, answers, strict=True):
        row[CLASSES.index(name)] = top
    return rows


def _right(*labels: str) -> np.ndarray:
    right = np.zeros((len(labels), 4), dtype=bool)
    for row, label in zip(right, labels, strict=True):
        row[list(TUMOR_INDICES) if label == "tumor" else [CLASSES.index(label)]] = True
    return right


def test_no_tumour_is_answered_above_the_last_missed_one() -> None:
    shares = _shares(("notumor", 0.8), ("notumor", 0.95), ("notumor", 0.7), ("glioma", 0.9))
    right = _right("tumor", "notumor", "notumor", "glioma")
    rule = choose_rule(shares, right, missed=0.0)
    assert 0.8 < rule.notumor_at_least < 0.8001
    found = outcome(shares, right, rule)
    assert found.missed_tumor_rate == 0.0
    assert found.coverage == 0.5
    assert found.accuracy == 1.0


def test_a_budget_of_misses_is_spent() -> None:
    shares = _shares(*[("notumor", 0.5 + i / 25) for i in range(10)])
    right = _right(*["glioma"] * 10)
    for missed in (0.0, 0.1, 0.3, 1.0):
        rule = choose_rule(shares, right, missed=missed)
        assert outcome(shares, right, rule).missed_tumor_rate == pytest.approx(missed)


def test_tumours_are_answered_from_where_few_are_wrong() -> None:
    shares = _shares(("glioma", 0.9), ("glioma", 0.8), ("glioma", 0.6), ("pituitary", 0.5))
    right = _right("glioma", "glioma", "meningioma", "notumor")
    rule = choose_rule(shares, right, error=0.0)
    assert rule.tumor_at_least == pytest.approx(0.8)
    assert choose_rule(shares, right, error=0.4).tumor_at_least == pytest.approx(0.6)
    assert choose_rule(shares, right, error=0.5).tumor_at_least == 0.0


def test_when_all_is_right_nothing_is_held_back() -> None:
    shares = _shares(("glioma", 0.4), ("notumor", 0.4))
    assert choose_rule(shares, _right("tumor", "notumor")) == DecisionRule()


def test_when_all_is_wrong_the_bar_is_as_high_as_it_gets() -> None:
    shares = _shares(("glioma", 0.9), ("notumor", 0.999))
    rule = choose_rule(shares, _right("notumor", "glioma"), missed=0.0)
    assert rule.tumor_at_least == MAX_BAR
    assert rule.notumor_at_least == MAX_BAR


def test_rates_over_nothing_are_undefined() -> None:
    shares = _shares(("glioma", 0.9))
    found = outcome(shares, _right("glioma"), DecisionRule(tumor_at_least=0.95))
    assert found.coverage == 0.0
    assert np.isnan(found.accuracy)
    assert np.isnan(found.false_alarm_rate)
    assert found.missed_tumor_rate == 0.0
    assert NO_TUMOR_INDEX == 2


def test_abroad_the_healthy_shall_be_right_whatever_kind_the_tumours_are() -> None:
    shares = _shares(
        ("notumor", 0.9), ("notumor", 0.8), ("notumor", 0.6),  # healthy, told so
        ("glioma", 0.95), ("pituitary", 0.7),  # healthy, told a tumour
        ("notumor", 0.7), ("meningioma", 0.99),  # gliomas: missed, and of the wrong kind
    )  # fmt: skip
    right = _right(*["notumor"] * 5, *["glioma"] * 2)
    rule = choose_rule_abroad(shares, right, missed=0.5, healthy=0.75)
    assert rule.notumor_at_least == 0.0
    assert 0.7 < rule.tumor_at_least < 0.7001  # three right, one alarm
    strict = choose_rule_abroad(shares, right, missed=0.0, healthy=0.75)
    assert 0.7 < strict.notumor_at_least < 0.7001
    assert 0.95 < strict.tumor_at_least < 0.9501  # two right: no alarm is left
    found = outcome(shares, right, strict)
    assert found.healthy_accuracy == 1.0
    assert found.missed_tumor_rate == 0.0
    assert found.accuracy < 1.0  # the wrong kind is no matter here


def test_nine_right_allow_one_alarm() -> None:
    shares = _shares(*[("notumor", 0.9)] * 9, ("glioma", 0.9))
    right = _right(*["notumor"] * 10)
    assert choose_rule_abroad(shares, right, healthy=0.9) == DecisionRule()


def test_the_stricter_rule_has_the_higher_of_each_bar() -> None:
    one = DecisionRule(tumor_at_least=0.5, notumor_at_least=0.9, chosen_on="here")
    other = DecisionRule(tumor_at_least=0.7, notumor_at_least=0.6)
    assert stricter(one, other) == DecisionRule(tumor_at_least=0.7, notumor_at_least=0.9)

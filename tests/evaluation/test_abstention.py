"""Three thresholds, each the lowest that keeps its target."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.bundle import DecisionRule, Thresholds
from tumorlens.evaluation.abstention import (
    LEAST,
    AbstentionOutcome,
    Targets,
    fit_rule,
    fit_thresholds,
    outcome_of,
    stricter,
)
from tumorlens.evaluation.thresholds import MAX_THRESHOLD
from tumorlens.inference.decision import decisions
from tumorlens.labels import CLASSES, TUMOR_INDICES

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
STRICT = Targets(missed=0.0, alarms=0.0, kind_errors=0.0)


def outcome(rows: Floats, correct: Bools, rule: Thresholds) -> AbstentionOutcome:
    return outcome_of(decisions(rows, rule), correct)


def _probabilities(*answers: tuple[str, float]) -> Floats:
    """Rows whose most probable class is the one named, with that probability."""
    rows = np.array([[(1 - top) / 3] * 4 for _, top in answers])
    for row, (name, top) in zip(rows, answers, strict=True):
        row[CLASSES.index(name)] = top
    return rows


def _correct(*labels: str) -> Bools:
    correct = np.zeros((len(labels), 4), dtype=bool)
    for row, label in zip(correct, labels, strict=True):
        row[list(TUMOR_INDICES) if label == "tumor" else [CLASSES.index(label)]] = True
    return correct


def test_no_tumour_is_reported_above_the_last_missed_one() -> None:
    rows = _probabilities(("notumor", 0.8), ("notumor", 0.95), ("notumor", 0.7), ("glioma", 0.9))
    correct = _correct("tumor", "notumor", "notumor", "glioma")
    rule = fit_thresholds(rows, correct, STRICT)
    assert 0.8 < rule.notumor_threshold < 0.8001
    found = outcome(rows, correct, rule)
    assert found.missed_tumor_rate == 0.0
    assert found.coverage == 0.5
    assert found.accuracy == 1.0
    assert (found.presence_right, found.presence_wrong) == (0.5, 0.0)


def test_a_budget_of_misses_is_spent() -> None:
    rows = _probabilities(*[("notumor", 0.55 + i / 25) for i in range(10)])
    correct = _correct(*["glioma"] * 10)
    for missed in (0.0, 0.1, 0.3, 1.0):
        rule = fit_thresholds(rows, correct, Targets(missed, 0.0, 0.0))
        assert outcome(rows, correct, rule).missed_tumor_rate == pytest.approx(missed)


def test_a_tumour_is_reported_above_the_last_false_alarm() -> None:
    rows = _probabilities(("glioma", 0.9), ("glioma", 0.7), ("pituitary", 0.95))
    correct = _correct("glioma", "notumor", "pituitary")
    rule = fit_thresholds(rows, correct, STRICT)
    assert 0.9 < rule.tumor_threshold < 0.9001  # one minus a third of 0.3
    assert outcome(rows, correct, rule).false_alarm_rate == 0.0
    lax = fit_thresholds(rows, correct, Targets(0.0, 1.0, 0.0))
    assert lax.tumor_threshold == LEAST
    assert outcome(rows, correct, lax).false_alarm_rate == 1.0


def test_a_kind_is_named_from_where_few_are_wrong() -> None:
    rows = np.array([[0.9, 0.1, 0, 0], [0.7, 0.3, 0, 0], [0.6, 0.4, 0, 0], [0.5, 0.5, 0, 0]])
    correct = _correct("glioma", "glioma", "meningioma", "tumor")
    rule = fit_thresholds(rows, correct, STRICT)
    assert rule.kind_threshold == pytest.approx(0.7)
    found = outcome(rows, correct, rule)
    assert (found.coverage, found.detected, found.presence_right) == (0.5, 0.5, 1.0)
    assert fit_thresholds(rows, correct, Targets(0, 0, 0.4)).kind_threshold == 0.0


def test_when_all_is_wrong_the_thresholds_are_as_high_as_they_get() -> None:
    rows = _probabilities(("glioma", 0.999), ("notumor", 0.999), ("glioma", 0.99))
    rule = fit_thresholds(rows, _correct("notumor", "glioma", "meningioma"), STRICT)
    assert rule == Thresholds(
        notumor_threshold=MAX_THRESHOLD,
        tumor_threshold=MAX_THRESHOLD,
        kind_threshold=MAX_THRESHOLD,
    )


def test_rates_over_nothing_are_undefined() -> None:
    rows = _probabilities(("glioma", 0.9))
    found = outcome(rows, _correct("glioma"), DecisionRule(tumor_threshold=0.98))
    assert found.coverage == 0.0
    assert np.isnan(found.accuracy)
    assert np.isnan(found.false_alarm_rate)
    assert found.missed_tumor_rate == 0.0


def test_held_out_sources_make_every_threshold_at_least_as_high() -> None:
    random = np.random.default_rng(0)
    known = random.dirichlet([8, 1, 1, 1], 200)
    shifted = random.dirichlet([2, 1, 2, 1], 200)
    healthy = np.array(["glioma", "notumor"] * 100)
    home = known, _correct(*["glioma"] * 200)
    away = shifted, _correct(*healthy)
    alone, both = fit_rule(home), fit_rule(home, away, [""] * 200)
    assert both.notumor_threshold > alone.notumor_threshold
    assert both.tumor_threshold > alone.tumor_threshold
    assert both.kind_threshold >= alone.kind_threshold
    assert not both.by_sequence


def test_each_network_without_a_source_raises_the_threshold_for_no_tumour_alone() -> None:
    home = _probabilities(("glioma", 0.9), ("notumor", 0.9)), _correct("glioma", "notumor")
    tumors = _correct(*["glioma"] * 40)
    # Of 40 tumours two may be missed.
    first = _probabilities(*[("notumor", 0.7)] * 2, ("notumor", 0.6), *[("glioma", 0.9)] * 37)
    second = _probabilities(*[("notumor", 0.9)] * 2, ("notumor", 0.8), *[("glioma", 0.9)] * 37)
    alone = fit_rule(home)
    one, both = (
        fit_rule(home, held_out=[(rows, tumors) for rows in some])
        for some in ([first], [first, second])
    )
    assert 0.6 < one.notumor_threshold < 0.6001
    assert 0.8 < both.notumor_threshold < 0.8001
    assert one.tumor_threshold == both.tumor_threshold == alone.tumor_threshold
    assert one.kind_threshold == both.kind_threshold == alone.kind_threshold


def test_other_errors_of_a_network_without_a_source_raise_no_threshold() -> None:
    home = _probabilities(("glioma", 0.9), ("notumor", 0.9)), _correct("glioma", "notumor")
    alarms = _probabilities(*[("glioma", 0.97)] * 40)
    held_out = alarms, _correct(*["notumor"] * 20, *["meningioma"] * 20)
    assert fit_thresholds(*held_out).tumor_threshold > 0.97
    assert fit_thresholds(*held_out).kind_threshold > 0.97
    assert fit_rule(home, held_out=[held_out]) == fit_rule(home)


def test_a_kind_that_is_not_asked_for_does_not_raise_its_threshold() -> None:
    # Tumours of the wrong kind that are not reported as tumours.
    unsure = np.tile([0.39, 0.01, 0.6, 0.0], (20, 1))
    rows = np.concatenate([unsure, _probabilities(*[("glioma", 0.9)] * 20)])
    correct = _correct(*["meningioma"] * 20, *["glioma"] * 20)
    assert fit_thresholds(rows, correct, STRICT).kind_threshold == 0.0


def test_a_sequence_with_enough_images_has_thresholds_of_its_own() -> None:
    random = np.random.default_rng(1)
    labels = ["glioma", "notumor"] * 300
    rows = random.dirichlet([1, 1, 1, 1], 600)
    tumor = np.array([label == "glioma" for label in labels])
    rows[tumor & (np.arange(600) < 300)] = [0.97, 0.01, 0.01, 0.01]  # plain in one sequence
    away = rows, _correct(*labels)
    names = ["T1CE"] * 300 + ["T1"] * 290 + ["T2"] * 10
    home = _probabilities(("glioma", 0.9), ("notumor", 0.9)), _correct("glioma", "notumor")
    rule = fit_rule(home, away, names)
    assert set(rule.by_sequence) == {"T1CE", "T1"}
    assert rule.thresholds("T1CE").notumor_threshold < rule.thresholds("T1").notumor_threshold
    assert rule.thresholds("T2") is rule
    assert rule.thresholds(None) is rule


def test_a_sequence_with_few_healthy_heads_has_no_thresholds_of_its_own() -> None:
    home = _probabilities(("glioma", 0.9), ("notumor", 0.9)), _correct("glioma", "notumor")
    labels = ["glioma"] * 150 + ["notumor"] * 99 + ["notumor"]
    away = _probabilities(*[(name, 0.9) for name in labels]), _correct(*labels)
    assert not fit_rule(home, away, ["T2"] * 249 + ["T1"]).by_sequence
    assert set(fit_rule(home, away, ["T2"] * 250).by_sequence) == {"T2"}


def test_thresholds_of_a_sequence_are_raised_by_networks_without_a_source_too() -> None:
    home = _probabilities(("glioma", 0.9), ("notumor", 0.9)), _correct("glioma", "notumor")
    labels = ["glioma"] * 100 + ["notumor"] * 100
    away = _probabilities(*[(name, 0.9) for name in labels]), _correct(*labels)
    missed = _probabilities(*[("notumor", 0.8)] * 20), _correct(*["glioma"] * 20)
    rule = fit_rule(home, away, ["T2"] * 200, [missed])
    assert rule.by_sequence["T2"].notumor_threshold == rule.notumor_threshold > 0.8


def test_the_stricter_rule_has_the_higher_of_each_threshold() -> None:
    one = Thresholds(tumor_threshold=0.5, notumor_threshold=0.9, kind_threshold=0.7)
    other = Thresholds(tumor_threshold=0.7, notumor_threshold=0.6, kind_threshold=0.6)
    assert stricter(one, other) == Thresholds(
        tumor_threshold=0.7, notumor_threshold=0.9, kind_threshold=0.7
    )

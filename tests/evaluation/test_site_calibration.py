"""Fitting a bundle to few local cases."""

import dataclasses
import re

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.bundle import BundleInfo, ConformalThresholds, DecisionRule, NetworkFacts, Thresholds
from tumorlens.config import PreprocessConfig
from tumorlens.errors import EvaluationError
from tumorlens.evaluation.calibration import fit_temperature
from tumorlens.evaluation.labelled_cases import (
    LabelledCases,
    require_fitted,
    require_useful,
)
from tumorlens.evaluation.metrics import correct_of
from tumorlens.evaluation.site_calibration import fit_site
from tumorlens.evaluation.site_performance import cross_validated, performance
from tumorlens.inference.postprocessing import softmax
from tumorlens.labels import CLASSES, ClassInfo, ClassSet

INFO = BundleInfo(
    name="parent",
    version="1",
    preprocess=PreprocessConfig(image_size=64),
    temperature=0.25,
    decision=DecisionRule(
        notumor_threshold=0.8,
        tumor_threshold=0.7,
        kind_threshold=0.6,
        by_sequence={"T1": Thresholds(notumor_threshold=0.9, tumor_threshold=0.75)},
    ),
    network=NetworkFacts(architecture={}, parameters=1, macs=1),
    training={},
    metrics={},
)


def cases(patients: int, seed: int = 0, favour: float = 2.0, kinds: int = 4) -> LabelledCases:
    """Two images a patient; logits favour the truth; the right temperature is 1 / favour."""
    random = np.random.default_rng(seed)
    truths = np.repeat(random.integers(0, kinds, patients), 2)
    logits = random.normal(0, 1, (2 * patients, 4)) + favour * np.eye(4)[truths]
    groups = tuple(f"P{k // 2}" for k in range(2 * patients))
    return LabelledCases(logits, np.eye(4, dtype=np.bool_)[truths], groups, (None,) * len(groups))


def coverage(fit: BundleInfo, seed: int) -> float:
    return performance(fit, cases(400, seed)).coverage


def test_many_patients_fit_everything() -> None:
    fit = fit_site(INFO, cases(240))
    assert 0.4 < fit.temperature < 0.6
    assert not any("threshold" in line for line in fit.unfitted)
    assert fit.decision.by_sequence == {}
    assert fit.prediction_sets is not None
    assert len(set(fit.prediction_sets.thresholds)) == 4
    assert set(fit.prediction_sets.by_decision) == {"detected", "abstained"}


def test_error_rates_are_kept_on_other_patients() -> None:
    found = [performance(fit_site(INFO, cases(240, k)).applied(INFO), cases(400, 1000 + k))
             for k in range(8)]  # fmt: skip
    assert np.mean([one.missed_tumor_rate for one in found]) <= 0.055
    assert np.mean([one.false_alarm_rate for one in found]) <= 0.045
    assert np.mean([one.coverage for one in found]) >= 0.945


def test_thirty_patients_pool_their_sets_and_say_so() -> None:
    fit = fit_site(INFO, cases(30))
    assert fit.prediction_sets is not None
    assert len(set(fit.prediction_sets.thresholds)) == 1
    assert any("pooled instead" in line for line in fit.unfitted)
    mean = np.mean([coverage(fit_site(INFO, cases(30, k)).applied(INFO), 50 + k) for k in range(8)])
    assert mean >= 0.945


def test_ten_patients_promise_no_sets_and_lower_no_threshold() -> None:
    some = cases(10)
    fit = fit_site(INFO, some)
    assert fit.prediction_sets is None
    assert any(
        "10 patients are too few to guarantee a coverage of 95% (19 are needed)" in line
        for line in fit.unfitted
    )
    # The same logits reach the parent's threshold: 0.8 at its temperature is less at a higher one.
    assert fit.temperature > INFO.temperature
    moved = fit.decision.tumor_threshold
    ratio = INFO.temperature / fit.temperature
    assert np.log(moved / (1 - moved)) == pytest.approx(np.log(0.7 / 0.3) * ratio)
    assert fit.decision.by_sequence["T1"].tumor_threshold > moved
    assert fit_site(INFO, some, coverage=0.9).prediction_sets is not None


def test_an_error_rate_that_no_threshold_keeps_is_not_promised() -> None:
    some = cases(120, favour=12.0)
    certain = some.logits.copy()
    tumours = np.flatnonzero(~some.correct[:, 2])
    missed = tumours[:: len(tumours) // 12]
    certain[missed] = 40.0 * np.eye(4)[2]
    fit = fit_site(INFO, dataclasses.replace(some, logits=certain))
    assert fit.decision.notumor_threshold >= 0.99
    (line,) = [line for line in fit.unfitted if line.startswith("threshold for no tumour")]
    assert re.search(
        r"no threshold up to 0\.99 limits the error rate of these \d+ patients to 5%", line
    )
    assert not any(line.startswith("threshold for no tumour") for line in fit.fitted)


def test_thresholds_for_whole_heads_are_rescaled_and_not_called_fitted() -> None:
    whole = {"axial": DecisionRule(notumor_threshold=0.8)}
    fit = fit_site(msgspec.structs.replace(INFO, volume_decisions=whole), cases(240))
    assert "the parent's, rescaled to the new temperature, because" in fit.unfitted[-1]
    moved = fit.applied(msgspec.structs.replace(INFO, volume_decisions=whole))
    assert 0.5 < moved.volume_decisions["axial"].notumor_threshold < 0.8


def test_what_is_not_called_no_tumour_is_not_a_tumour_for_that() -> None:
    """A parent that holds nothing back gets no threshold below one half for presence."""
    free = msgspec.structs.replace(INFO, decision=DecisionRule())
    rule = fit_site(free, cases(40)).decision
    assert rule.notumor_threshold >= 0.5
    assert rule.tumor_threshold >= 0.5


def test_one_unusual_healthy_head_of_few_does_not_hide_tumours() -> None:
    some = cases(24)
    logits = some.logits.copy()
    logits[np.flatnonzero(some.correct[:, 2])[0]] = 12.0 * np.eye(4)[0]
    fit = fit_site(INFO, dataclasses.replace(some, logits=logits))
    moved, ratio = fit.decision.tumor_threshold, INFO.temperature / fit.temperature
    assert np.log(moved / (1 - moved)) == pytest.approx(np.log(0.7 / 0.3) * ratio)
    assert any(line.startswith("threshold for a tumour") for line in fit.unfitted)


def test_answers_that_all_are_right_do_not_become_certain() -> None:
    few, many = fit_site(INFO, cases(12, favour=12.0)), fit_site(INFO, cases(300, favour=12.0))
    assert 0.1 < few.temperature < INFO.temperature
    assert many.temperature < few.temperature


def test_a_tumour_of_unknown_kind_counts_for_presence() -> None:
    vague = correct_of(["tumor", "glioma"])
    assert vague.tolist() == [[True, True, False, True], [True] + [False] * 3]
    some = cases(60)
    all_vague = some.correct.copy()
    tumor = ~some.correct[:, 2]
    all_vague[tumor] = vague[0]
    fit = fit_site(INFO, dataclasses.replace(some, correct=all_vague))
    full = fit_site(INFO, some)
    missed = [rule.notumor_threshold for rule in (fit.decision, full.decision)]
    assert any("no tumour" in line and "5%" in line for line in fit.fitted)
    assert all(value > 0 for value in missed)
    assert any("the kind" in line for line in fit.unfitted)


def test_a_useless_network_is_refused() -> None:
    random = np.random.default_rng(0)
    noise: NDArray[np.float64] = random.normal(0, 1, (80, 4))
    some = cases(40)
    useless = dataclasses.replace(some, logits=noise)
    with pytest.raises(EvaluationError, match=r"cannot distinguish the classes .*chance is 0\.5"):
        fit_site(INFO, useless)
    of_one_class = correct_of(["glioma"] * 8)
    with pytest.raises(EvaluationError, match="0% of 8 images of one class"):
        require_useful("x", softmax(-10.0 * of_one_class), of_one_class)
    require_useful("x", softmax(10.0 * of_one_class), of_one_class)
    with pytest.raises(EvaluationError, match="no image is labelled"):
        require_useful("x", noise, np.zeros((80, 4), np.bool_))


def test_a_network_that_always_gives_the_commonest_answer_is_refused() -> None:
    correct = correct_of(["notumor"] * 6 + ["glioma"] * 2)
    # It ranks the images well, but every one of them is called healthy.
    logits = 4.0 * correct_of(["notumor"] * 8) + 1.0 * correct
    with pytest.raises(EvaluationError, match="mean sensitivity 50%, no better than always"):
        require_useful("x", softmax(logits), correct)
    logits[-1] = 9.0 * correct[-1]
    require_useful("x", softmax(logits), correct)


def test_a_temperature_at_its_upper_bound_is_refused() -> None:
    logits = np.array([[0.0, 300.0], [300.0, 0.0]] * 3)
    labels = np.array([0, 1, 0, 1, 1, 0])
    with pytest.raises(EvaluationError, match=r"temperature is at its upper bound, 20"):
        require_fitted("x", fit_temperature(logits, labels))
    require_fitted("x", fit_temperature(logits, logits.argmax(axis=1)))


def test_cases_of_one_class_leave_the_temperature() -> None:
    fit = fit_site(INFO, cases(40, kinds=1))
    assert fit.temperature == INFO.temperature
    assert any("the parent's, because all cases are of one class" in x for x in fit.unfitted)


def test_classes_without_a_case_are_named() -> None:
    (line,) = (one for one in fit_site(INFO, cases(240, kinds=2)).unfitted if "no case" in one)
    assert "(no tumour, pituitary tumour), so" in line
    assert not any("no case" in one for one in fit_site(INFO, cases(240)).unfitted)


def test_classes_without_no_finding() -> None:
    members = tuple(ClassInfo(name=name, display_name=name) for name in CLASSES)
    info = msgspec.structs.replace(INFO, classes=ClassSet(members=members))
    fit = fit_site(info, cases(150))
    assert any("kind" in line for line in fit.fitted)
    assert not any("no tumour" in line for line in (*fit.fitted, *fit.unfitted))
    found = performance(fit.applied(info), cases(200, 5))
    assert found.classified == found.answered
    assert np.isnan(found.false_alarm_rate)
    assert found.coverage >= 0.93


def test_cross_validation_measures_what_was_not_fitted() -> None:
    some = cases(100)
    found = cross_validated(INFO, some, 0.95)
    assert found is not None
    assert found == cross_validated(INFO, some, 0.95)
    assert found != performance(fit_site(INFO, some).applied(INFO), some)
    assert 0.9 <= found.coverage <= 1.0


def test_cases_are_decided_by_the_thresholds_of_their_sequence() -> None:
    some = cases(200)
    apart = {"T1": Thresholds(notumor_threshold=1.0, tumor_threshold=1.0, kind_threshold=1.0)}
    info = msgspec.structs.replace(INFO, decision=DecisionRule(by_sequence=apart))
    half = ("T1",) * 200 + (None,) * 200
    assert performance(info, some).answered == 1.0
    assert performance(info, dataclasses.replace(some, sequences=half)).answered == 0.5


def test_answers_that_come_without_a_set_are_not_measured_as_one() -> None:
    some = cases(200)
    sets = ConformalThresholds(coverage=0.95, thresholds=(1.0,) * 4)
    rule = DecisionRule(notumor_threshold=0.9, tumor_threshold=0.9, kind_threshold=0.9)
    info = msgspec.structs.replace(INFO, prediction_sets=sets, decision=rule)
    found = performance(info, some)
    assert found.classified < 1.0
    assert found.coverage == pytest.approx(found.accuracy), "sets of one class, where classified"
    none = msgspec.structs.replace(
        info, decision=DecisionRule(notumor_threshold=1.0, tumor_threshold=1.0)
    )
    assert np.isnan(performance(none, some).coverage)

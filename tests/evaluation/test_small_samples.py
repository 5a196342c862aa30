"""Few patients promise what they can, and no more."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.evaluation.small_samples import (
    MIN_FOR_SHARE,
    conformal_threshold,
    controlled_error,
    controlled_threshold,
    patient_weights,
    patients_for_coverage,
    patients_for_limit,
)
from tumorlens.evaluation.thresholds import MAX_THRESHOLD


def drawn(
    random: np.random.Generator, patients: int
) -> tuple[NDArray[np.float64], list[str], NDArray[np.float64]]:
    """Images of patients who differ more than their images do: values, patients, weights."""
    counts = random.integers(1, 9, patients)
    groups = [f"P{k}" for k, count in enumerate(counts) for _ in range(count)]
    middle = np.repeat(random.normal(0, 1, patients), counts)
    values = 1 / (1 + np.exp(-(middle + random.normal(0, 0.3, len(groups)))))
    return values, groups, patient_weights(groups)


@pytest.mark.parametrize("patients", [19, 40, 100])
def test_a_new_patient_is_covered_as_promised(patients: int) -> None:
    random = np.random.default_rng(patients)
    covered = []
    for _ in range(600):
        values, groups, _ = drawn(random, patients)
        threshold = conformal_threshold(values, patient_weights(groups), 0.95)
        assert threshold is not None
        later, _, weights = drawn(random, 40)
        covered.append(((later >= threshold) * weights).sum() / weights.sum())
    assert 0.945 <= np.mean(covered) <= 0.95 + 1 / (patients + 1) + 0.005


def test_counting_images_instead_would_promise_too_much() -> None:
    """Else the weights by patient would be for nothing."""
    random = np.random.default_rng(0)
    covered = []
    for _ in range(600):
        values, groups, _ = drawn(random, 19)
        threshold = conformal_threshold(values, np.ones(len(groups)), 0.95)
        assert threshold is not None
        later, _, weights = drawn(random, 40)
        covered.append(((later >= threshold) * weights).sum() / weights.sum())
    assert np.mean(covered) < 0.94


def test_an_error_rate_is_kept_by_new_patients() -> None:
    random = np.random.default_rng(1)
    rates = []
    for _ in range(600):
        values, groups, _ = drawn(random, 60)
        found = controlled_threshold(values, groups, 0.05)
        assert found.promised
        later, _, weights = drawn(random, 40)
        rates.append(((later >= found.threshold) * weights).sum() / weights.sum())
    assert 0.02 <= np.mean(rates) <= 0.052


def test_too_few_patients_promise_nothing() -> None:
    assert patients_for_coverage(0.95) == patients_for_limit(0.05) == 19
    assert patients_for_limit(0.03) == 33
    values = np.linspace(0.1, 0.9, 36)
    groups = [f"P{k // 2}" for k in range(36)]
    assert conformal_threshold(values, patient_weights(groups), 0.95) is None
    found = controlled_threshold(values, groups, 0.05)
    assert not found.promised
    assert found.threshold > values.max()
    assert conformal_threshold(values, np.ones(36), 0.95) == values[0]


def test_images_that_are_no_error_need_no_threshold() -> None:
    groups = [f"P{k}" for k in range(40)]
    assert controlled_threshold(np.full(40, -1.0), groups, 0.05).threshold == 0.0
    nobody = controlled_threshold(np.zeros(0), [], 0.05)
    assert (nobody.threshold, nobody.promised) == (0.0, False)


def test_the_share_of_errors_among_answers() -> None:
    groups = [f"P{k}" for k in range(60)]
    values = np.linspace(0.99, 0.4, 60)
    wrong = np.arange(60) >= 40
    found = controlled_error(values, wrong, groups, 0.1)
    assert found.promised
    # 40 right answers carry (wrong + 1) / (all + 1) <= 0.1 up to 3 wrong ones.
    assert found.threshold == pytest.approx(values[42])
    assert controlled_error(values, np.zeros(60, np.bool_), groups, 0.1).threshold == 0.0
    few = slice(0, MIN_FOR_SHARE - 1)
    assert not controlled_error(values[few], wrong[few], groups[few], 0.1).promised


def test_what_even_the_highest_threshold_does_not_keep_is_not_promised() -> None:
    groups = [f"P{k}" for k in range(60)]
    certain = np.where(np.arange(60) < 6, 0.995, 0.2)
    found = controlled_threshold(certain, groups, 0.05)
    assert found.enough
    assert not found.promised
    assert found.threshold == MAX_THRESHOLD
    assert controlled_threshold(certain, groups, 0.2).promised
    every = np.ones(60, np.bool_)
    for values, wrong in (
        (np.linspace(0.99, 0.4, 60), every),  # no threshold keeps the limit
        (np.r_[np.full(30, 0.999), np.full(30, 0.995)], np.arange(60) >= 30),  # only one above it
    ):
        share = controlled_error(values, wrong, groups, 0.1)
        assert (share.threshold, share.enough, share.promised) == (MAX_THRESHOLD, True, False)


def test_answers_of_one_value_are_given_together() -> None:
    """Right ones cannot be told from wrong ones of the same probability."""
    groups = [f"P{k}" for k in range(60)]
    values = np.r_[np.full(20, 0.95), np.full(20, 0.9), np.full(20, 0.5)]
    wrong = np.arange(60) >= 30
    found = controlled_error(values, wrong, groups, 0.1)
    assert found == (0.95, True, True)

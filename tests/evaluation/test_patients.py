"""The majority of a patient's slices speaks for the patient."""

import numpy as np
import pytest

from tumorlens.datasets.manifest import Record
from tumorlens.evaluation.patients import vote
from tumorlens.evaluation.resampling import Sampling

FEW = Sampling(100, 0)


def record(patient: str) -> Record:
    return Record("x", "glioma", "", "a", "", 1, 1, "L", f"P_{patient}", "east", patient)


def answers(*rows: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return 0.1 + 0.6 * np.eye(4)[list(rows)]


def test_majority_and_its_rates() -> None:
    records = [record(p) for p in "aaabbb"]
    groups = [r.group for r in records]
    found = vote(records, np.zeros(6, dtype=int), answers(0, 0, 2, 2, 2, 0), groups, FEW)
    assert found is not None
    assert (found.patients, found.images) == (2, 6)
    assert found.predicted.tolist() == [0, 2]
    assert found.estimates["accuracy"].value == 0.5
    assert found.estimates["missed_tumor_rate"].value == 0.5


def test_of_equal_votes_the_more_probable_wins() -> None:
    records = [record("a"), record("a")]
    table = np.array([[0.4, 0.3, 0.2, 0.1], [0.05, 0.9, 0.05, 0.0]])
    found = vote(records, np.array([1, 1]), table, ["P_a", "P_a"], FEW)
    assert found is not None
    assert found.predicted.tolist() == [1]


def test_probabilities_do_not_outvote_a_majority() -> None:
    records = [record("a")] * 3
    table = np.array([[0.34, 0.33, 0.33, 0], [0.34, 0.33, 0.33, 0], [0, 1.0, 0, 0]])
    found = vote(records, np.array([0, 0, 0]), table, ["P_a"] * 3, FEW)
    assert found is not None
    assert found.predicted.tolist() == [0]


def test_a_patient_of_two_classes_is_two_units() -> None:
    records = [record("a")] * 4
    found = vote(records, np.array([1, 1, 3, 3]), answers(1, 1, 3, 3), ["P_a"] * 4, FEW)
    assert found is not None
    assert found.patients == 2
    assert found.estimates["accuracy"].value == 1.0


def test_one_unknown_patient_is_one_too_many() -> None:
    records = [record("a"), record("")]
    assert vote(records, np.array([0, 0]), answers(0, 0), ["P_a", "x"], FEW) is None


@pytest.mark.parametrize("patients", [12, 30])
def test_intervals_are_over_patients(patients: int) -> None:
    records = [record(str(i // 5)) for i in range(5 * patients)]
    rows = [0 if i // 5 % 3 else 2 for i in range(5 * patients)]
    groups = [r.group for r in records]
    found = vote(records, np.zeros(len(rows), dtype=int), answers(*rows), groups, FEW)
    assert found is not None
    estimate = found.estimates["accuracy"]
    assert estimate.value == pytest.approx(2 / 3, abs=0.01)
    assert estimate.low < estimate.value < estimate.high

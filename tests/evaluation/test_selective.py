"""Risk against coverage, against the definition by a plain loop."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.evaluation.resampling import Sampling
from tumorlens.evaluation.selective import Selective, as_dict, aurc, ranking, selective
from tumorlens.labels import ClassInfo, ClassSet

Floats = NDArray[np.float64]


def found(labels: list[int], table: Floats) -> Selective:
    return selective(np.array(labels), table, list(map(str, range(len(labels)))), Sampling(100))


def answers(*pairs: tuple[int, float]) -> Floats:
    """Rows that answer a class with a probability."""
    return np.array([np.where(np.arange(4) == k, p, (1 - p) / 3) for k, p in pairs])


def test_a_small_case_by_hand() -> None:
    table = answers((0, 0.9), (2, 0.8), (0, 0.7), (2, 0.6))
    got = found([0, 0, 0, 2], table)  # the second is a missed tumour
    assert got.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert got.risk == pytest.approx([0, 1 / 2, 1 / 3, 1 / 4])
    assert got.missed == pytest.approx([0, 1 / 2, 1 / 3, 1 / 3])
    assert got.ideal == pytest.approx([0, 0, 0, 1 / 4])
    assert got.aurc.value == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert got.excess == pytest.approx(got.aurc.value - 1 / 16)
    assert got.at(0.8).risk == pytest.approx(1 / 3)
    assert got.at(0.01).coverage == 0.25


def test_equal_confidence_is_answered_together() -> None:
    table = answers((0, 0.9), (1, 0.9), (0, 0.5), (1, 0.5))
    got = found([0, 0, 0, 0], table)
    assert got.coverage.tolist() == [0.5, 1.0]
    assert got.risk.tolist() == [0.5, 0.5]
    assert got.aurc.value == pytest.approx(0.5)


def test_a_confidence_that_knows_every_error_has_no_excess() -> None:
    knowing = found([0, 0, 0], answers((0, 0.9), (0, 0.8), (1, 0.7)))
    assert knowing.excess == pytest.approx(0.0, abs=1e-12)
    assert knowing.risk.tolist() == knowing.ideal.tolist()
    several = found([0, 0, 0, 0], answers((0, 0.9), (1, 0.8), (1, 0.7), (1, 0.6)))
    assert several.excess == pytest.approx(0.0, abs=1e-12)
    assert found([0, 0, 0], answers((0, 0.9), (1, 0.8), (0, 0.7))).excess > 0.01


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_repetitions(seed: int) -> None:
    random = np.random.default_rng(seed)
    wrong, score = random.integers(0, 2, 40).astype(float), np.round(random.random(40), 1)
    times = random.integers(0, 4, 40)
    weighted = aurc(wrong, score, times[np.newaxis].astype(float))
    repeated = aurc(wrong.repeat(times), score.repeat(times), np.ones((1, times.sum())))
    assert weighted == pytest.approx(repeated)


def test_without_tumours_missed_is_undefined() -> None:
    got = found([2, 2], answers((2, 0.9), (0, 0.5)))
    assert np.isnan(got.missed).all()
    assert as_dict(got)["at"][0] == {
        "coverage": 1.0, "accuracy": 0.5, "missed_tumor_rate": None,
    }  # fmt: skip


def test_without_a_class_for_no_finding_nothing_can_be_missed() -> None:
    """Every image of such a set has a finding, but no answer says that there is none."""
    members = tuple(ClassInfo(name=name, display_name=name) for name in "abcd")
    table = answers((2, 0.9), (0, 0.5), (3, 0.4))
    got = selective(
        np.array([2, 1, 3]), table, list("xyz"), Sampling(100), ClassSet(members=members)
    )
    assert np.isnan(got.missed).all()
    assert got.risk == pytest.approx([0, 1 / 2, 1 / 3])


@pytest.mark.parametrize(
    ("asked", "coverage"), [(1.0, 1.0), (0.99, 0.75), (0.75, 0.75), (0.5, 0.5), (0.49, 0.25)]
)
def test_the_coverage_is_the_largest_up_to_the_one_asked_for(asked: float, coverage: float) -> None:
    got = found([0] * 4, answers((0, 0.9), (0, 0.8), (0, 0.7), (0, 0.6)))
    assert got.at(asked).coverage == coverage


def test_scores_are_ranked_from_the_highest_with_equals_together() -> None:
    order, ends = ranking(np.array([0.2, 0.9, 0.2, 0.5]))
    assert order.tolist() == [1, 3, 0, 2]
    assert ends.tolist() == [0, 1, 3]
    assert [part.tolist() for part in ranking(np.zeros(0))] == [[], []]


def test_the_record_has_a_point_for_each_coverage() -> None:
    got = as_dict(found([0, 2, 1, 3, 0], np.eye(4)[[0, 2, 1, 3, 2]] * 0.6 + 0.1))
    assert len(got["at"]) == 5
    assert got["at"][0] == {"coverage": 1.0, "accuracy": 0.8, "missed_tumor_rate": 0.25}
    assert got["aurc"]["value"] == pytest.approx(0.2)

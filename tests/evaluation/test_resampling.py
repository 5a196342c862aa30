"""The cluster bootstrap: what it covers, and that it respects groups."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.evaluation import resampling
from tumorlens.evaluation.resampling import (
    Sampling,
    bootstrap,
    group_weights,
    interval,
    mean,
    named,
    plain,
    rounded,
)

Floats = NDArray[np.float64]


def clustered(seed: int, groups: int = 50, size: int = 8) -> tuple[Floats, list[str]]:
    """Right or wrong for each image, where patients differ: Beta(4, 1) accuracy each, mean 0.8."""
    generator = np.random.default_rng(seed)
    accuracy = generator.beta(4, 1, size=groups).repeat(size)
    right = (generator.random(groups * size) < accuracy).astype(float)
    return right, [f"P{i // size}" for i in range(groups * size)]


def mean_of(values: Floats, groups: list[str], seed: int = 0) -> tuple[float, float, float]:
    def statistic(weights: Floats) -> Floats:
        means: Floats = weights @ values / weights.sum(axis=1)
        return means[:, np.newaxis]

    return bootstrap(statistic, groups, Sampling(400, seed))[0]


def test_interval_of_groups_is_wider_than_that_of_images() -> None:
    right, groups = clustered(0)
    value, low, high = mean_of(right, groups)
    _, narrow_low, narrow_high = mean_of(right, [str(i) for i in range(len(right))])
    assert low < narrow_low < value < narrow_high < high
    assert high - low > 1.3 * (narrow_high - narrow_low)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = narrow = 0
    for seed in range(200):
        right, groups = clustered(seed)
        _, low, high = mean_of(right, groups, seed)
        covered += low <= 0.8 <= high
        _, low, high = mean_of(right, [str(i) for i in range(len(right))], seed)
        narrow += low <= 0.8 <= high
    assert 0.90 <= covered / 200 <= 0.99
    assert narrow < covered


def test_weights_are_whole_groups_and_reproducible() -> None:
    groups = ["b", "a", "b", "c", "a"]
    weights = np.concatenate(list(group_weights(groups, Sampling(300, 7))))
    assert weights.shape == (300, 5)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert (weights == np.concatenate(list(group_weights(groups, Sampling(300, 7))))).all()
    assert (weights != np.concatenate(list(group_weights(groups, Sampling(300, 8))))).any()


def test_undefined_resamples_are_left_out_without_a_warning() -> None:
    drawn = np.array([[np.nan, np.nan], [1.0, np.nan], [3.0, np.nan]])
    low, high = interval(drawn)
    assert 1.0 <= low[0] < high[0] <= 3.0
    assert np.isnan([low[1], high[1]]).all()


def test_too_few_groups_have_no_interval() -> None:
    value, low, high = mean_of(np.array([1.0, 0.0] * 9), [f"P{i // 2}" for i in range(18)])
    assert value == 0.5
    assert np.isnan([low, high]).all()


def test_the_interval_holds_the_middle_95_percent_of_the_resamples() -> None:
    drawn = np.column_stack([np.arange(1001.0), np.arange(1001.0)[::-1] / 10])
    low, high = interval(drawn)
    assert low == pytest.approx([25, 2.5])
    assert high == pytest.approx([975, 97.5])


@pytest.mark.parametrize(("groups", "has_one"), [(9, False), (10, True)])
def test_ten_groups_are_enough_for_an_interval(groups: int, has_one: bool) -> None:
    values = np.arange(float(groups))
    _, low, high = mean_of(values, [str(k) for k in range(groups)])
    assert np.isfinite([low, high]).all() == has_one


def test_the_mean_of_values_and_its_interval() -> None:
    values, groups = np.repeat([0.0, 1.0], 40), [f"P{k % 20}" for k in range(80)]
    found = mean(values, groups, Sampling(300, 1))
    assert found.value == 0.5
    assert (found.low, found.high) == (0.5, 0.5), "each group has as many of both"


def test_chunks_of_resamples_are_the_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many images there are, as many resamples are drawn; a few at a time."""
    groups = [str(k) for k in range(50)]
    whole = np.concatenate(list(group_weights(groups, Sampling(33, 2))))
    monkeypatch.setattr(resampling, "_CHUNK_ELEMENTS", 10 * 50)
    chunks = list(group_weights(groups, Sampling(33, 2)))
    assert [len(chunk) for chunk in chunks] == [10, 10, 10, 3]
    np.testing.assert_array_equal(np.concatenate(chunks), whole)


def test_estimates_are_named_and_undefined_numbers_are_null() -> None:
    groups = [str(k) for k in range(12)]
    found = named(
        ["one", "none"], lambda w: np.stack([np.ones(len(w)), np.full(len(w), np.nan)], 1), groups,
        Sampling(20),
    )  # fmt: skip
    assert rounded(found["one"]) == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert rounded(found["none"]) == {"value": None, "low": None, "high": None}


@pytest.mark.parametrize(
    ("value", "shown"), [(None, None), (float("nan"), None), (1 / 3, 0.333333), (2e-7, 0.0)]
)
def test_numbers_of_a_record_have_six_decimals(value: float | None, shown: float | None) -> None:
    assert plain(value) == shown

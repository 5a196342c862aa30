"""Shares are over the images that took part, with intervals over their groups."""

import numpy as np
import pytest

from tumorlens.evaluation.probes.result import (
    Probe,
    ProbeValues,
    Wanted,
    as_dict,
    pool,
    taking_part,
)
from tumorlens.evaluation.resampling import Sampling

PROBE = Probe(
    "p", "Title", "What is done.", {"x": Wanted("is so", "low")}, lambda _: ProbeValues({})
)


def test_images_that_take_no_part_do_not_count() -> None:
    first = ProbeValues({"x": np.array([1.0, np.nan, 0.0])})
    second = ProbeValues({"x": np.array([1.0])})
    found = pool(PROBE, [first, second], ["a", "b", "c", "c"], Sampling(100, 0))
    [rate] = found.rates
    assert (rate.images, rate.groups) == (3, 2)
    assert rate.estimate.value == pytest.approx(2 / 3)
    assert np.isnan(rate.estimate.low)  # too few groups


def test_nobody_takes_part() -> None:
    found = pool(PROBE, [ProbeValues({"x": np.full(4, np.nan)})], list("abcd"), Sampling(100, 0))
    assert found.rates[0].images == 0
    record = as_dict(found)
    assert record["rates"]["x"]["value"] is None
    assert record["rates"]["x"]["n"] == 0


def test_interval_holds_the_value() -> None:
    values = np.random.default_rng(0).integers(0, 2, 200).astype(float)
    groups = [f"g{i % 40}" for i in range(200)]
    [rate] = pool(PROBE, [ProbeValues({"x": values})], groups, Sampling(400, 0)).rates
    assert rate.estimate.low < rate.estimate.value < rate.estimate.high


def test_taking_part_fills_the_rest_with_nan() -> None:
    column = taking_part(4, np.array([1, 3]), np.array([True, False]))
    assert column[[1, 3]].tolist() == [1.0, 0.0]
    assert np.isnan(column[[0, 2]]).all()

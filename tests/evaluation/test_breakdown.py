"""Rates by value, each over its own images."""

import dataclasses

import numpy as np
import pytest

from tumorlens.datasets.manifest import Record
from tumorlens.evaluation import breakdown
from tumorlens.evaluation.resampling import Sampling
from tumorlens.labels import CLASSES

FEW = Sampling(100, 0)
GLIOMA, HEALTHY = CLASSES.index("glioma"), CLASSES.index("notumor")
PLAIN = Record("x", "glioma", "", "a", "", 1, 1, "L", "", "east")


def found(
    records: list[Record],
    rounds: list[str],
    labels: list[int],
    answers: list[int],
    sure: list[bool] | None = None,
) -> dict[str, breakdown.Breakdown]:
    answered = breakdown.Answered(
        np.array(labels),
        np.array(answers),
        np.array(sure or [True] * len(records)),
        [f"g{i}" for i in range(len(records))],
    )
    every = breakdown.breakdowns(records, rounds, answered, FEW)
    return {one.field: one for one in every}


def test_only_fields_that_differ() -> None:
    records = [PLAIN, dataclasses.replace(PLAIN, sequence="T2"), PLAIN]
    got = found(records, [""] * 3, [GLIOMA] * 3, [GLIOMA, HEALTHY, GLIOMA])
    assert list(got) == ["sequence"]
    rows = {row.value: row for row in got["sequence"].rows}
    assert list(rows) == [breakdown.UNKNOWN, "T2"]  # most images first
    assert rows["T2"].estimates["missed_tumor_rate"].value == 1.0
    assert rows[breakdown.UNKNOWN].estimates["accuracy"].value == 1.0
    assert np.isnan(rows["T2"].estimates["false_alarm_rate"].value)


def test_rates_by_source_and_the_skull() -> None:
    west = dataclasses.replace(PLAIN, source="west", skull_stripped="1")
    records = [PLAIN, PLAIN, west, west]
    got = found(records, [""] * 4, [GLIOMA, HEALTHY] * 2, [HEALTHY, HEALTHY, GLIOMA, GLIOMA])
    assert list(got) == ["source", "skull_stripped"]
    rows = {row.value: row for row in got["source"].rows}
    assert rows["east"].estimates["missed_tumor_rate"].value == 1.0
    assert rows["west"].estimates["false_alarm_rate"].value == 1.0
    assert [row.tumors for row in rows.values()] == [1, 1]
    assert {row.value for row in got["skull_stripped"].rows} == {"removed", breakdown.UNKNOWN}


def test_families_where_they_are_more_than_sources() -> None:
    records = [dataclasses.replace(PLAIN, source=name, family="brats") for name in "ab"]
    assert list(found(records, [""] * 2, [0, 0], [0, 0])) == ["source"]
    mixed = [*records, PLAIN]
    assert list(found(mixed, [""] * 3, [0] * 3, [0] * 3)) == ["source", "family"]


def test_folds_stay_in_order_with_their_mean() -> None:
    records, rounds = [PLAIN] * 5, ["fold 0", "fold 0", "fold 1", "fold 1", "fold 1"]
    got = found(records, rounds, [GLIOMA] * 5, [GLIOMA, HEALTHY, GLIOMA, GLIOMA, GLIOMA])
    folds = got["round"]
    assert [row.value for row in folds.rows] == ["fold 0", "fold 1"]
    assert folds.accuracies == [0.5, 1.0]
    assert folds.mean == 0.75
    assert folds.deviation == pytest.approx(0.5 / np.sqrt(2))
    assert breakdown.as_dict(folds)["fold 0"]["n"] == 2


def test_each_value_says_what_is_left_by_the_bars() -> None:
    west = dataclasses.replace(PLAIN, source="west")
    records = [PLAIN, PLAIN, west, west]
    truth, answers = [GLIOMA, HEALTHY, HEALTHY, HEALTHY], [HEALTHY, HEALTHY, GLIOMA, HEALTHY]
    got = found(records, [""] * 4, truth, answers, [False, True, True, True])["source"]
    east, other = (row.held_back for row in got.rows)
    assert (east.coverage, east.accuracy, east.missed_tumor_rate) == (0.5, 1.0, 0.0)
    assert (other.coverage, other.healthy_accuracy) == (1.0, 0.5)
    assert breakdown.as_dict(got)["west"]["held_back"]["missed_tumor_rate"] is None

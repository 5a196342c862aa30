"""Rates by value, each over its own images."""

import dataclasses

import numpy as np
import pytest

from tumorlens.datasets.manifest import Record
from tumorlens.evaluation import breakdown
from tumorlens.evaluation.resampling import Sampling
from tumorlens.inference.decision import Decisions
from tumorlens.labels import CLASSES

FEW = Sampling(100, 0)
GLIOMA, HEALTHY = CLASSES.index("glioma"), CLASSES.index("notumor")
PLAIN = Record("x", "glioma", "", "a", "", 1, 1, "L", "", "east")


def _decided(answers: list[int], confident: list[bool]) -> Decisions:
    label = np.where(confident, answers, -1).astype(np.int64)
    presence = np.where(label < 0, -1, label != HEALTHY).astype(np.int8)
    return Decisions(presence, label)


def found(
    records: list[Record],
    folds: list[str],
    labels: list[int],
    answers: list[int],
    confident: list[bool] | None = None,
) -> dict[str, breakdown.Breakdown]:
    answered = breakdown.Answered(
        np.array(labels),
        np.array(answers),
        _decided(answers, confident or [True] * len(records)),
        [f"g{i}" for i in range(len(records))],
    )
    every = breakdown.breakdowns(records, folds, answered, FEW)
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
    records, folds = [PLAIN] * 5, ["fold 0", "fold 0", "fold 1", "fold 1", "fold 1"]
    got = found(records, folds, [GLIOMA] * 5, [GLIOMA, HEALTHY, GLIOMA, GLIOMA, GLIOMA])
    by_fold = got["fold"]
    assert [row.value for row in by_fold.rows] == ["fold 0", "fold 1"]
    assert by_fold.accuracies == [0.5, 1.0]
    assert by_fold.mean == 0.75
    assert by_fold.deviation == pytest.approx(0.5 / np.sqrt(2))
    assert breakdown.as_dict(by_fold)["fold 0"]["n"] == 2


def test_each_value_says_what_is_left_by_the_bars() -> None:
    west = dataclasses.replace(PLAIN, source="west")
    records = [PLAIN, PLAIN, west, west]
    truth, answers = [GLIOMA, HEALTHY, HEALTHY, HEALTHY], [HEALTHY, HEALTHY, GLIOMA, HEALTHY]
    got = found(records, [""] * 4, truth, answers, [False, True, True, True])["source"]
    east, other = (row.abstention for row in got.rows)
    assert (east.coverage, east.accuracy, east.missed_tumor_rate) == (0.5, 1.0, 0.0)
    assert (other.coverage, other.healthy_accuracy) == (1.0, 0.5)
    assert breakdown.as_dict(got)["west"]["abstention"]["missed_tumor_rate"] is None

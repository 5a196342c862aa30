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
    heads = [dataclasses.replace(one, skull_stripped=one.skull_stripped or "0") for one in records]
    shown = found(heads, [""] * 4, [GLIOMA] * 4, [HEALTHY, HEALTHY, GLIOMA, GLIOMA])
    rates = {row.value: row.estimates["accuracy"].value for row in shown["skull_stripped"].rows}
    assert rates == {"shown": 0.0, "removed": 1.0}


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
    assert by_fold.deviation == pytest.approx(0.5 / np.sqrt(2))
    assert breakdown.as_dict(by_fold)["fold 0"]["n"] == 2


def test_each_value_says_what_is_left_by_the_bars() -> None:
    west = dataclasses.replace(PLAIN, source="west")
    records = [PLAIN, PLAIN, west, west]
    truth, answers = [GLIOMA, HEALTHY, HEALTHY, HEALTHY], [HEALTHY, HEALTHY, GLIOMA, HEALTHY]
    got = found(records, [""] * 4, truth, answers, [False, True, True, True])["source"]
    assert [row.tumors for row in got.rows] == [1, 0]
    east, other = (row.abstention for row in got.rows)
    assert (east.coverage, east.accuracy, east.missed_tumor_rate) == (0.5, 1.0, 0.0)
    assert (other.coverage, other.healthy_accuracy) == (1.0, 0.5)
    assert breakdown.as_dict(got)["west"]["abstention"]["missed_tumor_rate"] is None


def test_the_mean_of_the_folds_weighs_each_alike_and_has_an_interval_over_patients() -> None:
    count = 24
    folds = ["fold 0"] * 4 + ["fold 1"] * 20
    answers = [GLIOMA] * 2 + [HEALTHY] * 2 + [GLIOMA] * 20
    by_fold = found([PLAIN] * count, folds, [GLIOMA] * count, answers)["fold"]
    mean = by_fold.means["accuracy"]
    assert mean.value == 0.75
    assert mean.low < 0.75 < mean.high
    assert by_fold.means["missed_tumor_rate"].value == 0.25
    assert np.isnan(by_fold.means["false_alarm_rate"].value)


def test_only_folds_have_a_mean_and_one_row_has_no_deviation() -> None:
    west = dataclasses.replace(PLAIN, source="west")
    by_source = found([PLAIN, west], ["", ""], [GLIOMA] * 2, [GLIOMA] * 2)["source"]
    assert by_source.means == {}
    assert dataclasses.replace(by_source, rows=by_source.rows[:1]).deviation == 0.0


def test_values_with_most_images_come_first_and_each_has_its_patients() -> None:
    planes = ["axial", "sagittal", "sagittal", "coronal", "sagittal", "coronal"]
    records = [dataclasses.replace(PLAIN, plane=plane) for plane in planes]
    got = found(records, [""] * 6, [GLIOMA, HEALTHY] * 3, [GLIOMA] * 6)["plane"]
    assert [(row.value, row.images) for row in got.rows] == [
        ("sagittal", 3), ("coronal", 2), ("axial", 1),
    ]  # fmt: skip
    assert [row.groups for row in got.rows] == [3, 2, 1]
    assert got.title == "Plane"

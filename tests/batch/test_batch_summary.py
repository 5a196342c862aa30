"""What a batch says of itself, in numbers."""

from typing import Any

import pytest

from tumorlens.batch.columns import Tally
from tumorlens.batch.run import BatchFile, Report, RunFile
from tumorlens.batch.summary import sections, text

ABOUT = BatchFile("in", "key", "tiny 1.2", {"a": "growth", "b": "growth", "notumor": "none"})


def report(*runs: RunFile, **counted: Any) -> Report:
    return Report(about=ABOUT, tally=Tally(**counted), runs=runs)


def run(part: int, parts: int, **known: Any) -> RunFile:
    return RunFile(part=part, parts=parts, complete=True, **known)


def inputs(found: Report) -> dict[str, int]:
    (first, *_) = sections(found)
    return {line.what: line.number for line in first.lines}


def test_how_many_inputs_there_are_is_said_once_every_part_of_the_work_knows() -> None:
    one, two = run(1, 2, inputs=30, skipped=2), run(2, 2, inputs=40, skipped=2)
    assert inputs(report(one, two, inputs=70, rows=90)) == {
        "answered": 70, "found": 70, "rows": 90, "files that are not images": 2,
    }  # fmt: skip
    for some in ((one,), (one, RunFile(part=2, parts=2)), ()):
        assert "found" not in inputs(report(*some, inputs=30))
        assert not report(*some).complete


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(2.0, {"inputs per second": 15}), (100.0, {"inputs per minute": 18}), (0.0, {})],
)
def test_a_slow_batch_has_a_speed_too(seconds: float, told: dict[str, int]) -> None:
    found = inputs(report(run(1, 1, inputs=30, answered=30, seconds=seconds)))
    assert {what: number for what, number in found.items() if " per " in what} == told


def test_speeds_of_parts_add_up_and_those_that_answered_nothing_have_none() -> None:
    parts = run(1, 3, answered=30, seconds=60), run(2, 3, answered=60, seconds=60), run(3, 3)
    assert inputs(report(*parts))["inputs per minute"] == 90


def test_classes_of_the_same_name_are_counted_apart_and_what_is_empty_is_left_out() -> None:
    found = report(labels={"a": 1, "notumor": 2, "b": 1}, answers={"classified": 4})
    titled = {section.title: section.lines for section in sections(found)}
    assert list(titled) == ["Inputs", "Answers", "Classes, of those classified"]
    assert [tuple(line) for line in titled["Classes, of those classified"]] == [
        ("none", 2, "50.0%"), ("growth", 1, "25.0%"), ("growth", 1, "25.0%"),
    ]  # fmt: skip
    assert "  growth               1  25.0%\n" in text(found)


def test_refusals_and_errors_are_counted_apart_with_the_commonest_first() -> None:
    found = report(
        answers={"classified": 3, "rejected": 1},
        refused={"no head": 1},
        errors={"missing": 2, "corrupt": 2, "limit": 5},
    )
    titled = {section.title: [tuple(line) for line in section.lines] for section in sections(found)}
    assert titled["Answers"] == [("classified", 3, "75.0%"), ("rejected", 1, "25.0%")]
    assert titled["Refused"] == [("no head", 1, "100.0%")]
    assert titled["Errors"] == [
        ("limit", 5, "55.6%"), ("corrupt", 2, "22.2%"), ("missing", 2, "22.2%"),
    ]  # fmt: skip

"""A study goes on behind an input that ends its worker."""

import json

import pytest

from tumorlens.errors import CrashedError, DeadlineError, InputError, LimitExceededError
from tumorlens.isolation.frames import Message
from tumorlens.isolation.jobs import Outcome
from tumorlens.server import tasks
from tumorlens.server.predictor import _Study

FIRST = Message({"skipped": 2, "inputs": 4})


def at(place: int) -> Message:
    return Message({"at": place, "path": f"s.zip/{place}"})


def answer(place: int) -> Message:
    return tasks.part({"path": f"s.zip/{place}", "decision": "classified"})


def outcomes(study: _Study) -> list[tuple[str, str]]:
    return [(json.loads(record.json)["path"], record.outcome) for record in study.records]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (CrashedError("study: it ended"), "error_crashed"),
        (LimitExceededError("study: too much"), "error_limit"),
    ],
)
def test_what_ends_its_worker_is_passed_over(error: InputError, outcome: str) -> None:
    study = _Study(30.0)
    study.take(Outcome([FIRST, at(0), answer(0), at(1)], error))
    assert (study.goes_on, study.start) == (True, 2)
    study.take(Outcome([FIRST, at(2), answer(2), at(3), answer(3)]))
    assert not study.goes_on
    assert study.skipped == 2
    assert outcomes(study) == [
        ("s.zip/0", "classified"), ("s.zip/1", outcome), ("s.zip/2", "classified"),
        ("s.zip/3", "classified"),
    ]  # fmt: skip
    assert json.loads(study.records[1].json)["error"]["message"].startswith("s.zip/1: ")


def test_at_the_deadline_the_rest_is_named() -> None:
    study = _Study(30.0)
    study.take(Outcome([FIRST, at(0), answer(0), at(1)], DeadlineError("study: late")))
    assert not study.goes_on
    assert outcomes(study)[1:] == [("s.zip/1", "error_deadline"), ("study", "error_deadline")]
    assert (
        "2 of its 4 inputs were not read" in json.loads(study.records[2].json)["error"]["message"]
    )


@pytest.mark.parametrize("error", [CrashedError("study: it ended"), DeadlineError("study: late")])
def test_files_that_are_no_input_are_told_though_an_input_ends_its_worker(
    error: InputError,
) -> None:
    study = _Study(30.0)
    damaged = tasks.part({"path": "s.zip/b.zip", "error": {"kind": "corrupt", "message": ""}})
    study.take(Outcome([FIRST, damaged, at(3)], error))
    assert not study.goes_on
    assert [record.outcome for record in study.unusable] == ["error_corrupt"]


def test_what_ends_every_worker_is_given_up() -> None:
    study = _Study(30.0)
    crashes = 0
    while study.goes_on:
        study.take(
            Outcome(
                [Message({"skipped": 0, "inputs": 99}), at(study.start)], CrashedError("study: x")
            )
        )
        crashes += 1
    assert crashes == 8
    assert "91 of its 99 inputs" in json.loads(study.records[-1].json)["error"]["message"]


def test_a_study_that_cannot_even_be_listed() -> None:
    study = _Study(30.0)
    study.take(Outcome([], CrashedError("study: it ended")))
    assert not study.goes_on
    assert outcomes(study) == [("study", "error_crashed")]


def test_a_workers_answer_that_is_no_record_is_refused() -> None:
    for bad in (Message({"outcome": "DOE^JANE"}, (b"{}",)), Message({"outcome": "classified"})):
        with pytest.raises(ValueError, match="is not a record"):
            tasks.read_record(bad)

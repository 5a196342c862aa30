"""How much work the server accepts at a time, and what it says of the rest."""

import json
from http import HTTPStatus

import pytest

from tumorlens.server import problems, tasks
from tumorlens.server.admission import AdmissionControl
from tumorlens.server.problems import Problem
from tumorlens.server.settings import Limits

LIMITS = Limits(files=3, study_files=4, queue_images=4, body_bytes=60, queue_bytes=100)


@pytest.fixture
def control() -> AdmissionControl:
    return AdmissionControl(LIMITS)


def test_a_request_holds_its_images_and_bytes_until_it_ends(control: AdmissionControl) -> None:
    with control.ticket() as ticket:
        for _ in range(2):
            ticket.add_file()
            ticket.hold(30)
        assert (control.images, control.bytes) == (2, 60)
        ticket.free(30)
        assert (control.images, control.bytes) == (2, 30)
    assert (control.images, control.bytes) == (0, 0)


def test_a_request_that_fails_gives_back_what_it_holds(control: AdmissionControl) -> None:
    def work() -> None:
        with control.ticket() as ticket:
            ticket.add_file()
            ticket.hold(10)
            ticket.hold(100)

    with pytest.raises(Problem, match="busy"):
        work()
    assert (control.images, control.bytes) == (0, 0)


def test_files_of_a_study_are_one_image(control: AdmissionControl) -> None:
    with control.study_ticket() as study:
        for _ in range(4):
            study.add_file()
        assert (study.files, control.images) == (4, 1)
        with pytest.raises(Problem, match="too_large") as caught:
            study.add_file()
    assert caught.value.detail == "more than 4 files in one request"
    assert control.images == 0


def test_too_many_files_are_the_fault_of_the_request(control: AdmissionControl) -> None:
    ticket = control.ticket()
    for _ in range(3):
        ticket.add_file()
    with pytest.raises(Problem) as caught:
        ticket.add_file()
    assert caught.value.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert control.images == 3, "what is refused is not counted"


def test_a_full_queue_lets_nobody_in_until_there_is_room(control: AdmissionControl) -> None:
    one, other = control.ticket(), control.ticket()
    for _ in range(2):
        one.add_file()
        other.add_file()
    for enter in (one.add_file, control.ticket, control.study_ticket):
        with pytest.raises(Problem) as caught:
            enter()
        assert (caught.value.status, caught.value.kind) == (503, "busy")
        assert "images in the queue" in caught.value.detail
    with other:
        pass
    control.ticket().add_file()
    assert control.images == 3


def test_bytes_are_held_up_to_the_limit(control: AdmissionControl) -> None:
    ticket = control.ticket()
    ticket.hold(100)
    with pytest.raises(Problem, match="busy") as caught:
        ticket.hold(1)
    assert "bytes in memory" in caught.value.detail
    assert control.bytes == 100
    ticket.free(1)
    ticket.hold(1)


@pytest.mark.parametrize(
    ("problem", "status", "kind", "headers"),
    [
        (problems.busy("x"), 503, "busy", {"Retry-After": "2"}),
        (problems.no_worker(), 503, "no_worker", {"Retry-After": "2"}),
        (problems.stopped(), 503, "stopped", {"Retry-After": "2"}),
        (problems.no_room("full"), 507, "no_room", {}),
        (problems.too_large("x"), 413, "too_large", {}),
        (problems.malformed("x"), 400, "malformed", {}),
    ],
)
def test_a_client_that_may_come_back_is_told_when(
    problem: Problem, status: int, kind: str, headers: dict[str, str]
) -> None:
    response = problem.response()
    assert (response.status_code, response.media_type) == (status, "application/problem+json")
    body = json.loads(bytes(response.body))
    assert (body["type"], body["status"]) == (f"urn:tumorlens:problem:{kind}", status)
    assert body["title"] == HTTPStatus(status).phrase
    assert ("try again in 2 seconds" in body["detail"]) == bool(headers)
    assert {name: response.headers[name] for name in headers} == headers
    assert ("retry-after" in response.headers) == bool(headers)


def test_a_name_that_is_no_text_does_not_break_the_answer() -> None:
    response = problems.malformed("\udcff.png: ä").response()
    assert json.loads(bytes(response.body))["detail"] == "\udcff.png: ä"
    assert "ä".encode() in bytes(response.body)


@pytest.mark.parametrize(
    ("record", "outcome", "failed", "of_study"),
    [
        ({"decision": "detected"}, "detected", False, False),
        ({"decision": "abstained", "members": []}, "study_abstained", False, True),
        ({"error": {"kind": "corrupt"}, "decision": "x"}, "error_corrupt", True, False),
    ],
)
def test_a_record_is_counted_by_its_outcome(
    record: tasks.Record, outcome: str, failed: bool, of_study: bool
) -> None:
    read = tasks.read_record(tasks.part(record))
    assert (read.outcome, read.failed, read.of_study) == (outcome, failed, of_study)
    assert read.record() == record

"""Studies that end, fill or hold the process that reads them are set aside; others go on."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.pacs.machines import until

from tumorlens.pacs import operate
from tumorlens.pacs.answering import IsolatedAnswerer
from tumorlens.pacs.journal import Journal
from tumorlens.pacs.spool import FAILED, RECEIVING, SENT, Spool
from tumorlens.pacs.worker import Worker


class _Nowhere:
    def send(self, path: Path, sop_class_uid: str) -> None:
        pass


@pytest.fixture
def answerer(monkeypatch: pytest.MonkeyPatch) -> Iterator[IsolatedAnswerer]:
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    made = IsolatedAnswerer("", 3.0, 1 << 30, service="tests.pacs.services:make")
    yield made
    made.close()


def _work(spool: Spool, answerer: IsolatedAnswerer, journal: Journal | None = None) -> None:
    """Until nothing is left to be tried."""
    one = Worker(
        spool, answerer.answer, _Nowhere(), quiet_s=0, keep_s=3600, retry_s=0.01, journal=journal
    )

    def finished() -> bool:
        one.once()
        return RECEIVING not in spool.counts()

    until(finished)


def test_each_is_set_aside_with_its_reason_and_the_others_are_answered(
    spool: Spool, answerer: IsolatedAnswerer, caplog: pytest.LogCaptureFixture
) -> None:
    words = ["abort", "good", "hang", "good", "memory", "fault", "good"]
    for number, word in enumerate(words):
        spool.accept(f"1.{number}", f"1.{number}.1", word.encode())
    journal = Journal()
    _work(spool, answerer, journal)
    found = {one.study: one for one in operate.statuses(spool)}
    said = [found[spool.key(f"1.{number}")] for number in range(len(words))]
    assert [one.state for one in said] == [SENT if word == "good" else FAILED for word in words]
    assert [one.attempts for one in said] == [2, 0, 2, 0, 2, 5, 0]
    assert [one.reason for one in said if one.reason] == [
        "it crashed the process that read it",
        "reading it took too long, and was stopped",
        "reading it needs too much memory",
        "WorkerFaultError",
    ]
    assert journal.counts()["worker_replaced"] == 6
    assert journal.counts()["set_aside"] == 4
    assert "Nobody" not in caplog.text


def test_a_process_that_was_killed_from_outside_is_replaced(
    spool: Spool, answerer: IsolatedAnswerer
) -> None:
    (before,) = answerer.pids
    os.kill(before, signal.SIGKILL)
    spool.accept("1.2", "1.2.1", b"good")
    _work(spool, answerer)
    assert spool.counts() == {SENT: 1}
    assert before not in answerer.pids


@pytest.mark.parametrize(
    ("kills", "reason"), [(10, None), (20, "the process ended in each of them")]
)
def test_a_node_that_is_killed_often_sets_the_study_at_work_aside(
    spool: Spool, answerer: IsolatedAnswerer, kills: int, reason: str | None
) -> None:
    spool.accept("1.2", "1.2.1", b"good")
    for _ in range(kills):  # while it was at work
        (one,) = spool.due(0)
        spool.begin(one)
    _work(spool, answerer)
    (status,) = operate.statuses(spool)
    assert (status.state, status.reason) == ((FAILED, reason) if reason else (SENT, ""))

"""Studies that end, fill or hold the process that reads them are set aside; others go on."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.pacs.machines import until

from tumorlens.pacs import operate, worker
from tumorlens.pacs.answering import IsolatedAnswerer
from tumorlens.pacs.journal import Journal
from tumorlens.pacs.spool import FAILED, RECEIVING, SENT, Spool


class _Nowhere:
    def send(self, path: Path, sop_class_uid: str) -> None:
        pass


@pytest.fixture
def answerer(monkeypatch: pytest.MonkeyPatch) -> Iterator[IsolatedAnswerer]:
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    made = IsolatedAnswerer("", 1, 3.0, 1 << 30, service="tests.pacs.services:make")
    yield made
    made.close()


def _work(spool: Spool, answerer: IsolatedAnswerer, journal: Journal | None = None) -> None:
    """Until nothing is left to be tried."""
    one = worker.Worker(
        spool, None, _Nowhere(), quiet_s=0, keep_s=3600, retry_s=0.01, answerer=answerer,
        journal=journal,
    )  # fmt: skip

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
        "it ended the process that read it",
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


def _one_start(folder: str, poison: str) -> None:
    spool = Spool(Path(folder))

    def read(path: Path) -> Any:  # stands for what the reader does to such a file
        if path.name == spool.key(poison):
            os._exit(139)
        return SimpleNamespace(failures=[], own=0, images=[])

    setattr(worker, "read_study", read)  # noqa: B010  (it stands for another)
    worker.Worker(spool, None, _Nowhere(), quiet_s=0, keep_s=3600).once()


def test_without_a_worker_process_it_is_set_aside_after_five_starts(spool: Spool) -> None:
    spool.accept("1.2.3", "1.2.3.1", b"poison")
    spool.accept("1.2.4", "1.2.4.1", b"good")
    states = []
    for _ in range(6):
        start = multiprocessing.get_context("spawn").Process(
            target=_one_start, args=(str(spool.folder), "1.2.3")
        )
        start.start()
        start.join()
        states.append([(one.state, one.attempts) for one in operate.statuses(spool)])
    # The good one is answered at the second start: what ended the process is tried last.
    assert states[1] == [(RECEIVING, 2), (SENT, 0)]
    assert states[-1] == [(FAILED, 5), (SENT, 0)]
    assert operate.statuses(spool)[0].reason == "the process ended in each of them"


def test_a_node_that_is_killed_does_not_blame_the_study_at_work(
    spool: Spool, answerer: IsolatedAnswerer
) -> None:
    spool.accept("1.2", "1.2.1", b"good")
    for _ in range(10):  # as many kills of the node while it was at work
        (one,) = spool.due(0)
        spool.begin(one)
    _work(spool, answerer)
    assert spool.counts() == {SENT: 1}

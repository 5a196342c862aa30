"""Jobs that hang, grow, die or fail, in real processes."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tumorlens.errors import CrashedError, DeadlineError, LimitExceededError
from tumorlens.isolation import pool as pool_module
from tumorlens.isolation.frames import Message
from tumorlens.isolation.jobs import Outcome
from tumorlens.isolation.pool import NoWorkerError, Pool, PoolSettings, WorkerFaultError
from tumorlens.isolation.process import WorkerStartError

Begin = Callable[..., Pool]
SERVICE = "tests.isolation.handlers:make"
PATIENCE = 300
"""Seconds: not how long anything should take, but when to call it lost."""


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Starts pools, and closes them in the end."""
    with ExitStack() as stack:

        def start(**settings: Any) -> Pool:
            pool = Pool(SERVICE, Message({}), PoolSettings(**settings))
            pool.start()
            stack.enter_context(closing(pool))
            return pool

        yield start


def ask(pool: Pool, *steps: dict[str, Any], seconds: float = 30.0, **more: Any) -> Any:
    request = Message({"steps": list(steps)}, more.pop("blobs", ()))
    return pool.submit(request, source="a.dcm", seconds=seconds, **more)


def outcome(pool: Pool, *steps: dict[str, Any], **more: Any) -> Outcome:
    found: Outcome = ask(pool, *steps, **more).result(PATIENCE)
    return found


def _at_work(pool: Pool, asked: "Future[Outcome]") -> int:
    """The process that has used some time for a job; 0 once the job is done."""
    while not asked.done():
        for running in list(pool._running):
            used = running.process.cpu_seconds()
            if used is None or used > (running.cpu_since or 0):
                return running.process.pid
        time.sleep(0.01)
    return 0


def _has_ended(pid: int) -> bool:
    """Its pipes are closed only then: its memory is given back earlier."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def test_parts_and_bytes_come_back(begin: Begin) -> None:
    pool = begin(quick=1, slow=0, spare=0)
    found = outcome(pool, {"say": "\udcff"}, {"say": 2}, blobs=(b"\0" * 300_000, b""))
    assert [part.content["did"] for part in found.parts] == ["say", "say"]
    assert found.parts[1].blobs == (b"\0" * 300_000, b"")
    assert found.error is None


def test_a_job_that_hangs_is_ended_at_its_deadline_and_only_that(begin: Begin) -> None:
    pool = begin(quick=1, slow=0, spare=0)
    late = ask(pool, {"say": 1}, {"spin": 600}, seconds=0.5)
    after = ask(pool, {"say": 1})
    found = late.result(PATIENCE)
    assert isinstance(found.error, DeadlineError)
    assert str(found.error) == "a.dcm: reading it took more than 0.5 s and was stopped"
    assert [part.content["did"] for part in found.parts] == ["say", "spin"]
    assert after.result(PATIENCE).error is None


def test_a_job_that_ends_its_process_costs_only_itself(begin: Begin) -> None:
    pool = begin(quick=1, slow=0, spare=0)
    jobs = [ask(pool, step) for step in ({"say": 1}, {"die": 0}, {"say": 1})]
    first, crashed, last = (job.result(PATIENCE) for job in jobs)
    assert isinstance(crashed.error, CrashedError)
    assert first.error is last.error is None
    assert first.parts[0].content["pid"] != last.parts[0].content["pid"]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux")
def test_a_job_that_takes_too_much_memory_is_refused(begin: Begin) -> None:
    pool = begin(quick=1, slow=0, spare=0, memory_bytes=300 << 20)
    assert outcome(pool, {"take": 200}).error is None
    found = outcome(pool, {"take": 400})
    assert isinstance(found.error, LimitExceededError)
    assert "300 MiB" in str(found.error)
    assert outcome(pool, {"take": 200}).error is None


def test_a_fault_tells_its_place_and_not_its_words(begin: Begin) -> None:
    pool = begin(quick=1, slow=0, spare=0)
    with pytest.raises(WorkerFaultError, match=r"ValueError at _fail:\d+ < handle") as caught:
        outcome(pool, {"fail": "DOE^JANE"})
    assert "DOE" not in str(caught.value)
    assert outcome(pool, {"say": 1}).error is None


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_a_process_that_died_while_idle_is_replaced(begin: Begin) -> None:
    pool = begin(quick=1, slow=0, spare=0)
    outcome(pool, {"say": 1})
    (pid,) = pool.pids
    os.kill(pid, signal.SIGKILL)
    while not _has_ended(pid):
        time.sleep(0.01)
    assert outcome(pool, {"say": 1}).error is None


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_job_whose_process_is_killed_from_outside_is_begun_again(begin: Begin) -> None:
    pool = begin(quick=1, slow=0, spare=0)
    asked = ask(pool, {"spin": 2}, seconds=PATIENCE)
    os.kill(_at_work(pool, asked), signal.SIGKILL)
    found = asked.result(PATIENCE)
    assert found.error is None
    assert len(found.parts) == 1


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_job_whose_processes_are_all_killed_is_given_up(begin: Begin) -> None:
    pool = begin(quick=1, slow=0, spare=0)
    asked = ask(pool, {"spin": PATIENCE}, seconds=PATIENCE)
    killed: set[int] = set()
    while pid := _at_work(pool, asked):
        if pid not in killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        time.sleep(0.01)
    assert len(killed) == 3
    error = asked.result().error
    assert isinstance(error, CrashedError)
    assert "memory ran out" in str(error)


@pytest.mark.skipif(os.name == "nt", reason="processes of a service are told to end on POSIX")
def test_a_worker_that_is_told_to_end_finishes_its_job(begin: Begin) -> None:
    pool = begin(quick=1, slow=0, spare=0)
    asked = ask(pool, {"spin": 1}, seconds=PATIENCE)
    pid = _at_work(pool, asked)
    os.kill(pid, signal.SIGTERM)
    assert asked.result(PATIENCE).parts[0].content["pid"] == pid


def test_while_no_process_can_be_started_jobs_wait_a_while(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = begin(quick=1, slow=0, spare=0)
    (pid,) = pool.pids
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/nowhere/python")
        os.kill(pid, signal.SIGKILL)
        asked = ask(pool, {"say": 1})
        while pool.pids:
            time.sleep(0.01)
        assert not asked.done()
    assert asked.result(PATIENCE).error is None
    monkeypatch.setattr(pool_module, "_NO_PROCESS_SECONDS", 0.0)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    os.kill(pool.pids[0], signal.SIGKILL)
    with pytest.raises(NoWorkerError):
        outcome(pool, {"say": 1})


def test_what_is_quick_passes_what_is_slow(begin: Begin) -> None:
    """Three jobs hang, two processes are there and a slow lane for one: others still have turns."""
    pool = begin(quick=1, slow=1, spare=0, quick_seconds=0.2)
    hanging = [ask(pool, {"spin": 600}, seconds=600, turn=("bad", k)) for k in range(3)]
    for number in range(3):
        assert outcome(pool, {"say": 1}, turn=("good", number)).error is None
    assert not any(job.done() for job in hanging)
    for job in hanging:
        job.cancel()


def test_a_long_job_is_done_although_it_was_stopped_once(begin: Begin) -> None:
    pool = begin(quick=1, slow=1, spare=0, quick_seconds=0.1)
    long = [ask(pool, {"spin": 1.0}, turn=("a", k)) for k in range(3)]
    short = [ask(pool, {"say": 1}, turn=("b", k)) for k in range(3)]
    assert all(job.result(PATIENCE).error is None for job in [*short, *long])


def test_cancelled_jobs_free_their_process(begin: Begin) -> None:
    pool = begin(quick=1, slow=0, spare=0, quick_seconds=0.1)
    running = ask(pool, {"spin": 600}, seconds=600)
    waiting = ask(pool, {"spin": 600}, seconds=600)
    after = ask(pool, {"say": 1})
    assert running.cancel()
    assert waiting.cancel()
    assert after.result(PATIENCE).error is None


def test_a_service_that_cannot_be_used_says_why() -> None:
    with pytest.raises(WorkerStartError, match="it cannot be used"):
        Pool(SERVICE, Message({"broken": True}), PoolSettings(quick=1, slow=0, spare=0)).start()


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        (signal.SIGKILL, "ended as it started (killed, perhaps because memory ran out)"),
        (signal.SIGSEGV, f"ended as it started (exit -{signal.SIGSEGV:d})"),
    ],
)
def test_a_worker_that_ends_as_it_starts_says_how(ends: signal.Signals, words: str) -> None:
    with pytest.raises(WorkerStartError) as caught:
        Pool(SERVICE, Message({"ends": int(ends)}), PoolSettings(quick=1, slow=0, spare=0)).start()
    assert str(caught.value).endswith(words)


def test_closing_cancels_what_is_not_done(begin: Begin) -> None:
    pool = begin(quick=1, slow=0, spare=0)
    jobs = [ask(pool, {"spin": 600}, seconds=600) for _ in range(2)]
    pool.close()
    assert all(job.cancelled() for job in jobs)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_workers_end_with_whoever_started_them(begin: Begin) -> None:
    """Their input ends when the parent is killed, whatever it had no time to do."""
    pool = begin(quick=1, slow=0, spare=0)
    (process,) = pool._processes
    assert process._process.stdin is not None
    process._process.stdin.close()
    assert process._process.wait(30) == 0

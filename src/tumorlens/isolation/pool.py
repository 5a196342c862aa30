"""A few worker processes, and the order in which jobs use them.

A job begins in the quick lane. If it takes longer than ``quick_seconds`` while other jobs wait, it
moves to the slow lane, which has room for few. So long jobs, accidental or intended, never occupy
all processes. If the slow lane is full, the job is stopped and begins again there later, once.
Clients take turns, and so do the requests of a client. At its deadline, a job is ended together
with its process, which is then replaced.
"""

import logging
import threading
import time
from concurrent.futures import Future
from typing import Any, Final

import msgspec

from tumorlens.errors import CrashedError, DeadlineError, InputError, LimitExceededError
from tumorlens.isolation import worker
from tumorlens.isolation.frames import Message
from tumorlens.isolation.jobs import Job, Outcome, Running, fail, succeed, with_limit
from tumorlens.isolation.process import WorkerDiedError, WorkerProcess, WorkerStartError
from tumorlens.isolation.turns import Turn, Turns

LOG: Final = logging.getLogger(__name__)
MIB: Final = 1 << 20
_RESTART_SECONDS: Final = 1.0
_LOOK_AGAIN_SECONDS: Final = 0.05
_STARVED: Final = 6.0
"""Times ``quick_seconds`` after which a job counts as long even if it got little CPU time."""
_MOST_KILLS: Final = 2
"""Times that a job begins again after its process was killed, perhaps for lack of memory."""
_NO_PROCESS_SECONDS: Final = 10.0
"""Longest time that jobs wait while no process can be started."""
_QUICK: Final = "quick"
_SLOW: Final = "slow"
_DEADLINE: Final = "deadline"
_CANCELLED: Final = "cancelled"
_EVICTED: Final = "evicted"
_CLOSED: Final = "closed"


class PoolSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Number of processes, and limits of each."""

    quick: int = 2
    """Jobs in the quick lane."""
    slow: int = 1
    """Jobs in the slow lane while others wait for the quick one; 0: there is no slow lane."""
    spare: int = 1
    """Additional processes, so that work continues while one is replaced."""
    quick_seconds: float = 0.5
    """CPU time that a job may use while others wait."""
    memory_bytes: int = 2048 * MIB
    """Memory that a job may take in its process."""


class WorkerFaultError(Exception):
    """A fault of the handler, or no worker process; the input is not to blame."""


class NoWorkerError(WorkerFaultError):
    """No worker process can be started; the log says why."""


class Pool:
    """Runs jobs in worker processes. Safe to share between threads."""

    def __init__(
        self, service: str, options: Message, settings: PoolSettings | None = None
    ) -> None:
        """``service`` is ``module:factory``; see ``worker.Factory``, which gets ``options``."""
        self._settings = settings = settings or PoolSettings()
        content = {
            "service": service, "options": options.content, "memory_bytes": settings.memory_bytes
        }  # fmt: skip
        self._setup = Message(content, options.blobs)
        self._changed = threading.Condition()
        self._waiting: dict[str, Turns[Job]] = {_QUICK: Turns(), _SLOW: Turns()}
        self._running: list[Running] = []
        self._processes: set[WorkerProcess] = set()
        self._failed: WorkerStartError | None = None
        self._failing_since: float | None = None
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, name="isolation", daemon=True)
            for _ in range(settings.quick + settings.slow + settings.spare)
        ]
        self._threads.append(threading.Thread(target=self._watch, name="deadlines", daemon=True))

    def start(self) -> None:
        """Start the processes and wait for the first; raise ``WorkerStartError``."""
        for thread in self._threads:
            thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._processes or self._failed)
            if not self._processes and self._failed is not None:
                failed = self._failed
            else:
                return
        self.close()
        raise failed

    def close(self) -> None:
        """End all processes, and cancel unanswered jobs."""
        with self._changed:
            self._closed = True
            for lane in self._waiting.values():
                while lane:
                    lane.pop().future.cancel()
            for running in self._running:
                self._end(running, _CLOSED)
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def submit(
        self, request: Message, *, source: str, seconds: float, turn: Turn = ("", "")
    ) -> "Future[Outcome]":
        """Run ``request``; ``source`` begins the message of its error.

        It ends ``seconds`` after it has begun, or soon after its future was cancelled. The future
        raises ``WorkerFaultError`` for a fault of the handler.
        """
        job = Job(request, source, seconds, turn)
        with self._changed:
            if self._closed:
                raise RuntimeError("the pool is closed")
            self._waiting[_QUICK].push(turn, job)
            self._changed.notify_all()
        job.future.add_done_callback(lambda _: self._forget(job))
        return job.future

    @property
    def pids(self) -> list[int]:
        """The processes that are ready."""
        with self._changed:
            return [process.pid for process in self._processes]

    # Run by threads that have one process each.

    def _serve(self) -> None:
        process: WorkerProcess | None = None
        while True:
            if process is None:
                process = self._started()
            running = self._next(process) if process else None
            if process is None or running is None:
                break
            if not self._work(running):
                self._drop(process)
                process = None
        if process is not None:
            self._drop(process)

    def _started(self) -> WorkerProcess | None:
        """A process that is ready; None where the pool is closed."""
        while not self._closed:
            try:
                process = WorkerProcess(self._setup)
            except (WorkerStartError, OSError) as error:
                self._note_failure(error)
                continue
            with self._changed:
                self._processes.add(process)
                self._failing_since = None
                self._changed.notify_all()
            return process
        return None

    def _note_failure(self, error: WorkerStartError | OSError) -> None:
        """Wait a little; after some time without any process, give up all waiting jobs."""
        failed = error if isinstance(error, WorkerStartError) else WorkerStartError(str(error))
        LOG.error("a worker process could not be started: %s", failed)
        with self._changed:
            self._failed = failed
            if not self._processes:
                now = time.monotonic()
                self._failing_since = self._failing_since or now
                if now - self._failing_since >= _NO_PROCESS_SECONDS:
                    self._give_up()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed, _RESTART_SECONDS)

    def _give_up(self) -> None:
        for lane in self._waiting.values():
            while lane:
                fail(lane.pop(), NoWorkerError("no worker process can be started"))

    def _drop(self, process: WorkerProcess) -> None:
        with self._changed:
            self._processes.discard(process)
        process.close()

    def _next(self, process: WorkerProcess) -> Running | None:
        """Wait for a job; None where the pool is closed."""
        with self._changed:
            while not self._closed:
                if (lane := self._lane()) is not None:
                    job = self._waiting[lane].pop()
                    now, cpu = time.monotonic(), process.cpu_seconds()
                    running = Running(job, process, lane, now, cpu)
                    self._running.append(running)
                    self._changed.notify_all()
                    return running
                self._changed.wait()
        return None

    def _lane(self) -> str | None:
        """The lane whose next job may begin."""
        quick, slow = self._waiting[_QUICK], self._waiting[_SLOW]
        settings, in_quick, in_slow = self._settings, self._count(_QUICK), self._count(_SLOW)
        if quick and in_quick + max(0, in_slow - settings.slow) < settings.quick:
            return _QUICK
        # While no job waits for the quick lane, slow jobs may use it too, except for one process.
        more = 0 if quick else max(0, settings.quick - 1 - in_quick)
        return _SLOW if slow and in_slow < settings.slow + more else None

    def _count(self, lane: str) -> int:
        return sum(running.lane == lane for running in self._running)

    def _work(self, running: Running) -> bool:
        """Do one job; return whether the process can be used again."""
        job, process = running.job, running.process
        parts: list[Message] = []
        try:
            process.send(with_limit(job))
        except WorkerDiedError:
            # It may have died while idle, which is no fault of this job unless it happens again.
            return self._finish(running, None, [], again=job.kills < _MOST_KILLS)
        try:
            while (message := process.receive()).content.get("kind") == worker.PART:
                parts.append(Message(message.content["part"], message.blobs))
            last = message.content
            if last.get("kind") != worker.END:
                process.receive()  # its END
        except (WorkerDiedError, KeyError):
            again = job.kills < _MOST_KILLS and process.was_killed()
            return self._finish(running, None, parts, again=again)
        return self._finish(running, last, parts)

    def _finish(
        self,
        running: Running,
        last: dict[str, Any] | None,
        parts: list[Message],
        *,
        again: bool = False,
    ) -> bool:
        """Answer the job, or let it begin again; return whether the process can be used again."""
        job = running.job
        with self._changed:
            self._running.remove(running)
            verdict = running.verdict
            if last is None and (verdict == _EVICTED or (again and verdict is None)):
                lane = _SLOW if verdict == _EVICTED else running.lane
                job.kills += verdict is None
                if not job.future.done() and not self._closed:
                    self._waiting[lane].push(job.turn, job, first=True)
                    self._changed.notify_all()
                    return False
            self._changed.notify_all()
        if verdict == _CLOSED and last is None:
            job.future.cancel()
        elif last is not None and last.get("kind") == worker.FAULT:
            fail(job, WorkerFaultError(str(last.get("fault"))))
        else:
            succeed(job, Outcome(parts, self._error(job, last, verdict)))
        return verdict is None and last is not None and _is_reusable(last)

    def _error(
        self, job: Job, last: dict[str, Any] | None, verdict: str | None
    ) -> InputError | None:
        if last is not None and last.get("kind") == worker.END:
            return None
        if last is not None:
            mib = self._settings.memory_bytes // MIB
            return LimitExceededError(f"{job.source}: reading it needs more than {mib:,} MiB")
        if verdict == _DEADLINE:
            return DeadlineError(
                f"{job.source}: reading it took more than {job.seconds:g} s and was stopped"
            )
        if job.kills >= _MOST_KILLS:
            return CrashedError(
                f"{job.source}: the process that read it was killed several times, perhaps because "
                "memory ran out"
            )
        return CrashedError(f"{job.source}: the process that read it crashed; the file is damaged")

    # Run by the thread that watches the clock.

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                for running in self._running:
                    self._check(running, now)
                self._make_room(now)
                # With the same time: a deadline in between would be missed.
                self._changed.wait(self._until_next(now))

    def _check(self, running: Running, now: float) -> None:
        """End a job at its deadline, or one that was cancelled.

        A cancelled one gets some time to finish: a new process would cost more.
        """
        elapsed = now - running.since
        if elapsed >= running.job.seconds:
            self._end(running, _DEADLINE)
        elif running.job.future.cancelled() and elapsed >= self._settings.quick_seconds:
            self._end(running, _CANCELLED)

    def _make_room(self, now: float) -> None:
        """Move long jobs out of the quick lane, one for each waiting job."""
        waiting = self._waiting[_QUICK]
        if not waiting or not self._settings.slow or self._lane() == _QUICK:
            return
        quick = [running for running in self._running if running.lane == _QUICK]
        needed = len(waiting) - sum(running.verdict is not None for running in quick)
        for running in quick:
            long = self._is_long(running, now)
            if not long or running.verdict is not None or not waiting.has_other(running.job.turn):
                continue
            if needed <= 0:
                return
            needed -= 1
            if self._count(_SLOW) < self._settings.slow:
                running.lane = _SLOW
                self._changed.notify_all()
            else:
                self._end(running, _EVICTED)

    def _is_long(self, running: Running, now: float) -> bool:
        """Whether it has used much CPU time; on a busy machine even quick jobs last long."""
        quick, elapsed = self._settings.quick_seconds, now - running.since
        used = running.process.cpu_seconds() if elapsed >= quick else None
        if used is None or running.cpu_since is None:
            return elapsed >= quick
        return used - running.cpu_since >= quick or elapsed >= _STARVED * quick

    def _until_next(self, now: float) -> float | None:
        """Seconds until a job has to be checked again."""
        times = []
        for running in self._running:
            if running.verdict is None:
                times.append(running.since + running.job.seconds - now)
                quick = running.since + self._settings.quick_seconds - now
                if quick > 0 or self._waiting[_QUICK]:
                    times.append(max(quick, _LOOK_AGAIN_SECONDS))
        return max(0.0, min(times)) if times else None

    @staticmethod
    def _end(running: Running, verdict: str) -> None:
        if running.verdict is None:
            running.verdict = verdict
            running.process.kill()

    def _forget(self, job: Job) -> None:
        """Called when a future is done: a cancelled job is not begun."""
        with self._changed:
            for lane in self._waiting.values():
                lane.remove(job.turn, job)
            self._changed.notify_all()


def _is_reusable(last: dict[str, Any]) -> bool:
    return last.get("kind") in (worker.END, worker.FAULT) and not last.get("retire")

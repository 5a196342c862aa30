"""Jobs for worker processes, and their outcomes."""

import contextlib
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tumorlens.errors import InputError
from tumorlens.isolation.frames import Message
from tumorlens.isolation.process import WorkerProcess
from tumorlens.isolation.turns import Turn

_CPU_SECONDS_MORE: Final = 5.0


class Outcome(NamedTuple):
    """The outcome of a job."""

    parts: list[Message]
    """The handler's answers so far."""
    error: InputError | None = None
    """``DeadlineError``, ``CrashedError`` or ``LimitExceededError`` (memory) where it was not
    finished."""


@dataclass(eq=False, slots=True)
class Job:
    """A request, its client and its time limit."""

    request: Message
    source: str
    seconds: float
    turn: Turn
    future: "Future[Outcome]" = field(default_factory=Future)
    kills: int = 0
    """Times that it began again because its process was killed from outside."""


@dataclass(eq=False, slots=True)
class Running:
    """A job in a process."""

    job: Job
    process: WorkerProcess
    lane: str
    since: float
    cpu_since: float | None
    """CPU time that the process had used before."""
    verdict: str | None = None
    """Why it was ended."""


def with_limit(job: Job) -> Message:
    """The request with the CPU time that its process may take."""
    cpu_seconds = job.seconds + _CPU_SECONDS_MORE
    content = {"request": job.request.content, "cpu_seconds": cpu_seconds}
    return Message(content, job.request.blobs)


def succeed(job: Job, outcome: Outcome) -> None:
    """Answer a job, unless it was cancelled."""
    with contextlib.suppress(InvalidStateError):
        job.future.set_result(outcome)


def fail(job: Job, error: Exception) -> None:
    """End a job with a fault that is not its input's, unless it was cancelled."""
    with contextlib.suppress(InvalidStateError):
        job.future.set_exception(error)

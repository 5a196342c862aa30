"""One worker process, from the side of the process that started it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Final

from tumorlens.errors import TumorlensError
from tumorlens.isolation import frames, worker
from tumorlens.isolation.frames import BrokenFrameError, Message

_START_SECONDS: Final = 120.0
_END_SECONDS: Final = 5.0
"""Longest time to wait for an exit status: pipes are closed before it is known."""
_ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
"""The processes are the parallelism."""


class WorkerStartError(TumorlensError):
    """No worker process can be started; the message says why."""

    kind = "worker"


class WorkerDiedError(Exception):
    """It ended, or was ended, before it answered."""


class WorkerProcess:
    """A process that handles one request at a time. ``kill`` may be called by any thread."""

    def __init__(self, setup: Message) -> None:
        """Start it and wait until it is ready; raise ``WorkerStartError`` where it is not.

        ``setup`` has ``service`` (``module:factory``), ``options`` and ``memory_bytes``.
        """
        # -P: the current folder may be a patient's; nothing must be imported from it. Its own
        # session: Ctrl-C must not end a running answer. No error stream: it may name a patient.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tumorlens.isolation.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, **_ONE_THREAD}, start_new_session=True,
        )  # fmt: skip
        patience = threading.Timer(_START_SECONDS, self.kill)
        patience.start()
        try:
            self._await_ready(setup)
        except BaseException:
            self.close()
            raise
        finally:
            patience.cancel()

    def _await_ready(self, setup: Message) -> None:
        try:
            self.send(setup)
            message = self.receive()
        except WorkerDiedError as error:
            code = self._process.wait()
            why = "killed, perhaps because memory ran out" if self.was_killed() else f"exit {code}"
            raise WorkerStartError(f"a worker process ended as it started ({why})") from error
        if message.content.get("kind") != worker.READY:
            raise WorkerStartError(str(message.content.get("message", "no worker process")))

    @property
    def pid(self) -> int:
        """ID of the process."""
        return self._process.pid

    def was_killed(self) -> bool:
        """Whether it was killed from outside: by the system for lack of memory, or by a person.

        A crash of a decoder gives other signals. False while it still runs.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(_END_SECONDS)
            return os.name != "nt" and code == -signal.SIGKILL
        return False

    def send(self, message: Message) -> None:
        """Hand over a message; raise ``WorkerDiedError``."""
        try:
            frames.write(_open(self._process.stdin), message)
        except (OSError, ValueError) as error:
            raise WorkerDiedError from error

    def receive(self) -> Message:
        """Wait for a message; raise ``WorkerDiedError``."""
        try:
            message = frames.read(_open(self._process.stdout))
        except (OSError, ValueError, BrokenFrameError) as error:
            raise WorkerDiedError from error
        if message is None:
            raise WorkerDiedError
        return message

    def cpu_seconds(self) -> float | None:
        """CPU time that it has used; None where that is not known (no ``/proc``)."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text("ascii")
            fields = stat.rpartition(")")[2].split()  # behind the name, which may hold anything
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return None

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(OSError):
            self._process.kill()

    def close(self) -> None:
        """End it and close its pipes; only for the thread that sends and receives."""
        self.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                _open(stream).close()


def _open(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("no pipe")
    return stream

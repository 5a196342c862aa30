"""The engine of one machine: a process for each core, watched, and replaced when it dies."""

import queue
import threading
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tumorlens.batch.columns import Tally
from tumorlens.batch.items import Chunk
from tumorlens.batch.worker import Setup
from tumorlens.errors import BatchError
from tumorlens.isolation import worker as isolated
from tumorlens.isolation.frames import Message
from tumorlens.isolation.process import WorkerDiedError, WorkerProcess

_SERVICE: Final = "tumorlens.batch.worker:service"
_MEMORY_BYTES: Final = 3 << 30
"""Beyond what a process has at its start: the largest volume within our limits."""
_CPU_SECONDS: Final = 3600.0
"""For one chunk; a process that takes longer hangs in an input."""
_TRIES: Final = 2
"""A process may be ended by someone else; an input at which two end is at fault."""
_LOOK_S: Final = 0.05
_DONE: Final = object()


class LocalEngine:
    """Runs chunks in several processes."""

    def __init__(self, processes: int) -> None:
        """One process for each core is best: each uses one thread."""
        self.processes = processes

    def run(self, setup: Setup, chunks: Iterator[Chunk]) -> Iterator[Tally]:
        """Commit each chunk, and yield its tally, in the order in which they are done.

        Raises ``TumorlensError`` where the bundle cannot be used or a part cannot be written.
        """
        work = _Work(chunks)
        lanes = [_Lane(setup, work) for _ in range(self.processes)]
        for lane in lanes:
            lane.start()
        try:
            yield from work.results(len(lanes))
        finally:
            work.stopped = True
            for lane in lanes:
                lane.kill()
            for lane in lanes:
                lane.end()


class _Work:
    """Chunks to do and their results: shared by the threads that watch the processes."""

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks = chunks
        self._lock = threading.Lock()
        self._results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.stopped = False
        """Whether no more chunks are wanted."""

    def take(self) -> Chunk | None:
        """The next chunk; None where there is none, or no more are wanted."""
        with self._lock:
            chunk = None if self.stopped else next(self._chunks, None)
            return None if self.stopped else chunk

    def give(self, result: Any) -> None:
        """Hand over a tally, an error, or ``_DONE``."""
        self._results.put(result)

    def results(self, lanes: int) -> Iterator[Tally]:
        """Tallies as they come, until all threads are done; raise the first error."""
        while lanes:
            result = self._results.get()
            if result is _DONE:
                lanes -= 1
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result


class _Lane(threading.Thread):
    """Gives chunks to a process, and to a new one when that one dies."""

    def __init__(self, setup: Setup, work: _Work) -> None:
        super().__init__(daemon=True)
        self._setup = Message(
            {"service": _SERVICE, "options": msgspec.to_builtins(setup),
             "memory_bytes": _MEMORY_BYTES}
        )  # fmt: skip
        self._work = work
        self._process: WorkerProcess | None = None
        self._waits = False

    def run(self) -> None:
        try:
            while (chunk := self._next()) is not None:
                self._work.give(self._commit(chunk))
        except BaseException as error:  # raised where the results are read
            self._work.give(error)
        finally:
            self._work.give(_DONE)
            self._end()

    def kill(self) -> None:
        """End the process; what it has not committed is dropped."""
        if self._process is not None:
            self._process.kill()

    def end(self) -> None:
        """Wait until it has ended, unless it waits for input, which may take for ever."""
        while self.is_alive() and not self._waits:
            self.join(_LOOK_S)

    def _next(self) -> Chunk | None:
        self._waits = True
        chunk = self._work.take()
        self._waits = False
        return chunk

    def _end(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def _commit(self, chunk: Chunk) -> Tally:
        """Try until it is committed, in the end without the inputs that crash every process."""
        tries = 0
        crashed: list[int] = []
        while True:
            indices: list[int] = []
            try:
                return self._try(chunk, crashed, indices, careful=tries >= _TRIES)
            except WorkerDiedError:
                self._end()
                if self._work.stopped:
                    raise
                tries += 1
                if tries > _TRIES and indices:
                    crashed.append(indices[-1])

    def _try(self, chunk: Chunk, crashed: list[int], indices: list[int], *, careful: bool) -> Tally:
        """Send it to the process; add to ``indices`` each input that the process begins."""
        self._process = self._process or WorkerProcess(self._setup)
        asked = {"chunk": msgspec.to_builtins(chunk), "crashed": crashed, "careful": careful}
        self._process.send(Message({"request": asked, "cpu_seconds": _CPU_SECONDS}))
        tally: Tally | None = None
        while (message := self._process.receive().content)["kind"] == isolated.PART:
            part = message["part"]
            if "index" in part:
                indices.append(part["index"])
            elif "failed" in part:
                raise BatchError(part["failed"])
            else:
                tally = msgspec.convert(part["tally"], Tally)
        if message["kind"] == isolated.FAULT:
            raise BatchError(f"a worker process failed: {message['fault']}")
        if message["kind"] != isolated.END or message["retire"]:
            self._end()
        if tally is None:
            raise WorkerDiedError
        return tally

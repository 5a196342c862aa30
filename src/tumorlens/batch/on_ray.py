"""The engine for a Ray cluster: an actor for each core of all its machines.

Ray only schedules. The finished parts show what is done, so Ray may run a chunk twice or lose the
machine that began it.
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tumorlens.batch.columns import Tally
from tumorlens.batch.items import Chunk
from tumorlens.batch.local import LocalEngine
from tumorlens.batch.worker import Setup, Worker
from tumorlens.errors import BatchError, TumorlensError, needing
from tumorlens.text import first_line, reason_of

_CONNECT_S: Final = 10.0
_TRIES: Final = 3
"""Actors that may die at a chunk; after that, a separate process handles it input by input."""


class RayEngine:
    """Runs chunks in several actors."""

    def __init__(self, actors: int | None = None, address: str | None = None) -> None:
        """Join the cluster at ``address`` (``auto``: the one on this machine; None: start one).

        By default there is an actor for each core of the cluster. Raises ``MissingExtraError``, or
        ``BatchError`` where there is no cluster.
        """
        self._ray = _ray()
        if not self._ray.is_initialized():
            _check_reachable(address)
            try:
                self._ray.init(address=address, log_to_driver=False, configure_logging=False,
                               include_dashboard=False)  # fmt: skip
            except (OSError, RuntimeError, ValueError) as error:
                raise BatchError(
                    f"Ray cannot be started or joined ({first_line(error)})"
                ) from error
        self._actors = actors or int(self._ray.cluster_resources().get("CPU", 1))

    def run(self, setup: Setup, chunks: Iterator[Chunk]) -> Iterator[Tally]:
        """As ``LocalEngine.run``."""
        crew = _Crew(self._ray, setup)
        try:
            for _ in range(self._actors):
                if (chunk := next(chunks, None)) is not None:
                    crew.start(crew.hire(), chunk)
            while crew.busy:
                actor, chunk, tally = crew.next_done()
                if tally is None:
                    crew.start(crew.hire(), chunk)
                    continue
                yield tally
                if (following := next(chunks, None)) is not None:
                    crew.start(actor, following)
        finally:
            crew.dismiss()


class _Crew:
    """The actors, and the chunk of each."""

    def __init__(self, ray: Any, setup: Setup) -> None:
        self._ray = ray
        self._setup = setup
        self._lost: dict[str, int] = {}
        self._actors: list[Any] = []
        self.busy: dict[Any, tuple[Any, Chunk]] = {}
        """Actor and chunk, keyed by Ray's reference to the result."""

    def hire(self) -> Any:
        actor = self._ray.remote(num_cpus=1)(_Actor).remote(self._setup, str(Path.cwd()))
        self._actors.append(actor)
        return actor

    def start(self, actor: Any, chunk: Chunk) -> None:
        careful = self._lost.get(chunk.id, 0) >= _TRIES
        self.busy[actor.commit.remote(chunk, careful)] = (actor, chunk)

    def next_done(self) -> tuple[Any, Chunk, Tally | None]:
        """Wait for the next chunk; no tally if its actor died. Raises as ``LocalEngine.run``."""
        (promise,), _ = self._ray.wait(list(self.busy))
        actor, chunk = self.busy.pop(promise)
        try:
            return actor, chunk, self._ray.get(promise)
        except self._ray.exceptions.RayActorError:
            self._lost[chunk.id] = self._lost.get(chunk.id, 0) + 1
            self._actors.remove(actor)
            return actor, chunk, None
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, TumorlensError):
                raise error.cause from error
            raise BatchError(f"an actor failed: {str(error.cause).strip()}") from error

    def dismiss(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)


class _Actor:
    """Runs in the cluster. It loads the bundle at its first chunk, not at its start: for Ray, an
    actor that fails at its start has died, and is replaced."""

    def __init__(self, setup: Setup, folder: str) -> None:
        os.environ["OMP_NUM_THREADS"] = "1"
        # The bundle may be named from the folder that the batch was called in.
        if Path(folder).is_dir():
            os.chdir(folder)
        self._setup = setup
        self._worker: Worker | None = None

    def commit(self, chunk: Chunk, careful: bool) -> Tally:
        """Answer a chunk and make its part appear."""
        if careful:
            (tally,) = LocalEngine(1).run(self._setup, iter([chunk]))
            return tally
        self._worker = self._worker or Worker(self._setup)
        *_, last = self._worker.steps(chunk)
        assert isinstance(last, Tally)
        return last


def _check_reachable(address: str | None) -> None:
    """Raise ``BatchError`` if nothing listens there; Ray itself tries for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    except OSError as error:
        raise BatchError(
            f"--ray-address {address}: no Ray cluster can be reached there ({reason_of(error)})"
        ) from error


def _ray() -> Any:
    with needing("ray", "--engine ray"):
        import ray
    return ray

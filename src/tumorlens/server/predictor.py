"""From uploads to records: hands each file, or a study, to the worker processes."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, Literal

from tumorlens.bundle import Bundle
from tumorlens.cores import available_cores
from tumorlens.errors import BundleError, CrashedError, LimitExceededError
from tumorlens.isolation.frames import Message
from tumorlens.isolation.jobs import Outcome
from tumorlens.isolation.pool import NoWorkerError, Pool, PoolSettings
from tumorlens.isolation.process import WorkerStartError
from tumorlens.isolation.turns import Turn
from tumorlens.server import scratch, tasks
from tumorlens.server.admission import Ticket
from tumorlens.server.metrics import Metrics
from tumorlens.server.problems import no_room, no_worker
from tumorlens.server.renaming import places
from tumorlens.server.settings import MIB, Settings
from tumorlens.server.tasks import EncodedRecord
from tumorlens.server.uploads import Upload
from tumorlens.text import reason_of

LOG: Final = logging.getLogger("tumorlens.server")
HeatmapMode = Literal["0", "1", "grid"]
_MAX_CRASHES: Final = 8
"""Inputs of a study that may end their process before the rest is given up."""
_LEAST_SECONDS: Final = 1.0


class Predictor:
    """The worker processes behind the routes."""

    def __init__(self, bundle: Bundle, settings: Settings, metrics: Metrics) -> None:
        """Start the processes; raise ``BundleError`` where they cannot use ``bundle``."""
        self.bundle = bundle
        self._limits, self._metrics = settings.limits, metrics
        count = settings.workers or available_cores()
        self.pool = Pool(
            tasks.SERVICE, tasks.options(bundle),
            PoolSettings(quick=count, slow=max(1, count // 2),
                         memory_bytes=settings.limits.worker_bytes),
        )  # fmt: skip
        try:
            self.pool.start()
        except WorkerStartError as error:
            raise BundleError(str(error)) from error

    def close(self) -> None:
        """End the processes."""
        self.pool.close()

    async def records(
        self, uploads: list[Upload], ticket: Ticket, turn: Turn, *, heatmap: HeatmapMode,
        preview: bool,
    ) -> list[EncodedRecord]:  # fmt: skip
        """One record a file, in order. ``uploads`` is emptied: bytes are let go once decoded."""
        waiting = []
        while uploads:
            name, data = uploads.pop(0)
            request = tasks.image_request(name, data, self._limits.pixels, heatmap, preview)
            waiting.append(self._record(request, name, len(data), ticket, turn))
        return list(await asyncio.gather(*waiting))

    async def _record(
        self, request: Message, name: str, size: int, ticket: Ticket, turn: Turn
    ) -> EncodedRecord:
        seconds = self._seconds(self._limits.file_seconds, size)
        outcome = await self._run(request, name, seconds, turn)
        # Not needed any more, however long the other files of the request still take.
        ticket.free(size)
        if outcome.error is not None:
            return self._count(tasks.failure(name, outcome.error, name))
        return self._count(tasks.read_record(outcome.parts[0]))

    async def study(
        self, uploads: list[Upload], ticket: Ticket, turn: Turn
    ) -> tuple[list[EncodedRecord], int]:
        """Records of one study, and how many of its files are not images."""
        seconds = self._seconds(self._limits.study_seconds, ticket.bytes)
        names = [upload.name for upload in uploads]
        async with _on_disk(uploads) as folder:
            uploads.clear()
            reading = _Study(seconds)
            while reading.goes_on:
                request = tasks.study_request(folder, names, self._limits.pixels, reading.start)
                reading.take(await self._run(request, "study", reading.left(), turn))
        # The study's own answer goes first, though it is made last.
        answered = sorted(reading.records, key=lambda record: not record.of_study)
        return [self._count(record) for record in answered + reading.unusable], reading.skipped

    async def _run(self, request: Message, source: str, seconds: float, turn: Turn) -> Outcome:
        """Cancelled with the task that awaits it: a client that leaves frees its worker.

        Raises ``Problem`` (503) where there is no worker process.
        """
        future = self.pool.submit(request, source=source, seconds=seconds, turn=turn)
        try:
            return await asyncio.wrap_future(future)
        except NoWorkerError as error:
            raise no_worker() from error

    def _seconds(self, least: float, size: int) -> float:
        return least + self._limits.mib_seconds * size / MIB

    def _count(self, record: EncodedRecord) -> EncodedRecord:
        """Count the outcome of an image, and return its record."""
        self._metrics.images.labels(record.outcome).inc()
        return record


class _Study:
    """The records of a study so far. An input that ends its worker does not affect the others."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self.records: list[EncodedRecord] = []
        self.unusable: list[EncodedRecord] = []
        """Of files that are no input, such as damaged archives."""
        self.skipped = 0
        self.start = 0
        self.goes_on = True
        self._crashes = 0

    def left(self) -> float:
        """Seconds until its deadline."""
        return max(_LEAST_SECONDS, self._until - time.monotonic())

    def take(self, outcome: Outcome) -> None:
        """Add what a worker has answered; decide whether another has to go on."""
        at, path, inputs = None, "study", 0
        for part in outcome.parts:
            content = part.content
            if "outcome" in content:
                of_input = at is not None
                (self.records if of_input else self.unusable).append(tasks.read_record(part))
            elif "at" in content:
                at, path = int(content["at"]), str(content["path"])
            else:
                self.skipped, inputs = int(content["skipped"]), int(content["inputs"])
        error = outcome.error
        self.goes_on = False
        if error is None:
            return
        self.records.append(tasks.failure(path, error, "study"))
        self._crashes += 1
        if at is None or at + 1 >= inputs:
            return
        if isinstance(error, CrashedError | LimitExceededError) and self._crashes < _MAX_CRASHES:
            self.start, self.goes_on = at + 1, True
        else:
            left = type(error)(f"study: {inputs - at - 1} of its {inputs} inputs were not read")
            self.records.append(tasks.failure("study", left, "study"))


@asynccontextmanager
async def _on_disk(uploads: Sequence[Upload]) -> AsyncIterator[Path]:
    """Write the files of a study; raise ``Problem`` (507) where that is not possible."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch.folder())
            writing = asyncio.create_task(asyncio.to_thread(_write, folder, list(uploads)))
            # A client that leaves ends the waiting, not the thread, which must not write into a
            # folder that is being deleted.
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                await asyncio.wait({writing})
                raise
        except OSError as error:
            why = reason_of(error)
            LOG.error("a study could not be written to the temporary folder: %s", why)
            raise no_room(why) from error
        yield folder


def _write(folder: Path, uploads: Sequence[Upload]) -> None:
    for place, upload in zip(places([upload.name for upload in uploads]), uploads, strict=True):
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / place).write_bytes(upload.data)

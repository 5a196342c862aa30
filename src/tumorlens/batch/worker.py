"""The worker that answers and commits a chunk: one in each process or each actor of Ray.

A part is committed by giving it its name, which follows from the chunk. So a chunk may be tried
several times, also by two processes at once: equal bytes get the same name.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator
from importlib.metadata import version
from typing import Final

import msgspec

from tumorlens.batch.answering import Answerer, Row, error_row
from tumorlens.batch.columns import Tally, tally_of, to_parquet
from tumorlens.batch.items import Chunk
from tumorlens.batch.store import open_store
from tumorlens.bundle import Bundle
from tumorlens.errors import BatchError, CrashedError
from tumorlens.inference.classifier import Classifier
from tumorlens.isolation.frames import Message
from tumorlens.text import reason_of

RECORDS: Final = "records"
"""Folder of the parts below that of the batch."""
_TELL_EVERY: Final = 16
_KEY_DIGITS: Final = 12


def identity(bundle: Bundle, plane: str) -> str:
    """A short hash of what an answer depends on besides the input: bundle, settings, version.

    It includes thresholds, temperature and weights: ``bundle.json`` has the hashes of the files.
    """
    known = {"info": bundle.info, "plane": plane, "version": version("tumorlens")}
    text = msgspec.json.encode(known, order="deterministic")
    return hashlib.sha256(text).hexdigest()[:_KEY_DIGITS]


class Setup(msgspec.Struct, frozen=True):
    """The settings of every process of a batch."""

    bundle: str
    """Name or folder."""
    plane: str
    out: str
    """Folder or URL of the batch."""
    key: str
    """``identity`` of bundle and settings: a worker that finds another one refuses."""


class Worker:
    """Holds the bundle, loaded once. Raises ``BundleError``, ``MissingExtraError``."""

    def __init__(self, setup: Setup) -> None:
        """Load it; raise ``BatchError`` if it is not the one with which the batch began."""
        classifier = Classifier.load(setup.bundle, threads=1)
        if identity(classifier.bundle, setup.plane) != setup.key:
            raise BatchError(f"{setup.bundle}: the bundle is not the same on all machines")
        self._classes = classifier.classes.names
        self._answerer = Answerer(classifier, setup.plane)
        self._store = open_store(setup.out)
        self._key = setup.key

    def steps(self, chunk: Chunk, crashed: Collection[int] = ()) -> Iterator[int | Tally]:
        """Answer ``chunk`` and make its part appear.

        Yields the index of each input before it is read, and at the end the part's tally. Inputs
        whose indices are in ``crashed`` are not read again. Raises ``BatchError`` if the part
        cannot be written.
        """
        rows: list[Row] = []
        for index, item in enumerate(chunk.items):
            yield index
            if index in crashed:
                words = f"{item.name}: crashes the process that reads it"
                rows.append(error_row(item.name, CrashedError.kind, words))
            else:
                rows.extend(self._answerer.rows(item))
        tally = tally_of(rows, len(chunk.items))
        name = part_name(self._key, chunk.id)
        try:
            self._store.write(f"{RECORDS}/{name}", to_parquet(rows, tally, self._classes))
        except OSError as error:
            where = f"{error.filename}: " if error.filename is not None else ""
            reason = f"{where}{reason_of(error)}"
            raise BatchError(f"no answers can be written ({reason})") from error
        yield tally


def part_name(key: str, chunk_id: str) -> str:
    """The file that holds the rows of a chunk."""
    return f"{key}-{chunk_id}.parquet"


def service(options: Message) -> Callable[[Message], Iterator[Message]]:
    """For ``isolation.worker``: take chunks, report progress and what was committed."""
    worker = Worker(msgspec.convert(options.content, Setup))

    def handle(request: Message) -> Iterator[Message]:
        chunk = msgspec.convert(request.content["chunk"], Chunk)
        every = 1 if request.content["careful"] else _TELL_EVERY
        try:
            for step in worker.steps(chunk, request.content["crashed"]):
                if isinstance(step, Tally):
                    yield Message({"tally": msgspec.to_builtins(step)})
                elif step % every == 0:
                    yield Message({"index": step})
        except BatchError as error:
            yield Message({"failed": str(error)})

    return handle

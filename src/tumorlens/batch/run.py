"""A batch from its input to its parts: finished parts are kept, stale ones are removed.

There is no list of what is done beside the parts themselves, so nothing can contradict them. Each
part belongs to one chunk of the input; a run answers the chunks that have none, and in the end
removes the parts whose chunk is no longer in the input.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Final, Protocol

import msgspec

from tumorlens import bundle as bundles
from tumorlens.batch.columns import Tally, arrow, read_tally
from tumorlens.batch.discovery import Discovery
from tumorlens.batch.items import Chunk, Item, chunks
from tumorlens.batch.store import Store, open_store
from tumorlens.batch.worker import RECORDS, Setup, identity, part_name
from tumorlens.errors import BatchError

BATCH_FILE: Final = "batch.json"
RUNS: Final = "runs"
Watch = Callable[[Tally], None]


class Engine(Protocol):
    """Answers chunks in processes or actors; every engine commits the same."""

    def run(self, setup: Setup, chunks: Iterator[Chunk]) -> Iterator[Tally]:
        """Commit each chunk, and yield its tally."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of a batch."""

    source: str
    """A folder, file, archive, pattern, manifest, URL or ``-``; see ``discovery.located``."""
    out: str
    bundle: str = "default"
    plane: str = "axial"
    part: int = 0
    """Which part of the work this run does, from 0."""
    parts: int = 1


class BatchFile(msgspec.Struct, frozen=True):
    """``batch.json``: the source and the bundle of the answers in a folder."""

    source: str
    key: str
    """``identity`` of the answers."""
    bundle: str
    """Name and version, for people."""
    display_names: dict[str, str]
    """Of the classes."""


class RunFile(msgspec.Struct, frozen=True, kw_only=True):
    """``runs/KEY-K-of-N.json``: the state of one part of the work."""

    part: int
    parts: int
    complete: bool = False
    inputs: int = 0
    """Of this part of the work, where ``complete``."""
    answered: int = 0
    """Inputs that the last run answered; the others were answered before."""
    seconds: float = 0.0
    """Duration of that run."""
    skipped: int = 0
    """Files that are neither an image nor a volume."""
    before: int = 0
    """Inputs that the last complete run had found."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a batch."""

    about: BatchFile
    tally: Tally
    """Of all parts, of this run and others."""
    runs: tuple[RunFile, ...]

    @property
    def complete(self) -> bool:
        """Whether every part of the work is done."""
        return bool(self.runs) and sum(r.complete for r in self.runs) == self.runs[0].parts

    @property
    def inputs(self) -> int | None:
        """Number of inputs; None before every part of the work is done."""
        return sum(run.inputs for run in self.runs) if self.complete else None

    @property
    def gone(self) -> int:
        """How many inputs fewer there are than in the last complete run; 0 if there are more."""
        return max(0, sum(run.before for run in self.runs) - (self.inputs or 0))

    @property
    def per_second(self) -> float | None:
        """Inputs per second, as if all runs were at the same time; None if none was answered."""
        rates = [run.answered / run.seconds for run in self.runs if run.answered and run.seconds]
        return sum(rates) if rates else None


class Batch:
    """One run of a batch. Raises ``BundleError``, ``BatchError``, ``MissingExtraError``."""

    def __init__(self, options: Options) -> None:
        """Load the bundle and check the folder; nothing is written yet."""
        arrow()
        self.options = options
        bundle = bundles.load(options.bundle)
        info = bundle.info
        self._store = open_store(options.out)
        key = identity(bundle, options.plane)
        name = f"{info.name} {info.version}"
        self.about = BatchFile(options.source, key, name, info.classes.display_names)
        self._setup = Setup(options.bundle, options.plane, options.out, key)
        self._before = _read_about(self._store, options.out)
        _check_same(self._before, self.about, options.out)

    @property
    def replaced(self) -> str | None:
        """The bundle of earlier answers, if this run replaces them; otherwise None."""
        if self._before is None or self._before.key == self.about.key:
            return None
        return self._before.bundle

    def run(self, engine: Engine, watch: Watch = lambda _: None) -> Report:
        """Answer what has no answer yet; ``watch`` gets the tally of each part, old ones too."""
        discovery = Discovery(self.options.source)
        # Fails where there is no input, before anything is deleted.
        items = self._usable(iter(discovery))
        before = self._last_found()
        self._begin(before)
        started = time.monotonic()
        done = set(self._parts())
        mine: dict[str, int] = {}
        answered = 0
        for tally in engine.run(self._setup, self._missing(items, done, mine, watch)):
            answered += tally.inputs
            watch(tally)
        self._check_not_replaced()
        # What these were made of is no longer in the input, or in another chunk now.
        for chunk_id in done - mine.keys():
            self._store.delete(f"{RECORDS}/{part_name(self.about.key, chunk_id)}")
        self._sweep()
        self._note(
            complete=True, inputs=sum(mine.values()), answered=answered, before=before,
            seconds=round(time.monotonic() - started, 3), skipped=discovery.skipped,
        )  # fmt: skip
        return report(self.options.out)

    def _usable(self, items: Iterator[Item]) -> Iterator[Item]:
        """``items``; raise ``BatchError`` if none can be opened, and answers would be removed.

        That is how a share that is not mounted looks, or an archive that is copied just now.
        """
        failed: list[Item] = []
        for item in items:
            failed.append(item)
            if item.kind != "failure":
                return chain(failed, items)
        same = {part_name(self.about.key, chunk.id) for chunk in chunks(failed)}
        if same.issuperset(self._store.names(RECORDS)):
            return iter(failed)
        source, out = self.options.source, self.options.out
        why = failed[0].message if failed else f"{source}: contains no image"
        raise BatchError(
            f"no input can be opened ({why}). The answers in {out} are kept; run the batch again "
            "when its input is back, or choose another folder"
        )

    def _missing(
        self, items: Iterator[Item], done: set[str], mine: dict[str, int], watch: Watch
    ) -> Iterator[Chunk]:
        """Chunks of this part of the work that have no part yet; notes all in ``mine``."""
        for chunk in chunks(items):
            if not chunk.belongs_to(self.options.part, self.options.parts):
                continue
            mine[chunk.id] = len(chunk.items)
            if chunk.id in done:
                watch(Tally(len(chunk.items)))
            else:
                yield chunk

    def _last_found(self) -> int:
        """Inputs that the last complete run of this part of the work found; 0 if there is none."""
        asked = (self.options.part, self.options.parts)
        runs = {(run.part, run.parts): run for run in _runs(self._store, self.about.key)}
        last = runs.get(asked)
        if last is None:
            return 0
        return last.inputs if last.complete else last.before

    def _begin(self, before: int) -> None:
        """Record which bundle the answers are of, and remove those of another one."""
        if self._before != self.about:
            # JSON in ASCII, because the name of the source may contain bytes that are not UTF-8.
            described = json.dumps(msgspec.to_builtins(self.about))
            self._store.write(BATCH_FILE, described.encode("ascii") + b"\n")
        self._sweep()
        for name in list(self._store.names(RECORDS)):
            if not name.startswith(f"{self.about.key}-"):
                self._store.delete(f"{RECORDS}/{name}")
        for name in list(self._store.names(RUNS)):
            if not name.startswith(f"{self.about.key}-") or not name.endswith(self._ending):
                self._store.delete(f"{RUNS}/{name}")
        self._note(before=before)

    def _check_not_replaced(self) -> None:
        """Raise ``BatchError``, and remove the answers, if others have replaced them meanwhile.

        Rows of two bundles beside each other would answer every input twice.
        """
        now = _read_about(self._store, self.options.out)
        if now is None or now.key == self.about.key:
            return
        for chunk_id in list(_chunk_ids(self._store, self.about.key)):
            self._store.delete(f"{RECORDS}/{part_name(self.about.key, chunk_id)}")
        raise BatchError(
            f"{self.options.out}: another run has begun to answer all inputs by {now.bundle}, with "
            "other settings or another version of tumorlens, so the answers of this one are "
            "removed; use another folder for each, and the same bundle and version for all jobs"
        )

    def _sweep(self) -> None:
        """Remove files that killed processes left incomplete, but none that others are writing."""
        for folder in ("", RECORDS, RUNS):
            self._store.sweep(folder)

    def _parts(self) -> Iterator[str]:
        """Chunks that are this part of the work and are committed; a damaged part is deleted."""
        for chunk_id in list(_chunk_ids(self._store, self.about.key)):
            if not Chunk(chunk_id, ()).belongs_to(self.options.part, self.options.parts):
                continue
            name = f"{RECORDS}/{part_name(self.about.key, chunk_id)}"
            try:
                _tally(self._store, name)
            except ValueError:
                self._store.delete(name)
            else:
                yield chunk_id

    @property
    def _ending(self) -> str:
        """End of the names of the run files of a batch with the same number of parts."""
        return f"-of-{self.options.parts}.json"

    def _note(self, **facts: float) -> None:
        options = self.options
        note = msgspec.convert({"part": options.part, "parts": options.parts, **facts}, RunFile)
        name = f"{self.about.key}-{options.part}{self._ending}"
        self._store.write(f"{RUNS}/{name}", msgspec.json.encode(note) + b"\n")


def report(out: str) -> Report:
    """The state of the batch in a folder.

    Raises ``BatchError`` where there is none, or a part of it is damaged.
    """
    store = open_store(out)
    about = _read_about(store, out)
    if about is None:
        raise BatchError(f"{out}: contains no batch")
    total = Tally()
    for chunk_id in _chunk_ids(store, about.key):
        name = f"{RECORDS}/{part_name(about.key, chunk_id)}"
        try:
            total.add(_tally(store, name))
        except FileNotFoundError:  # another run has just removed it
            continue
        except ValueError as error:
            raise BatchError(
                f"{out}/{name}: damaged; run the batch again to answer its inputs again"
            ) from error
    return Report(about=about, tally=total, runs=tuple(_runs(store, about.key)))


def _tally(store: Store, name: str) -> Tally:
    """The tally of a part; raise ``ValueError`` if it is damaged."""
    with store.open(name) as file:
        return read_tally(file)


def _runs(store: Store, key: str) -> Iterator[RunFile]:
    """The run files, without damaged ones."""
    for name in sorted(store.names(RUNS)):
        data = store.read(f"{RUNS}/{name}")
        if name.startswith(f"{key}-") and data is not None:
            with suppress(msgspec.MsgspecError):
                yield msgspec.json.decode(data, type=RunFile)


def _chunk_ids(store: Store, key: str) -> Iterator[str]:
    for name in sorted(store.names(RECORDS)):
        if name.startswith(f"{key}-"):
            yield name.removeprefix(f"{key}-").removesuffix(".parquet")


def _read_about(store: Store, out: str) -> BatchFile | None:
    data = store.read(BATCH_FILE)
    try:
        return None if data is None else msgspec.convert(json.loads(data), BatchFile)
    except (ValueError, msgspec.MsgspecError) as error:
        raise BatchError(
            f"{out}: {BATCH_FILE} is damaged, or of another version of tumorlens ({error}). Delete "
            "it to continue: existing answers are kept if the bundle and the options are the same"
        ) from error


def _check_same(before: BatchFile | None, now: BatchFile, out: str) -> None:
    if before is not None and before.source != now.source:
        raise BatchError(
            f"{out}: holds the answers of {before.source}; choose another folder for {now.source}"
        )

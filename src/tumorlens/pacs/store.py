"""The files of a spool and its database, which notes every file that is deleted.

See ``spool`` for the order in which changes become durable.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tumorlens.files import sync_folder
from tumorlens.pacs import database, schema
from tumorlens.pacs.private import FOLDER_MODE, SpoolError, make_private
from tumorlens.pacs.space import Space

OWN_NAMES: Final = frozenset({
    "audit.jsonl", "incoming", "lock", "objects", "queue.sqlite", "queue.sqlite-shm",
    "queue.sqlite-wal", "reserve", "salt", "studies",
})  # fmt: skip
"""What a spool holds."""
_FOLDERS: Final = ("incoming", "studies", "objects")
_STALE_S: Final = 3600.0
"""An incoming file that nothing was written to for so long has lost its sender."""


class Store:
    """A folder that is made where it is missing; safe between threads."""

    def __init__(self, folder: Path, quota_bytes: int | None) -> None:
        """Open it; raises ``SpoolError``, or ``OSError`` where that is not possible now."""
        self.folder = folder
        make_private(folder, OWN_NAMES)
        _check_kinds(folder)
        for name in _FOLDERS:
            (folder / name).mkdir(exist_ok=True, mode=FOLDER_MODE)
        self.space = Space(folder, quota_bytes)
        self._lock = threading.Lock()
        self._db = self._open()
        self._incoming_seen: dict[str, tuple[tuple[int, float], float]] = {}

    def _open(self) -> sqlite3.Connection:
        try:
            return database.open_database(self.folder)
        except OSError:
            self.space.release_reserve()
            return database.open_database(self.folder)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    @property
    def incoming(self) -> Path:
        """For files that are not accepted yet; what lies there for long is deleted."""
        return self.folder / "incoming"

    def study_folder(self, key: str) -> Path:
        """The folder of a study's files."""
        folder = self.folder / "studies" / key
        if not folder.is_dir():
            folder.mkdir(exist_ok=True, mode=FOLDER_MODE)
            sync_folder(folder.parent)
        return folder

    def image_path(self, study: str, name: str) -> Path:
        """Where an image of a study lies."""
        return self.folder / "studies" / study / f"{name}.dcm"

    def object_path(self, uid: str) -> Path:
        """Where a made object lies."""
        return self.folder / "objects" / f"{uid}.dcm"

    def delete_marked(self) -> int:
        """Delete the files that are marked for it; say how many."""
        with self.reading() as db:
            images = db.execute(
                "SELECT study, name FROM instances WHERE file=?", (schema.GOING,)
            ).fetchall()
            objects = db.execute("SELECT uid FROM objects WHERE file=?", (schema.GOING,)).fetchall()
        paths = [self.image_path(study, name) for study, name in images]
        paths += [self.object_path(uid) for (uid,) in objects]
        for path in paths:
            path.unlink(missing_ok=True)
        if paths:
            self._note_deleted({path.parent for path in paths})
        return len(paths)

    def _note_deleted(self, folders: set[Path]) -> None:
        with self.changing() as db:  # while nothing can be accepted: into a folder that goes
            schema.unmark(db)  # first: it locks out other processes, too
            for folder in folders - {self.folder / "objects"}:
                with suppress(OSError):  # something came since; or it went before a crash
                    folder.rmdir()
            for folder in {self.folder / "objects", self.folder / "studies", *folders}:
                if folder.is_dir():
                    sync_folder(folder)

    def delete_stale(self) -> None:
        """Delete incoming files that have not changed for long, by the monotonic clock."""
        before, self._incoming_seen = self._incoming_seen, {}
        for path in self.incoming.iterdir():
            with suppress(FileNotFoundError):  # its sender may finish just now
                facts = path.stat()
                state = facts.st_size, facts.st_mtime
                known, since = before.get(path.name, (None, 0.0))
                if known != state:
                    self._incoming_seen[path.name] = state, time.monotonic()
                elif time.monotonic() - since > _STALE_S:
                    path.unlink()
                else:
                    self._incoming_seen[path.name] = state, since

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """The database in a transaction, which is committed and synced at the end."""
        with self._lock, database.translated(self.folder / database.NAME), self._db:
            yield self._db

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The database, for looking up."""
        with self._lock, database.translated(self.folder / database.NAME):
            yield self._db


def _check_kinds(folder: Path) -> None:
    """Raise ``SpoolError`` where a folder has the name of a file, or a file that of a folder."""
    for name in sorted(OWN_NAMES):
        path, wanted = folder / name, "folder" if name in _FOLDERS else "file"
        if path.exists() and path.is_dir() != (wanted == "folder"):
            raise SpoolError(f"{path}: must be a {wanted}; move what is there elsewhere")

"""Received instances and made answers on disk: nothing accepted is lost, whenever the power goes.

A folder with one sqlite database (write-ahead log, every commit synced) and files beside it. A
file is complete and synced before the row that names it is committed, and the row is committed
before the sender is told. Names of files are hashes: what a sender calls an object names no path.
A file is marked before it is deleted, and what a crash has left of the marked ones goes at the next
start, so that no study is ever answered from half of its images.
"""

import hashlib
import hmac
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from tumorlens.files import sync, sync_folder, write_synced
from tumorlens.pacs import schema

RECEIVING: Final = "receiving"
MADE: Final = "made"
SENT: Final = "sent"
FAILED: Final = "failed"
REMEMBER_S: Final = 365 * 24 * 3600.0
"""For so long names of what was answered are known after their study has closed."""
_STALE_S: Final = 3600.0
"""An incoming file that nothing was written to for so long has lost its sender."""
_SALT_BYTES: Final = 32


class Waiting(msgspec.Struct, frozen=True):
    """A study in the queue."""

    key: str
    """A salted hash of its StudyInstanceUID: for files and logs."""
    revision: int
    """Counts the instances that came."""
    state: str
    attempts: int


class Spool:
    """The queue in ``folder``, which is made where it is missing; safe between threads."""

    def __init__(self, folder: Path) -> None:
        """Open it; studies that failed before are tried again, and pruning goes on."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("incoming", "studies", "objects"):
            (folder / name).mkdir(exist_ok=True, mode=0o700)
        self._salt = _salt(folder / "salt")
        self._lock = threading.Lock()
        self._db = sqlite3.connect(folder / "queue.sqlite", check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        with self._changing() as db:
            schema.create(db)
            db.execute("UPDATE studies SET state=?, attempts=0 WHERE state=?", (RECEIVING, FAILED))
        self._delete_marked()

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def key(self, text: str) -> str:
        """A salted hash of an identifier: 32 hexadecimal digits, of no use without the spool."""
        return hmac.new(self._salt, text.encode(), hashlib.sha256).hexdigest()[:32]

    @property
    def incoming(self) -> Path:
        """For files that are not accepted yet; what lies there for long is deleted."""
        return self.folder / "incoming"

    def accept(self, study_uid: str, instance_uid: str, data: bytes | Path) -> None:
        """Keep an instance, or a file of ``incoming``; when this returns it survives a crash.

        One that is known changes nothing, so a study that is sent twice is answered once. A file
        is moved, or deleted.
        """
        if isinstance(data, bytes):
            path = self.incoming / secrets.token_hex(16)
            path.write_bytes(data)
        else:
            path = data
        try:
            self._accept(study_uid, instance_uid, path)
        finally:
            path.unlink(missing_ok=True)

    def _accept(self, study_uid: str, instance_uid: str, path: Path) -> None:
        study, name = self.key(study_uid), self.key(instance_uid)
        if self._knows(study, name):
            return
        sync(path)
        with self._changing() as db:
            added = db.execute(
                "INSERT OR IGNORE INTO instances (study, name) VALUES (?, ?)", (study, name)
            )
            if added.rowcount:
                path.replace(self.study_folder(study) / f"{name}.dcm")
                sync_folder(self.study_folder(study))
                db.execute(
                    "INSERT INTO studies (study, revision, received, state, attempts, due) "
                    "VALUES (?, 1, ?, ?, 0, 0) ON CONFLICT (study) DO UPDATE "
                    "SET revision=revision+1, received=excluded.received, state=excluded.state, "
                    "attempts=0, due=0",
                    (study, time.time(), RECEIVING),
                )

    def due(self, quiet_s: float) -> list[Waiting]:
        """Studies to work on: those that nothing came for in ``quiet_s``, and those to be sent.

        What was postponed comes last, so that one that always fails holds nobody up.
        """
        now = time.time()
        with self._lock:
            rows = self._db.execute(
                "SELECT study, revision, state, attempts FROM studies WHERE due <= ? AND "
                "(state = ? OR (state = ? AND ABS(? - received) >= ?)) "
                "ORDER BY due, received",
                (now, MADE, RECEIVING, now, quiet_s),
            ).fetchall()
        return [Waiting(*row) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many studies there are in each state."""
        with self._lock:
            rows = self._db.execute("SELECT state, COUNT(*) FROM studies GROUP BY state")
            return {str(state): int(count) for state, count in rows}

    def study_folder(self, key: str) -> Path:
        """Where the files of a study lie."""
        folder = self.folder / "studies" / key
        if not folder.is_dir():
            folder.mkdir(exist_ok=True, mode=0o700)
            sync_folder(folder.parent)
        return folder

    def keep_answer(self, waiting: Waiting, objects: Sequence[tuple[str, str, bytes]]) -> None:
        """Keep the answer's objects (UID, SOP class, file) for sending.

        One that was made before stays as it is, and is not sent again if it has been. If an
        instance came in the meantime the study stays open, for another look.
        """
        new = [uid for uid, _, _ in objects if not self._has_made(uid)]
        for uid, _, data in objects:
            if uid in new:
                write_synced(self.object_path(uid), data)
        with self._changing() as db:
            current = db.execute(
                "UPDATE studies SET state=?, attempts=0, due=0 WHERE study=? AND revision=?",
                (MADE, waiting.key, waiting.revision),
            )
            if current.rowcount:
                rows = [(uid, waiting.key, kind, time.time()) for uid, kind, _ in objects]
                db.executemany(
                    "INSERT OR IGNORE INTO objects (uid, study, sop_class, sent, made) "
                    "VALUES (?, ?, ?, 0, ?)",
                    rows,
                )
        if not current.rowcount:
            for uid in new:
                self.object_path(uid).unlink(missing_ok=True)

    def unsent(self, key: str) -> list[tuple[str, str]]:
        """(UID, SOP class) of the objects of a study that are still to be sent."""
        with self._lock:
            rows = self._db.execute(
                "SELECT uid, sop_class FROM objects WHERE study=? AND sent=0 ORDER BY sop_class",
                (key,),
            ).fetchall()
        return [(str(uid), str(kind)) for uid, kind in rows]

    def mark_sent(self, uid: str) -> None:
        """Note that the destination has confirmed an object."""
        with self._changing() as db:
            db.execute("UPDATE objects SET sent=1 WHERE uid=?", (uid,))

    def finish(self, waiting: Waiting, state: str = SENT) -> None:
        """Close a study, unless something came for it in the meantime."""
        with self._changing() as db:
            db.execute(
                "UPDATE studies SET state=?, closed=? WHERE study=? AND revision=?",
                (state, time.time(), waiting.key, waiting.revision),
            )

    def postpone(self, waiting: Waiting, seconds: float) -> None:
        """Try again later."""
        with self._changing() as db:
            db.execute(
                "UPDATE studies SET attempts=attempts+1, due=? WHERE study=?",
                (time.time() + seconds, waiting.key),
            )

    def prune(self, keep_s: float, remember_s: float = REMEMBER_S) -> int:
        """Delete the files of studies that were delivered ``keep_s`` ago; say how many went.

        Names stay known for ``remember_s`` (at least ``keep_s``), so that what is sent again is not
        answered again. What is not delivered stays, however old.
        """
        now = time.time()
        with self._changing() as db:
            schema.mark(db, SENT, now - keep_s)
        gone = self._delete_marked()
        with self._changing() as db:
            schema.forget(db, SENT, now - max(keep_s, remember_s))
        for path in self.incoming.iterdir():
            with suppress(FileNotFoundError):  # its sender may finish just now
                if now - path.stat().st_mtime > _STALE_S:
                    path.unlink()
        return gone

    def _delete_marked(self) -> int:
        with self._changing() as db:
            images = db.execute(
                "SELECT study, name FROM instances WHERE file=?", (schema.GOING,)
            ).fetchall()
            objects = db.execute("SELECT uid FROM objects WHERE file=?", (schema.GOING,)).fetchall()
        paths = [self.folder / "studies" / study / f"{name}.dcm" for study, name in images]
        paths += [self.object_path(uid) for (uid,) in objects]
        for path in paths:
            path.unlink(missing_ok=True)
        if paths:
            self._note_deleted({path.parent for path in paths})
        return len(paths)

    def _note_deleted(self, folders: set[Path]) -> None:
        with self._changing() as db:  # while nothing can be accepted: into a folder that goes
            schema.unmark(db)  # first: it locks out other processes, too
            for folder in folders - {self.folder / "objects"}:
                with suppress(OSError):  # something came since; or it went before a crash
                    folder.rmdir()
            for folder in {self.folder / "objects", self.folder / "studies", *folders}:
                if folder.is_dir():
                    sync_folder(folder)

    def object_path(self, uid: str) -> Path:
        """Where a made object lies."""
        return self.folder / "objects" / f"{uid}.dcm"

    def _has_made(self, uid: str) -> bool:
        """Whether there is an object, or was and has been sent."""
        with self._lock:
            row = self._db.execute("SELECT 1 FROM objects WHERE uid=?", (uid,)).fetchone()
        return row is not None or self.object_path(uid).exists()

    def _knows(self, study: str, name: str) -> bool:
        with self._lock:
            row = self._db.execute(
                "SELECT 1 FROM instances WHERE study=? AND name=?", (study, name)
            ).fetchone()
        return row is not None

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._db:
            yield self._db


def _salt(path: Path) -> bytes:
    if not path.exists():
        write_synced(path, secrets.token_bytes(_SALT_BYTES))
    return path.read_bytes()

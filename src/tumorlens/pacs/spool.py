"""Received instances and made answers on disk: nothing accepted is lost, whenever the power goes.

A folder with one sqlite database (write-ahead log, every commit synced) and files beside it. A
file is complete and synced before the row that names it is committed, and the row is committed
before the sender is told. Names of files are hashes: what a sender calls an object names no path.
"""

import hashlib
import hmac
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS instances (study TEXT, name TEXT, PRIMARY KEY (study, name));
CREATE TABLE IF NOT EXISTS studies (
  study TEXT PRIMARY KEY, revision INTEGER, received REAL, state TEXT, attempts INTEGER, due REAL);
CREATE TABLE IF NOT EXISTS objects (
  uid TEXT PRIMARY KEY, study TEXT, sop_class TEXT, sent INTEGER, made REAL);
"""
RECEIVING: Final = "receiving"
MADE: Final = "made"
SENT: Final = "sent"
FAILED: Final = "failed"
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
        """Open it; studies that failed before are tried again."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "studies").mkdir(exist_ok=True, mode=0o700)
        (folder / "objects").mkdir(exist_ok=True, mode=0o700)
        self._salt = _salt(folder / "salt")
        self._lock = threading.Lock()
        self._db = sqlite3.connect(folder / "queue.sqlite", check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        with self._changing() as db:
            for statement in _TABLES.split(";"):
                db.execute(statement)
            db.execute("UPDATE studies SET state=?, attempts=0 WHERE state=?", (RECEIVING, FAILED))

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def key(self, text: str) -> str:
        """A salted hash of an identifier: 32 hexadecimal digits, of no use without the spool."""
        return hmac.new(self._salt, text.encode(), hashlib.sha256).hexdigest()[:32]

    def accept(self, study_uid: str, instance_uid: str, data: bytes) -> None:
        """Keep an instance; when this returns it survives a crash.

        One that is known changes nothing, so a study that is sent twice is answered once.
        """
        study, name = self.key(study_uid), self.key(instance_uid)
        if self._knows(study, name):
            return
        _write_synced(self.study_folder(study) / f"{name}.dcm", data)
        with self._changing() as db:
            added = db.execute("INSERT OR IGNORE INTO instances VALUES (?, ?)", (study, name))
            if added.rowcount:
                db.execute(
                    "INSERT INTO studies VALUES (?, 1, ?, ?, 0, 0) ON CONFLICT (study) DO UPDATE "
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
            _sync_folder(folder.parent)
        return folder

    def keep_answer(self, waiting: Waiting, objects: Sequence[tuple[str, str, bytes]]) -> None:
        """Keep the answer's objects (UID, SOP class, file) for sending.

        One that was made before stays as it is, and is not sent again if it has been. If an
        instance came in the meantime the study stays open, for another look.
        """
        for uid, _, data in objects:
            path = self.object_path(uid)
            if not path.exists():
                _write_synced(path, data)
        with self._changing() as db:
            current = db.execute(
                "UPDATE studies SET state=?, attempts=0, due=0 WHERE study=? AND revision=?",
                (MADE, waiting.key, waiting.revision),
            )
            if current.rowcount:
                rows = [(uid, waiting.key, kind, time.time()) for uid, kind, _ in objects]
                db.executemany("INSERT OR IGNORE INTO objects VALUES (?, ?, ?, 0, ?)", rows)

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
                "UPDATE studies SET state=? WHERE study=? AND revision=?",
                (state, waiting.key, waiting.revision),
            )

    def postpone(self, waiting: Waiting, seconds: float) -> None:
        """Try again later."""
        with self._changing() as db:
            db.execute(
                "UPDATE studies SET attempts=attempts+1, due=? WHERE study=?",
                (time.time() + seconds, waiting.key),
            )

    def forget_images(self, keep_s: float) -> int:
        """Delete the files of studies closed for ``keep_s``; their names stay known."""
        with self._lock:
            rows = self._db.execute(
                "SELECT study FROM studies WHERE state=? AND received <= ?",
                (SENT, time.time() - keep_s),
            ).fetchall()
        gone = 0
        for (key,) in rows:
            folder = self.folder / "studies" / str(key)
            for path in folder.glob("*"):
                path.unlink(missing_ok=True)
                gone += 1
        return gone

    def object_path(self, uid: str) -> Path:
        """Where a made object lies."""
        return self.folder / "objects" / f"{uid}.dcm"

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
        _write_synced(path, secrets.token_bytes(_SALT_BYTES))
    return path.read_bytes()


def _write_synced(path: Path, data: bytes) -> None:
    """Write so that either the whole file is there after a crash, or none of it."""
    # A name of its own: a sender may send one object in two associations at once.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename last; a no-op where folders cannot be opened (Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Received instances and made answers on disk: nothing accepted is lost, whenever the power goes.

A folder with one sqlite database (write-ahead log, every commit synced) and files beside it. A
file is complete and synced before the row that names it is committed, and the row is committed
before the sender gets its answer. Names of files are hashes: no sender chooses a path. A file is
marked before it is deleted, and marked files that a crash left behind are deleted at the next
start, so that no study is ever answered from half of its images.

A try to answer is counted before it begins, so that a study that ends the process is known at the
next start. Everything here raises ``OSError`` where the disk is full, and loses nothing by it.
"""

import hashlib
import hmac
import logging
import secrets
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from tumorlens.errors import InputError
from tumorlens.files import sync, sync_folder, write_synced
from tumorlens.pacs import schema
from tumorlens.pacs.clock import StoredClock
from tumorlens.pacs.private import FILE_MODE, SpoolError, create_file
from tumorlens.pacs.retries import Retries
from tumorlens.pacs.store import Store

log = logging.getLogger(__name__)

RECEIVING: Final = "receiving"
MADE: Final = "made"
SENT: Final = "sent"
FAILED: Final = "failed"
DROPPED: Final = "dropped"
NAMES_STORED_S: Final = 365 * 24 * 3600.0
"""How long the names of answered studies are stored after the studies are closed."""
_ENDED: Final = "it is being answered, or the process ended while it was"
_SALT_BYTES: Final = 32
_SHA256_DIGITS: Final = 64


class OtherContentError(InputError):
    """A known SOP Instance UID came with other pixels."""

    kind = "other_content"


class Waiting(msgspec.Struct, frozen=True):
    """A study in the queue."""

    key: str
    """A salted hash of its StudyInstanceUID: for files and logs."""
    revision: int
    """Number of instances that came."""
    state: str
    attempts: int
    """Attempts to answer it, including the current one."""


class Spool(Store):
    """The queue in ``folder``, which is made where it is missing; safe between threads."""

    def __init__(self, folder: Path, quota_bytes: int | None = None) -> None:
        """Open it; pruning goes on where it was.

        Raises ``SpoolError``, or ``OSError`` where it cannot be read or written now.
        """
        super().__init__(folder, quota_bytes)
        self._salt = _salt(folder / "salt")
        self._retries = Retries()
        self._clock = StoredClock(self._saved_clock(), time.time)
        self.delete_marked()
        self.space.hold_reserve()

    def key(self, text: str) -> str:
        """A salted hash of an identifier: 32 hexadecimal digits, of no use without the spool."""
        data = text.encode("utf-8", "surrogateescape")  # an argument may hold any bytes
        return hmac.new(self._salt, data, hashlib.sha256).hexdigest()[:32]

    def incoming_file(self, data: bytes) -> Path:
        """Write ``data`` to a new file of ``incoming``, which only this user may read."""
        path = self.incoming / secrets.token_hex(16)
        try:
            create_file(path)
            path.write_bytes(data)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path

    def accept(
        self, study_uid: str, instance_uid: str, data: bytes | Path, digest: str | None = None
    ) -> bool:
        """Keep an instance, bytes or a file of ``incoming``; when this returns it survives a crash.

        One that is known changes nothing, so a study that is sent twice is answered once; returns
        whether it was new. A file is moved, or deleted. ``digest`` tells contents apart, see
        ``imaging.dicom.instance``; without one it is a hash of the file. Raises
        ``OtherContentError`` where the UID is known with other pixels.
        """
        path = self.incoming_file(data) if isinstance(data, bytes) else data
        try:
            return self._accept(
                study_uid, instance_uid, path, digest or f"file:{_file_digest(path)}"
            )
        finally:
            path.unlink(missing_ok=True)

    def _accept(self, study_uid: str, instance_uid: str, path: Path, digest: str) -> bool:
        study, name = self.key(study_uid), self.key(instance_uid)
        with self.reading() as db:
            known = self._known_digest(db, study, name)
        if known is None:
            sync(path)
            with self.changing() as db:
                known = self._known_digest(db, study, name)
                if known is None:  # nobody else was faster
                    db.execute(
                        "INSERT OR REPLACE INTO instances (study, name, digest) VALUES (?, ?, ?)",
                        (study, name, digest),
                    )
                    path.replace(self.study_folder(study) / f"{name}.dcm")
                    sync_folder(self.study_folder(study))
                    self._came(db, study)
                    return True
        if known and known != digest:
            self._compare(study, known.split(":"), digest.split(":"))
        return False

    def _compare(self, study: str, known: list[str], other: list[str]) -> None:
        """Say how an instance differs from the one that is kept."""
        if known[0] != other[0]:
            how = "in another encoding, so its pixels were not compared"
        elif known[1] != other[1]:
            raise OtherContentError(
                f"study {study}: an instance was sent again with different pixels; "
                "the first is kept"
            )
        else:
            how = "with the same pixels and another header"
        log.warning("study %s: an instance was sent again %s; the first is kept", study, how)

    def _came(self, db: sqlite3.Connection, study: str) -> None:
        """Note that something new came for a study: it is open again."""
        db.execute(
            "INSERT INTO studies (study, revision, received, state, attempts) "
            "VALUES (?, 1, ?, ?, 0) ON CONFLICT (study) DO UPDATE "
            "SET revision=revision+1, received=excluded.received, state=excluded.state, "
            "attempts=0, reason=''",
            (study, self.now(), RECEIVING),
        )
        (revision,) = db.execute("SELECT revision FROM studies WHERE study=?", (study,)).fetchone()
        self._retries.came(study, revision)

    def lost(self, key: str) -> int:
        """How many images of a study are not on the disk as they came: nothing here did that."""
        with self.reading() as db:
            rows = db.execute(
                "SELECT name, digest FROM instances WHERE study=? AND file=?", (key, schema.KEPT)
            ).fetchall()
        return sum(not _is_whole(self.image_path(key, name), digest) for name, digest in rows)

    def due(self, quiet_s: float) -> list[Waiting]:
        """Studies to work on: those that nothing came for in ``quiet_s``, and those to be sent.

        What was tried before comes last, so that one that always fails holds nobody up. A study
        that was there at the start counts as having come then.
        """
        with self.reading() as db:
            rows = db.execute(
                "SELECT study, revision, state, attempts FROM studies WHERE state IN (?, ?) "
                "ORDER BY attempts, received, rowid",
                (RECEIVING, MADE),
            ).fetchall()
        waiting = [Waiting(*row) for row in rows]
        ready = [study for study in waiting if self._is_due(study, quiet_s)]
        self._retries.keep_only({study.key for study in waiting})
        return sorted(ready, key=lambda study: self._retries.count(study.key, study.revision))

    def _is_due(self, study: Waiting, quiet_s: float) -> bool:
        if study.state == RECEIVING and self._retries.quiet(study.key, study.revision) < quiet_s:
            return False
        return not self._retries.waits(study.key, study.revision)

    def begin(self, waiting: Waiting) -> Waiting:
        """Count an attempt to answer a study before it, so that a crash does not hide it."""
        with self.changing() as db:
            db.execute(
                "UPDATE studies SET attempts=attempts+1, reason=? WHERE study=? AND revision=?",
                (_ENDED, waiting.key, waiting.revision),
            )
        return msgspec.structs.replace(waiting, attempts=waiting.attempts + 1)

    def take_back(self, waiting: Waiting) -> None:
        """Undo the count of ``begin``: that the attempt failed was not the study's fault."""
        with self.changing() as db:
            db.execute(
                "UPDATE studies SET attempts=MAX(attempts-1, 0), reason='' "
                "WHERE study=? AND revision=?",
                (waiting.key, waiting.revision),
            )

    def counts(self) -> dict[str, int]:
        """How many studies there are in each state."""
        with self.reading() as db:
            rows = db.execute("SELECT state, COUNT(*) FROM studies GROUP BY state").fetchall()
        return {str(state): int(count) for state, count in rows}

    def keep_answer(self, waiting: Waiting, objects: Sequence[tuple[str, str, bytes]]) -> None:
        """Keep the answer's objects (UID, SOP class, file) for sending.

        One that was made before stays as it is, and is not sent again if it has been. What an
        earlier answer, of fewer images, has not sent yet is not sent any more. If an instance came
        in the meantime the study stays open, for another look.
        """
        new = [uid for uid, _, _ in objects if not self._has_made(uid)]
        for uid, _, data in objects:
            if uid in new:
                write_synced(self.object_path(uid), data)
                self.object_path(uid).chmod(FILE_MODE)
        with self.changing() as db:
            current = db.execute(
                "UPDATE studies SET state=?, attempts=0, reason='' WHERE study=? AND revision=?",
                (MADE, waiting.key, waiting.revision),
            )
            if current.rowcount:
                db.executemany(
                    "INSERT OR IGNORE INTO objects (uid, study, sop_class, sent, digest) "
                    "VALUES (?, ?, ?, 0, ?)",
                    [(uid, waiting.key, kind, _digest(data)) for uid, kind, data in objects],
                )
                old = schema.supersede(db, waiting.key, [uid for uid, _, _ in objects])
            else:
                old = new
        for uid in old:
            self.object_path(uid).unlink(missing_ok=True)
        if current.rowcount:
            self._retries.forget(waiting.key)

    def unsent(self, key: str) -> list[tuple[str, str]]:
        """(UID, SOP class) of the objects of a study that are still to be sent."""
        with self.reading() as db:
            rows = db.execute(
                "SELECT uid, sop_class FROM objects WHERE study=? AND sent=0 ORDER BY sop_class",
                (key,),
            ).fetchall()
        return [(str(uid), str(kind)) for uid, kind in rows]

    def delivered(self, key: str, sop_class: str) -> list[Path]:
        """Files of a study's objects of a kind that were sent, where its images are there, too."""
        with self.reading() as db:
            rows = db.execute(
                "SELECT uid FROM objects WHERE study=? AND sop_class=? AND sent=1 AND file=? "
                "ORDER BY rowid",
                (key, sop_class, schema.KEPT),
            ).fetchall()
        return [self.object_path(uid) for (uid,) in rows]

    def mark_sent(self, uid: str) -> None:
        """Note that the destination has confirmed an object."""
        with self.changing() as db:
            db.execute("UPDATE objects SET sent=1 WHERE uid=?", (uid,))

    def is_whole(self, uid: str) -> bool:
        """Whether the file of an object can be read, and is as it was made."""
        with self.reading() as db:
            row = db.execute("SELECT digest FROM objects WHERE uid=?", (uid,)).fetchone()
        return row is not None and _is_whole(self.object_path(uid), row[0])

    def answer_again(self, waiting: Waiting) -> None:
        """Put a study back: a file of its answer is lost or damaged, and has to be made again."""
        with self.changing() as db:
            db.execute("DELETE FROM objects WHERE study=? AND sent=0", (waiting.key,))
            db.execute(
                "UPDATE studies SET state=?, attempts=0 WHERE study=? AND revision=?",
                (RECEIVING, waiting.key, waiting.revision),
            )

    def finish(self, waiting: Waiting, state: str = SENT, reason: str = "") -> None:
        """Close a study, unless something came for it in the meantime."""
        with self.changing() as db:
            db.execute(
                "UPDATE studies SET state=?, closed=?, reason=? WHERE study=? AND revision=?",
                (state, self.now(), reason, waiting.key, waiting.revision),
            )
            self._save_clock(db)

    def postpone(self, waiting: Waiting, seconds: float, reason: str = "") -> None:
        """Try again later; a restart does not wait."""
        self._retries.postpone(waiting.key, waiting.revision, seconds)
        if reason:
            with self.changing() as db:
                db.execute(
                    "UPDATE studies SET reason=? WHERE study=? AND revision=?",
                    (reason, waiting.key, waiting.revision),
                )

    def tries(self, waiting: Waiting) -> int:
        """How often the study was postponed since the start."""
        return self._retries.count(waiting.key, waiting.revision)

    def prune(self, keep_s: float, names_s: float = NAMES_STORED_S) -> int:
        """Delete the files of studies that were delivered ``keep_s`` ago; say how many went.

        Names are stored for ``names_s`` (at least ``keep_s``), so that what is sent again is not
        answered again. What is not delivered stays, however old.
        """
        now = self.now()
        with self.changing() as db:
            schema.mark(db, SENT, now - keep_s)
            self._save_clock(db)
        gone = self.delete_marked()
        with self.changing() as db:
            schema.forget(db, SENT, now - max(keep_s, names_s))
            schema.forget(db, DROPPED, now)
        self.delete_stale()
        self.space.measure()
        return gone

    def relieve(self) -> int:
        """Make room on a full disk: all that is delivered goes at once; say how many files."""
        self.space.release_reserve()
        gone = self.prune(0.0)
        self.space.is_short.clear()
        self.space.hold_reserve()
        return gone

    def _has_made(self, uid: str) -> bool:
        """Whether there is an object, or was and has been sent."""
        with self.reading() as db:
            row = db.execute("SELECT 1 FROM objects WHERE uid=?", (uid,)).fetchone()
        return row is not None

    def _known_digest(self, db: sqlite3.Connection, study: str, name: str) -> str | None:
        """The digest of an instance: None where it is not known, lost or damaged; "" if it was not
        noted."""
        row = db.execute(
            "SELECT digest, file FROM instances WHERE study=? AND name=?", (study, name)
        ).fetchone()
        if row is None:
            return None
        digest, file = row
        lost = file == schema.KEPT and not _is_whole(self.image_path(study, name), digest)
        return None if lost else str(digest)

    def _saved_clock(self) -> tuple[float, float] | None:
        with self.reading() as db:
            row: tuple[float, float] | None = db.execute(
                "SELECT seconds, wall FROM clock"
            ).fetchone()
        return row

    def now(self) -> float:
        """The time, by a clock that goes on evenly."""
        return self._clock.now()

    def _save_clock(self, db: sqlite3.Connection) -> None:
        db.execute("INSERT OR REPLACE INTO clock VALUES (1, ?, ?)", self._clock.state())


def _salt(path: Path) -> bytes:
    if not path.exists():
        write_synced(path, secrets.token_bytes(_SALT_BYTES))
        path.chmod(FILE_MODE)
    salt = path.read_bytes()
    if len(salt) != _SALT_BYTES:  # names would be hashes that anybody can compute
        raise SpoolError(
            f"{path}: damaged; restore it from a backup. Without it a study that is sent again is "
            "answered again, and late images are answered alone; to accept that, delete this file"
        )
    return salt


def _is_whole(path: Path, digest: str) -> bool:
    """Whether a file can be read, and is the one whose SHA-256 ends ``digest``.

    Earlier versions did not note that of all files; what cannot be checked counts as whole.
    """
    noted = digest.rpartition(":")[2]
    try:
        return _file_digest(path) == noted or len(noted) < _SHA256_DIGITS
    except OSError:
        return False


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

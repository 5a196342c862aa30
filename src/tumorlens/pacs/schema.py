"""Tables of the spool's database.

Names of answered studies are kept for a year: what runs often must not look at all of them, so
there are indexes.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS instances (
  study TEXT, name TEXT, file INTEGER NOT NULL DEFAULT 0, digest TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (study, name));
CREATE TABLE IF NOT EXISTS studies (
  study TEXT PRIMARY KEY, revision INTEGER, received REAL, state TEXT, attempts INTEGER,
  closed REAL, reason TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS objects (
  uid TEXT PRIMARY KEY, study TEXT, sop_class TEXT, sent INTEGER,
  file INTEGER NOT NULL DEFAULT 0, digest TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS clock (id INTEGER PRIMARY KEY CHECK (id=1), seconds REAL, wall REAL);
CREATE INDEX IF NOT EXISTS instances_by_file ON instances (file, study);
CREATE INDEX IF NOT EXISTS objects_by_file ON objects (file, study);
CREATE INDEX IF NOT EXISTS objects_by_study ON objects (study);
"""
VERSION: Final = 1
"""Version of the tables; raise it with a change that earlier versions would not understand."""
KEPT: Final = 0
"""State of a file: it is there."""
GOING: Final = 1
"""It is to be deleted, and may be gone."""
GONE: Final = 2
_TYPES: Final = {
    "instances": {"study": "text", "name": "text", "file": "integer", "digest": "text"},
    "studies": {
        "study": "text", "revision": "integer", "received": "real", "state": "text",
        "attempts": "integer", "reason": "text",
    },
    "objects": {
        "uid": "text", "study": "text", "sop_class": "text", "sent": "integer", "file": "integer",
        "digest": "text",
    },
    "clock": {"seconds": "real", "wall": "real"},
}  # fmt: skip
"""Types of the values that are relied on; sqlite enforces none of them."""
_FILED: Final = ("instances", "objects")


def create(db: sqlite3.Connection) -> None:
    """Make the tables that are missing."""
    for statement in _TABLES.split(";"):
        db.execute(statement)
    if not any(row[1] == "digest" for row in db.execute("PRAGMA table_info(objects)")):
        db.execute("ALTER TABLE objects ADD COLUMN digest TEXT NOT NULL DEFAULT ''")
    if _version(db) != VERSION:  # nothing is written where nothing changes: the disk may be full
        db.execute(f"PRAGMA user_version={VERSION}")


def is_newer(db: sqlite3.Connection) -> bool:
    """Whether a later version of tumorlens made the tables."""
    return _version(db) > VERSION


def _version(db: sqlite3.Connection) -> int:
    """0 where there are no tables yet."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def check(db: sqlite3.Connection) -> None:
    """Raise ``sqlite3.Error`` where a column or a value is missing, or of another type."""
    db.execute("SELECT closed FROM studies LIMIT 1")
    for table, columns in _TYPES.items():
        other = " OR ".join(f"typeof({name})<>'{kind}'" for name, kind in columns.items())
        if db.execute(f"SELECT 1 FROM {table} WHERE {other} LIMIT 1").fetchone():  # noqa: S608
            raise sqlite3.DatabaseError(f"a row of {table} with missing or wrong values")


def mark(db: sqlite3.Connection, sent: str, until: float) -> None:
    """Mark for deletion the files of studies in state ``sent`` that closed by ``until``."""
    closed = "(SELECT study FROM studies WHERE state=? AND closed <= ?)"
    for table in _FILED:
        db.execute(
            f"UPDATE {table} SET file=? WHERE file=? AND study IN {closed}",  # noqa: S608
            (GOING, KEPT, sent, until),
        )


def mark_study(db: sqlite3.Connection, study: str) -> None:
    """Mark all files of a study for deletion."""
    for table in _FILED:
        db.execute(
            f"UPDATE {table} SET file=? WHERE file=? AND study=?",  # noqa: S608
            (GOING, KEPT, study),
        )


def supersede(db: sqlite3.Connection, study: str, uids: Sequence[str]) -> list[str]:
    """Forget the unsent objects of a study except ``uids``; return their UIDs."""
    rows = db.execute("SELECT uid FROM objects WHERE study=? AND sent=0", (study,)).fetchall()
    old = sorted({str(uid) for (uid,) in rows} - set(uids))
    db.executemany("DELETE FROM objects WHERE uid=?", [(uid,) for uid in old])
    return old


def unmark(db: sqlite3.Connection) -> None:
    """Note that all marked files are gone."""
    for table in _FILED:
        db.execute(f"UPDATE {table} SET file=? WHERE file=?", (GONE, GOING))  # noqa: S608


def forget(db: sqlite3.Connection, state: str, until: float) -> None:
    """Forget the studies in ``state`` that closed by ``until`` and have no files any more."""
    chosen = (
        "(SELECT study FROM studies WHERE state=? AND closed <= ? "
        "AND study NOT IN (SELECT study FROM instances WHERE file<?) "
        "AND study NOT IN (SELECT study FROM objects WHERE file<?))"
    )
    values = (state, until, GONE, GONE)
    rows = db.execute(f"SELECT study FROM studies WHERE study IN {chosen}", values)  # noqa: S608
    for (study,) in rows.fetchall():
        for table in (*_FILED, "studies"):
            db.execute(f"DELETE FROM {table} WHERE study=?", (study,))  # noqa: S608

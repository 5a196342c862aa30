"""The spool's database: opened with care, and its errors by kind.

What passes by itself (a full disk, another process at work) becomes ``OSError``; what does not
(a damaged file) becomes ``DamagedQueueError``.
"""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tumorlens.pacs import schema
from tumorlens.pacs.private import SpoolError, create_file

NAME: Final = "queue.sqlite"
_PRIMARY: Final = 0xFF
"""Extended result codes of sqlite have the primary one in their lowest byte."""
_PASSING: Final = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_BUSY: errno.EBUSY,
    sqlite3.SQLITE_LOCKED: errno.EBUSY,
    sqlite3.SQLITE_CANTOPEN: errno.EIO,
    sqlite3.SQLITE_PROTOCOL: errno.EBUSY,
    sqlite3.SQLITE_NOMEM: errno.ENOMEM,
    sqlite3.SQLITE_READONLY: errno.EACCES,
    sqlite3.SQLITE_PERM: errno.EACCES,
}


class DamagedQueueError(SpoolError):
    """The database of the spool cannot be read."""

    kind = "damaged_queue"


def open_database(folder: Path) -> sqlite3.Connection:
    """Open the database of the spool in ``folder``, or make it; check that it is sound.

    Raises ``SpoolError`` where it is of a later version, ``DamagedQueueError``, and ``OSError``
    where the disk is full or the file cannot be opened.
    """
    path = folder / NAME
    create_file(path)  # sqlite would make it, and the files beside it, readable for all
    with translated(path):
        connection = sqlite3.connect(path, check_same_thread=False)
        try:
            if schema.is_newer(connection):
                raise SpoolError(
                    f"{path}: a later version of tumorlens made the queue; install that version, "
                    "or use another spool folder"
                )
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            # So that the log beside the database stays small: the disk may be.
            connection.execute("PRAGMA wal_autocheckpoint=100")
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict.splitlines()[-1])
            with connection:
                schema.create(connection)
                schema.check(connection)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn sqlite's errors into ``OSError`` or ``DamagedQueueError``."""
    try:
        yield
    except sqlite3.ProgrammingError as error:  # closed: the process is about to end
        raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from error
    except sqlite3.DatabaseError as error:
        number = _PASSING.get(getattr(error, "sqlite_errorcode", 0) & _PRIMARY)
        if number is not None:
            raise OSError(number, os.strerror(number)) from error
        raise DamagedQueueError(
            f"{path}: the queue is damaged ({error}). Its images are left as they are; "
            f"'tumorlens pacs rebuild --spool {path.parent}' makes a new queue from them"
        ) from error

"""Atomic writes: after a crash or power failure a file is complete or absent."""

import csv
import errno
import io
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

if os.name != "nt":
    import fcntl

_TEMPORARY: Final = re.compile(r"\..+\.[0-9a-f]{8}")
"""Names of ``replacing``."""
_LEFT_SECONDS: Final = 3600.0
"""Where there are no locks, a temporary file that is older belongs to nobody."""
_BLOCK: Final = 1 << 20
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r\n]")
"""What a spreadsheet would run, with any number of apostrophes before it."""


def spreadsheet_safe(text: str) -> str:
    """``text`` for a cell of a CSV file: a spreadsheet must not take it for a formula.

    Text that begins like one gets an apostrophe, which ``from_spreadsheet_safe`` removes.
    """
    return f"'{text}" if _FORMULA.match(text) else text


def from_spreadsheet_safe(cell: str) -> str:
    """The text that ``spreadsheet_safe`` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def csv_row(cells: Iterable[str | int]) -> str:
    """One row of a CSV file, with its line end, which is the same on every system."""
    out = io.StringIO(newline="")
    # The writer quotes only those line ends in a cell that are part of its own.
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue().removesuffix("\r\n") + "\n"


def json_bytes(value: Any, indent: int = 2) -> bytes:
    """``value`` as indented JSON for a file, with a line end; NaN is null."""
    return msgspec.json.format(msgspec.json.encode(value), indent=indent) + b"\n"


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The bytes of a regular file of at most ``most_bytes``.

    Raises ``OSError`` for anything else: a pipe would wait for ever, a device never ends.
    """
    # Opened without waiting, and checked afterwards: it could change in between.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if status.st_size > most_bytes:
            raise OSError(errno.EFBIG, f"larger than {most_bytes} bytes", str(path))
        return file.read(most_bytes)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; the file then replaces ``path`` at once.

    If writing fails, ``path`` stays as it was; the ``OSError`` then names ``path``. ``sweep``
    removes what a killed process leaves.
    """
    # A name of its own: two threads may write the same file at once.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with _held(temporary):
            yield temporary
            sync(temporary)
            temporary.replace(path)
    except OSError as error:
        # The error of a full disk has no name, and that of the temporary file does not help.
        if error.filename is None or str(error.filename) == str(temporary):
            error.filename = str(path)
            del error.filename2
        raise
    finally:
        with suppress(OSError):  # the disk cannot be written, which was already reported
            temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Make a file, and hold a lock on it: ``sweep`` leaves it alone.

    On Windows there is none: an open file could not be renamed.
    """
    if os.name == "nt":
        yield
        return
    handle = _locked(path)
    try:
        yield
    finally:
        os.close(handle)


def _locked(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        # ``sweep`` may have been faster with its lock, and have removed the file.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)


def sweep(folder: Path) -> None:
    """Remove what killed processes left half written with ``replacing``.

    A file that is being written is left alone, also where a process of another machine writes it.
    """
    for path in list(folder.glob(".*")) if folder.is_dir() else ():
        if _TEMPORARY.fullmatch(path.name):
            with suppress(OSError):  # it was renamed, or may not be removed
                _remove_left(path)


def _remove_left(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        if _is_left(handle):
            path.unlink()
    finally:
        os.close(handle)


def _is_left(handle: int) -> bool:
    """Whether nobody holds a temporary file; what this locks is free when it is closed."""
    if os.name != "nt":
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass
        else:
            return True
    return time.time() - os.fstat(handle).st_mtime > _LEFT_SECONDS


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name ``path`` in an ``OSError`` that names no file, as that of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def write_file(path: Path, data: bytes) -> None:
    """Write a file, which may be a device; the ``OSError`` names ``path``."""
    with naming(path):
        path.write_bytes(data)


def allocate(handle: int, size: int, start: int = 0) -> None:
    """Take room for an open file of ``size`` bytes; raise ``OSError`` where there is none.

    The first ``start`` bytes are kept. The others are undefined until they are written.

    A hole in a file holds none: on a full disk, a process that maps it would be killed.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
        return
    os.lseek(handle, start, os.SEEK_SET)
    for position in range(start, size, _BLOCK):
        os.write(handle, bytes(min(_BLOCK, size - position)))


def write_synced(path: Path, data: bytes) -> None:
    """Write a file that lasts."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def sync(path: Path) -> None:
    """Flush what was written to a file to the disk."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush renames and deletions to the disk; a no-op where folders cannot be opened (Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""Temporary folders of studies, and the removal of those that a killed server has left.

Each study has a folder that only the server's user can open. The folder holds a file that is
locked as long as the server works on it: the system releases the lock when the server dies,
however that happens, and the next server deletes the folders that nobody holds.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

if sys.platform != "win32":
    import fcntl

_PREFIX: Final = "tumorlens-study-"
_LOCK: Final = "lock"
_JUST_MADE_SECONDS: Final = 60.0
"""Age under which a folder without a lock may be one that is being made."""


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """An empty folder, gone at the end; raises ``OSError`` where the disk is full."""
    with (
        tempfile.TemporaryDirectory(prefix=_PREFIX) as parent,
        (Path(parent) / _LOCK).open("wb") as lock,
    ):
        _hold(lock)
        study_folder = Path(parent) / "study"
        study_folder.mkdir()
        yield study_folder


def sweep() -> int:
    """Delete what killed servers of this user have left; return how many folders."""
    deleted = 0
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if _is_ours(path) and not _is_held(path):
                shutil.rmtree(path)
                deleted += 1
    return deleted


def _is_ours(path: Path) -> bool:
    status = path.lstat()
    mine = sys.platform == "win32" or status.st_uid == os.getuid()
    return mine and path.is_dir() and not path.is_symlink()


def _is_held(path: Path) -> bool:
    try:
        with (path / _LOCK).open("r+b") as lock:
            return not _hold(lock)
    except FileNotFoundError:
        return time.time() - path.stat().st_mtime < _JUST_MADE_SECONDS


def _hold(lock: IO[bytes]) -> bool:
    """Lock it until it is closed; say whether nobody else does.

    Windows needs no lock: there, what is open cannot be deleted.
    """
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

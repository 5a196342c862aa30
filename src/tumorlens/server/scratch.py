"""Studies on the disk while they are read, and what a killed server has left there.

Each lies in a folder of its own that only the server's user can open. The folder holds a file that
is locked as long as the server works on it: the system lets go of the lock when the server dies,
however that happens, and the next one deletes what nobody holds.
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
        tempfile.TemporaryDirectory(prefix=_PREFIX) as made,
        (Path(made) / _LOCK).open("wb") as lock,
    ):
        _hold(lock)
        place = Path(made) / "study"
        place.mkdir()
        yield place


def sweep() -> int:
    """Delete what killed servers of this user have left; say how many folders."""
    deleted = 0
    for found in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if _is_ours(found) and not _is_held(found):
                shutil.rmtree(found)
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

"""Files and folders that their owner alone can read."""

import os
import stat
from pathlib import Path
from typing import Final

from tumorlens.errors import TumorlensError

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
_OTHERS: Final = 0o077
POSIX: Final = os.name != "nt"
"""Windows has access lists instead of modes: a new folder inherits those of its parent."""


class SpoolError(TumorlensError):
    """The spool cannot be used; the message says why, and what to do."""

    kind = "spool"


def make_private(folder: Path, own_names: frozenset[str]) -> None:
    """Make ``folder`` where it is missing, and take its contents from group and others.

    An existing folder may hold other people's files: then its own mode stays as it is, and only
    what is named in ``own_names``, with all that is below, becomes private. Raises ``SpoolError``
    where that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        # It may be a link, as systemd makes one with DynamicUser=; below it none is allowed.
        folder = folder.resolve()
        if POSIX:
            entries = set(os.listdir(folder))  # noqa: PTH208  (names are enough)
            if entries <= own_names:
                _restrict(folder)
            for name in sorted(entries & own_names):
                _restrict_below(folder / name)
    except FileExistsError as error:
        raise SpoolError(f"{folder}: the spool must be a folder") from error
    except PermissionError as error:
        raise SpoolError(
            f"{folder}: cannot be made private; it must belong to the user who runs this"
        ) from error


def create_file(path: Path) -> None:
    """Make an empty file of the right mode, unless there is one."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, FILE_MODE))


def _restrict_below(path: Path) -> None:
    _restrict(path)
    for parent, folders, files in os.walk(path):
        for name in (*folders, *files):
            _restrict(Path(parent, name))


def _restrict(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:  # deleted by the process that works on the spool
        return
    if stat.S_ISLNK(mode):
        raise SpoolError(f"{path}: links are not allowed in a spool; remove it")
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # to open a pipe would take for ever
        raise SpoolError(f"{path}: neither a file nor a folder; remove it")
    if mode & _OTHERS:
        path.chmod(FOLDER_MODE if stat.S_ISDIR(mode) else FILE_MODE)

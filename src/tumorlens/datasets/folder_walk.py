"""Files and folders below a folder, and which of the files are images."""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

from tumorlens.errors import DatasetError
from tumorlens.imaging.finder import kind_of
from tumorlens.imaging.formats.dicom import DICOM
from tumorlens.imaging.formats.registry import claims_image

_ARCHIVE_EXTRAS: Final = "__MACOSX"
"""macOS puts copies of the files' attributes there when it makes a zip archive."""


def walk(folder: Path) -> Iterator[Path]:
    """Files and folders below ``folder``, without hidden ones and what lies below those.

    Links to folders are followed under their own path, but each folder is entered once: those
    that lie below ``folder`` themselves come first, and a link to a folder above ends nowhere.
    Raises ``DatasetError`` for a folder that cannot be read.
    """
    try:
        yield from _walk(folder)
    except OSError as error:
        reason = f"{error.filename}: cannot be opened ({error.strerror})"
        raise DatasetError(reason) from error


def _walk(folder: Path) -> Iterator[Path]:
    root = folder.resolve()
    entered: set[Path] = set()
    waiting = deque([folder])
    while waiting:
        start = waiting.popleft()
        if start != folder:
            if start.resolve() in entered or root.is_relative_to(start.resolve()):
                continue
            yield start
        for parent, folders, names in os.walk(start, onerror=_fail):
            here = Path(parent)
            entered.add(here.resolve())
            below = [here / name for name in sorted(folders) if not _hidden(name)]
            waiting += [path for path in below if path.is_symlink()]
            below = [
                path for path in below if not path.is_symlink() and path.resolve() not in entered
            ]
            folders[:] = [path.name for path in below]
            yield from (*below, *(here / name for name in names if not _hidden(name)))


def _fail(error: OSError) -> NoReturn:
    raise error


def is_image(file: Path) -> bool:
    """Whether it is an image by its suffix or, for DICOM files of any name, by its content."""
    return claims_image(file.name) or "." not in file.name or kind_of(str(file)) == DICOM.name


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == _ARCHIVE_EXTRAS

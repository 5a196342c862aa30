"""Find the pictures that files, folders and patterns stand for."""

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tumorlens.errors import InputError, MissingInputError
from tumorlens.imaging.signatures import SNIFF_BYTES, sniff

_MAGIC: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Found:
    """What one argument stands for."""

    paths: tuple[str, ...]
    """Files to read, in order."""
    skipped: int = 0
    """Files of a folder that do not begin like a picture."""
    error: InputError | None = None
    """Why there is nothing to read."""


def find(argument: str) -> Found:
    """Resolve a file, a folder or a pattern such as ``scans/**/*.png``.

    A file is taken as it is: whoever names it wants an answer. A folder gives its pictures, those
    of its folders too, sorted by path, without hidden ones and without files that do not begin
    like a picture. A path that exists is never read as a pattern.
    """
    if _exists(argument) or not _MAGIC.intersection(argument):
        return _resolve(argument)
    # Path.glob takes no absolute pattern and does not hide hidden files.
    matches = sorted(glob.iglob(argument, recursive=True))  # noqa: PTH207
    if not matches:
        return Found((), error=MissingInputError(f"{argument}: no file matches this pattern"))
    parts = [_resolve(match) for match in matches]
    return Found(
        tuple(path for part in parts for path in part.paths),
        sum(part.skipped for part in parts),
        next((part.error for part in parts if part.error), None),
    )


def _resolve(path: str) -> Found:
    return _search(path) if Path(path).is_dir() else Found((path,))


def _exists(argument: str) -> bool:
    try:
        Path(argument).lstat()
    except (OSError, ValueError):  # too long, or with a NUL, is no path either
        return False
    return True


def _search(folder: str) -> Found:
    paths: list[str] = []
    skipped = 0
    for path in _files(folder):
        if _looks_like_picture(path):
            paths.append(path)
        else:
            skipped += 1
    if not paths:
        return Found((), skipped, MissingInputError(f"{folder}: holds no picture"))
    return Found(tuple(paths), skipped)


def _files(folder: str) -> Iterator[str]:
    """Yield the files below ``folder``, sorted, without hidden ones; linked folders stay out."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield str(Path(parent) / name)


def _looks_like_picture(path: str) -> bool:
    """Whether it begins like one; a file that cannot be opened may be, and will say why not."""
    try:
        if not Path(path).is_file():
            return False
        with Path(path).open("rb") as file:
            return sniff(file.read(SNIFF_BYTES)) is not None
    except OSError:
        return True

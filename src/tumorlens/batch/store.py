"""Where a batch keeps its rows: a folder, or a prefix of an object store.

A part is complete or absent, even after a power failure: in a folder it is written under another
name, synced and renamed; an object store shows an object only when all of it has arrived.
"""

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from tumorlens import files
from tumorlens.batch.remote import is_remote, of_url, reaching


class Store(Protocol):
    """Small files by name; a name may hold one folder: ``records/part.parquet``."""

    def names(self, folder: str) -> Iterator[str]:
        """Names, without the folder, of the complete files of a folder; none if it is missing."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file atomically, or replace the one of that name."""

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None where there is none."""

    def open(self, name: str) -> Any:
        """A file to read from, which the caller closes."""

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""

    def sweep(self, folder: str) -> None:
        """Remove files that killed processes left incomplete; ``""`` is the batch's folder."""


class _LocalStore:
    """A folder of this machine, or one that several machines share."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def names(self, folder: str) -> Iterator[str]:
        path = self._folder / folder
        if path.is_dir():  # what is being written begins with a dot
            yield from (file.name for file in path.iterdir() if not file.name.startswith("."))

    def write(self, name: str, data: bytes) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_synced(path, data)

    def read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def open(self, name: str) -> Any:
        return (self._folder / name).open("rb")

    def delete(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def sweep(self, folder: str) -> None:
        files.sweep(self._folder / folder)


class _RemoteStore:
    """A prefix of an object store, through fsspec."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._system, path = of_url(url)
        self._path = path.rstrip("/")

    def names(self, folder: str) -> Iterator[str]:
        self._system.invalidate_cache()
        try:
            with reaching(self._url):
                paths = self._system.ls(f"{self._path}/{folder}", detail=False)
        except FileNotFoundError:
            return
        yield from (posixpath.basename(name) for name in paths)

    def write(self, name: str, data: bytes) -> None:
        path = f"{self._path}/{name}"
        with reaching(self._url):
            self._system.makedirs(posixpath.dirname(path), exist_ok=True)
            self._system.pipe_file(path, data)

    def read(self, name: str) -> bytes | None:
        try:
            with reaching(self._url):
                data: bytes = self._system.cat_file(f"{self._path}/{name}")
        except FileNotFoundError:
            return None
        return data

    def open(self, name: str) -> Any:
        with reaching(self._url):
            return self._system.open(f"{self._path}/{name}", "rb")

    def delete(self, name: str) -> None:
        path = f"{self._path}/{name}"
        with reaching(self._url):
            if self._system.exists(path):
                self._system.rm_file(path)

    def sweep(self, folder: str) -> None:
        """Nothing to do: an object that did not arrive as a whole is not there."""


def open_store(location: str) -> Store:
    """The store at a path or URL.

    Raises ``MissingExtraError`` where the scheme needs a package that is not there.
    """
    return _RemoteStore(location) if is_remote(location) else _LocalStore(location)

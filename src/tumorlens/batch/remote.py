"""Inputs in an object store, through fsspec: ``s3://bucket/folder``, ``gs://...``, ``memory://``.

Reading the first bytes of millions of objects would take longer than answering them, so the kind of
an object follows from its name: objects without a suffix of an image or a volume are taken for
DICOM and grouped into series with the others of their folder.
"""

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from tumorlens.batch.items import Item, joint_stamp
from tumorlens.errors import (
    BatchError,
    LimitExceededError,
    MissingInputError,
    TumorlensError,
    needing,
)
from tumorlens.imaging.archive import Archive
from tumorlens.imaging.formats.dicom import DICOM
from tumorlens.imaging.formats.registry import claims_image
from tumorlens.imaging.limits import MAX_FILE_BYTES

_NO_FOLDERS: Final = frozenset({"http", "https"})
_LOCAL: Final = frozenset({"file", "local"})
_STAMPS: Final = ("ETag", "etag", "LastModified", "mtime", "created")


def is_remote(path: str) -> bool:
    """Whether it is a URL and not a path of this machine."""
    scheme, separator, _ = path.partition("://")
    return bool(separator) and scheme.isalnum()


def located_url(url: str) -> str:
    """``url`` without slashes at its end; a relative ``file://`` becomes absolute."""
    scheme, separator, path = url.partition("://")
    whole = str(Path(path).absolute()) if scheme in _LOCAL else path.rstrip("/")
    return f"{scheme}{separator}{whole}"


@cache
def file_system(scheme: str) -> Any:
    """fsspec's file system of a scheme; raise ``MissingExtraError``, ``BatchError``."""
    try:
        with needing("batch", f"{scheme}://"):
            import fsspec

            if scheme in _NO_FOLDERS:
                raise ValueError
            return fsspec.filesystem(scheme)
    except (TypeError, ValueError) as error:  # an unknown one, or one that needs a host
        raise BatchError(
            f"{scheme}:// is not an object store that can be read; use a store such as s3://, or "
            "download the files first"
        ) from error


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Turn the errors of a store's client into ``BatchError``; each client has its own errors."""
    try:
        yield
    except (TumorlensError, FileNotFoundError):
        raise
    except Exception as error:
        raise BatchError(f"{url}: the store cannot be used ({type(error).__name__})") from error


def of_url(url: str) -> tuple[Any, str]:
    """The file system of ``url``, and its path there."""
    scheme, _, path = url.partition("://")
    return file_system(scheme), path


def remote_items(url: str) -> Iterator[Item]:
    """The objects at and below ``url``, or that match it, folder by folder and in order."""
    system, path = of_url(url)
    scheme = url.partition("://")[0]
    with reaching(url):
        starts = system.glob(path) if "*" in path else [path]
        for start in sorted(starts):
            for parent, details in _folders(system, start):
                yield from _of_folder(f"{scheme}://{parent}", details)


def _folders(system: Any, start: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each folder from ``start`` down, with the details of its files."""
    if system.isfile(start):
        yield posixpath.dirname(start), [system.info(start)]
        return
    for parent, folders, files in system.walk(start, detail=True):
        for name in [name for name in folders if name.startswith(".")]:
            del folders[name]
        visible = [files[name] for name in sorted(files) if name and not name.startswith(".")]
        yield parent.rstrip("/"), visible


def _of_folder(folder: str, details: list[dict[str, Any]]) -> Iterator[Item]:
    for is_plain, run in groupby(details, key=lambda info: claims_plain(info["name"])):
        if is_plain:
            yield from (_plain(folder, info) for info in run)
    dicom = [info for info in details if not claims_plain(info["name"])]
    if dicom:
        names = tuple(posixpath.basename(info["name"]) for info in dicom)
        stamp, size = joint_stamp((info["size"] or 0, _stamp(info)) for info in dicom)
        yield Item("dicom_members", folder, names, size, stamp)


def claims_plain(name: str) -> bool:
    """Whether it has a suffix of an image or volume that is not DICOM."""
    return claims_image(name) and not name.lower().endswith(DICOM.suffixes)


def _plain(folder: str, info: dict[str, Any]) -> Item:
    name = posixpath.basename(info["name"])
    return Item("file", f"{folder}/{name}", size=info["size"] or 0, stamp=_stamp(info))


def _stamp(info: dict[str, Any]) -> str:
    return next((str(info[key]) for key in _STAMPS if info.get(key) is not None), "")


def fetch(url: str) -> bytes:
    """All bytes of an object; raise ``MissingInputError`` or ``LimitExceededError``."""
    system, path = of_url(url)
    try:
        data: bytes = system.cat_file(path, end=MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise MissingInputError(f"{url}: no such object") from error
    except OSError as error:
        raise MissingInputError(f"{url}: cannot be read ({type(error).__name__})") from error
    if len(data) > MAX_FILE_BYTES:
        raise LimitExceededError(f"{url}: is larger than the limit of {MAX_FILE_BYTES} bytes")
    return data


class RemoteFolder(Archive):
    """A folder of an object store, read like an archive: its objects are the members."""

    def __init__(self, url: str) -> None:
        self.path = url
        self._fetched: dict[str, bytes] = {}
        self._room = MAX_FILE_BYTES

    def head(self, name: str, size: int) -> bytes:
        """The first ``size`` bytes of an object."""
        return self.read(name)[:size]

    def read(self, name: str) -> bytes:
        """All bytes of an object, at most ``MAX_FILE_BYTES``.

        Headers, hash and pixels are read one after the other, so objects are kept in memory as far
        as there is room.
        """
        if name in self._fetched:
            return self._fetched[name]
        data = fetch(f"{self.path}/{name}")
        if len(data) <= self._room:
            self._room -= len(data)
            self._fetched[name] = data
        return data

"""Zip archives, read in place: nothing is written to disk, so a member's name is never a path."""

import io
import posixpath
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from tumorlens.errors import LimitExceededError, MissingInputError, UnsupportedFormatError
from tumorlens.imaging.decoding import decoding
from tumorlens.imaging.limits import (
    MAX_ARCHIVE_BYTES,
    MAX_FILE_BYTES,
    MAX_STUDY_BYTES,
    MAX_STUDY_FILES,
)
from tumorlens.text import reason_of

_READABLE: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Methods that Python decompresses only as far as it is asked to."""
_ENCRYPTED: Final = 0x1
_MAX_DIRECTORY_BYTES: Final = 1024 * MAX_STUDY_FILES
_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_END64_LOCATOR_BYTES: Final = 20
_LONGEST_COMMENT: Final = 0xFFFF
_HIDDEN: Final = ("__MACOSX",)


class Archive:
    """A zip file, and those within it. Raises ``InputError`` for what it refuses."""

    def __init__(self, path: str) -> None:
        """Read the list of members; check what they claim."""
        self.path = path
        self._held = 0
        self._members: dict[str, tuple[zipfile.ZipFile, zipfile.ZipInfo]] = {}
        with decoding(path, "zip"):  # zipfile raises more than BadZipFile
            try:
                _check_directory(path)
                self._add(zipfile.ZipFile(path))
            except OSError as error:
                reason = reason_of(error)
                raise MissingInputError(f"{path}: cannot be opened ({reason})") from error

    @property
    def names(self) -> tuple[str, ...]:
        """Members, sorted; without folders and hidden files."""
        return tuple(sorted(self._members))

    def read(self, name: str) -> bytes:
        """All bytes of a member, at most ``MAX_FILE_BYTES``."""
        self._find(name)
        size = self._members[name][1].file_size
        if size > MAX_FILE_BYTES:
            raise LimitExceededError(
                f"{self.path}/{name}: {size} bytes are more than the limit of {MAX_FILE_BYTES}"
            )
        return self.head(name, MAX_FILE_BYTES)

    def open_inner(self, name: str) -> tuple[str, ...]:
        """Add the members of an archive within this one as ``name/member``; return their names.

        It is held in memory: all of them together are at most ``MAX_FILE_BYTES``.
        """
        data = self.read(name)
        self._held += len(data)
        if self._held > MAX_FILE_BYTES:
            raise LimitExceededError(
                f"{self.path}/{name}: the archives within hold more than {MAX_FILE_BYTES} bytes"
            )
        with decoding(f"{self.path}/{name}", "zip"):
            _check_list(io.BytesIO(data), len(data), f"{self.path}/{name}")
            return self._add(zipfile.ZipFile(io.BytesIO(data)), f"{name}/")

    def _add(self, opened: zipfile.ZipFile, prefix: str = "") -> tuple[str, ...]:
        named = _named(filter(_is_shown, opened.infolist()))
        _check_readable(named.values(), f"{self.path}/{prefix}".rstrip("/"))
        added = {prefix + name: (opened, info) for name, info in named.items()}
        self._members |= added
        self._check_claims()
        return tuple(sorted(added))

    def _find(self, name: str) -> None:
        """Open the inner archive that holds ``name``, if that has not been done."""
        parts = name.split("/")
        for count in range(1, len(parts)):
            outer = "/".join(parts[:count])
            if name not in self._members and outer in self._members:
                self.open_inner(outer)

    def head(self, name: str, size: int) -> bytes:
        """The first ``size`` bytes of a member."""
        opened, info = self._members[name]
        _check_readable([info], f"{self.path}/{name}")
        with decoding(f"{self.path}/{name}", "zip"), opened.open(info) as file:
            return file.read(size)

    def _check_claims(self) -> None:
        if len(self._members) > MAX_STUDY_FILES:
            raise LimitExceededError(
                f"{self.path}: {len(self._members)} files are more than the limit of "
                f"{MAX_STUDY_FILES}"
            )
        # No member gives more bytes than it claims, so the sum bounds the work.
        total = sum(info.file_size for _, info in self._members.values())
        if total > MAX_STUDY_BYTES:
            raise LimitExceededError(
                f"{self.path}: decompresses to {total} bytes; the limit is {MAX_STUDY_BYTES}"
            )


def _check_readable(infos: Iterable[zipfile.ZipInfo], source: str) -> None:
    """Raise ``UnsupportedFormatError`` where no member can be read, all for the same reason.

    So an encrypted archive of a thousand files is one error.
    """
    reasons = {_unreadable(info) for info in infos}
    if len(reasons) == 1 and (reason := reasons.pop()):
        raise UnsupportedFormatError(f"{source}: {reason}")


def _unreadable(info: zipfile.ZipInfo) -> str:
    """Why a member cannot be read; empty where it can."""
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted; unpack it first"
    if info.compress_type not in _READABLE:
        return "unsupported compression; create the zip with deflate"
    return ""


def _named(infos: Iterable[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Members by name; further members with the same name get a number."""
    named: dict[str, zipfile.ZipInfo] = {}
    repeats: Counter[str] = Counter()
    for info in infos:
        name = info.filename
        while name in named:
            repeats[info.filename] += 1
            stem, suffix = posixpath.splitext(info.filename)
            name = f"{stem} ({repeats[info.filename] + 1}){suffix}"
        named[name] = info
    return named


def _is_shown(info: zipfile.ZipInfo) -> bool:
    # Not ZipInfo.is_dir, which fails at an empty name.
    if not info.filename or info.filename.endswith("/"):
        return False
    # Some programs on Windows write backslashes.
    parts = PurePosixPath(info.filename.replace("\\", "/")).parts
    return not any((p.startswith(".") and p != "..") or p in _HIDDEN for p in parts)


def _check_directory(path: str) -> None:
    """Raise for a list of members that would itself fill the memory, before it is read.

    Sizes: APPNOTE.TXT 4.3.14 to 4.3.16.
    """
    size = Path(path).stat().st_size
    if size > MAX_ARCHIVE_BYTES:
        raise LimitExceededError(
            f"{path}: {size} bytes are more than the limit of {MAX_ARCHIVE_BYTES}"
        )
    with Path(path).open("rb") as file:
        _check_list(file, size, path)


def _check_list(file: BinaryIO, size: int, path: str) -> None:
    file.seek(max(0, size - _END_BYTES - _LONGEST_COMMENT - _END64_LOCATOR_BYTES))
    tail = file.read()
    at = tail.rfind(_END)
    directory = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if directory == 0xFFFFFFFF:
        locator = tail[max(0, at - _END64_LOCATOR_BYTES) : at]
        file.seek(min(size, int.from_bytes(locator[8:16], "little")))
        directory = int.from_bytes(file.read(56)[40:48], "little")
    if directory > _MAX_DIRECTORY_BYTES:
        raise LimitExceededError(f"{path}: lists more files than the limit of {MAX_STUDY_FILES}")

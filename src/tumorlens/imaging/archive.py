"""Zip archives, read in place: nothing is written to disk, so no name in it is ever a path."""

import posixpath
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from tumorlens.errors import (
    CorruptInputError,
    InputError,
    LimitExceededError,
    MissingInputError,
    UnsupportedFormatError,
)
from tumorlens.imaging.limits import (
    MAX_ARCHIVE_BYTES,
    MAX_FILE_BYTES,
    MAX_STUDY_BYTES,
    MAX_STUDY_FILES,
)
from tumorlens.imaging.wording import first_line

_READABLE: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Methods that Python unfolds no further than it is asked to."""
_ENCRYPTED: Final = 0x1
_MAX_DIRECTORY_BYTES: Final = 1024 * MAX_STUDY_FILES
_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_END64_LOCATOR_BYTES: Final = 20
_LONGEST_COMMENT: Final = 0xFFFF
_HIDDEN: Final = ("__MACOSX",)


class Archive:
    """A zip file. Safe to share between threads. Raises ``InputError`` for what it refuses."""

    def __init__(self, path: str) -> None:
        """Read the list of members; check what they claim."""
        self.path = path
        try:
            _check_directory(path)
            self._zip = zipfile.ZipFile(path)
        except InputError:
            raise
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise MissingInputError(f"{path}: cannot be opened ({reason})") from error
        except Exception as error:  # zipfile raises more than BadZipFile
            raise CorruptInputError(f"{path}: damaged zip ({first_line(error)})") from error
        self._members = _named(filter(_is_shown, self._zip.infolist()))
        self._check_claims()

    @property
    def names(self) -> tuple[str, ...]:
        """Members, sorted; without folders and hidden files."""
        return tuple(sorted(self._members))

    def head(self, name: str, size: int) -> bytes:
        """The first ``size`` bytes of a member."""
        return self._read(name, size)

    def read(self, name: str) -> bytes:
        """All bytes of a member, at most ``MAX_FILE_BYTES``."""
        size = self._members[name].file_size
        if size > MAX_FILE_BYTES:
            raise LimitExceededError(
                f"{self.path}/{name}: {size} bytes are more than the limit of {MAX_FILE_BYTES}"
            )
        return self._read(name, MAX_FILE_BYTES)

    def _read(self, name: str, size: int) -> bytes:
        info = self._members[name]
        if info.flag_bits & _ENCRYPTED:
            raise UnsupportedFormatError(f"{self.path}/{name}: is encrypted")
        if info.compress_type not in _READABLE:
            raise UnsupportedFormatError(
                f"{self.path}/{name}: compressed in a rare way; zip it with the usual one (deflate)"
            )
        try:
            with self._zip.open(info) as file:
                return file.read(size)
        except Exception as error:  # as in __init__
            raise CorruptInputError(
                f"{self.path}/{name}: damaged zip ({first_line(error)})"
            ) from error

    def _check_claims(self) -> None:
        if len(self._members) > MAX_STUDY_FILES:
            raise LimitExceededError(
                f"{self.path}: {len(self._members)} files are more than the limit of "
                f"{MAX_STUDY_FILES}"
            )
        # No member gives more bytes than it claims, so the sum bounds the work.
        total = sum(info.file_size for info in self._members.values())
        if total > MAX_STUDY_BYTES:
            raise LimitExceededError(
                f"{self.path}: unfolds to {total} bytes; the limit is {MAX_STUDY_BYTES}"
            )


def _named(infos: Iterable[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Members by name; a further one of a name, which a zip may hold, is told by a number."""
    named: dict[str, zipfile.ZipInfo] = {}
    seen: Counter[str] = Counter()
    for info in infos:
        name = info.filename
        while name in named:
            seen[info.filename] += 1
            stem, suffix = posixpath.splitext(info.filename)
            name = f"{stem} ({seen[info.filename] + 1}){suffix}"
        named[name] = info
    return named


def _is_shown(info: zipfile.ZipInfo) -> bool:
    # Not ZipInfo.is_dir, which fails at an empty name.
    if not info.filename or info.filename.endswith("/"):
        return False
    parts = PurePosixPath(info.filename).parts
    return not any((p.startswith(".") and p != "..") or p in _HIDDEN for p in parts)


def _check_directory(path: str) -> None:
    """Refuse a list of members that would itself fill the memory, before it is read.

    Sizes: APPNOTE.TXT 4.3.14 to 4.3.16.
    """
    size = Path(path).stat().st_size
    if size > MAX_ARCHIVE_BYTES:
        raise LimitExceededError(
            f"{path}: {size} bytes are more than the limit of {MAX_ARCHIVE_BYTES}"
        )
    with Path(path).open("rb") as file:
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

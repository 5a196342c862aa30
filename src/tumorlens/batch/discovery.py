"""Find the inputs of a batch one by one, so that work begins at once, however many there are.

Only the names of one folder at a time are in memory. The order is that of the names, so every
machine finds the same inputs in the same order.
"""

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import RawIOBase
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from tumorlens.batch.items import Item, joint_stamp
from tumorlens.batch.lists import count_rows, listed_paths, manifest_paths
from tumorlens.batch.remote import is_remote, located_url, remote_items
from tumorlens.datasets.tables import is_parquet
from tumorlens.errors import BatchError, InputError, MissingInputError
from tumorlens.imaging.finder import kind_of, walk
from tumorlens.imaging.formats.registry import claims_image
from tumorlens.imaging.reader import unopened

if TYPE_CHECKING:
    from tumorlens.imaging.dicom.header import Membership

STANDARD_INPUT: Final = "-"
_PATTERN: Final = frozenset("*?[")
_DIRECTORY: Final = "DICOMDIR"
"""The name of a DICOM directory (PS3.10 8.6)."""
_FEW_DICOM: Final = 1000
"""Most DICOM files of a folder that are taken for one study, that of the first of them."""
_LARGEST_STUDY: Final = 10_000
"""Most DICOM files of one item: their headers are in memory, about 4 KiB each."""


class Discovery:
    """The inputs that an argument names, and the number of files that were left out."""

    def __init__(self, argument: str) -> None:
        """``argument``: a folder, file, zip archive, pattern, manifest, URL or ``-``."""
        self.argument = argument
        self.skipped = 0
        """Files that do not begin like an image or volume, so far."""

    def __iter__(self) -> Iterator[Item]:
        """Raise ``BatchError`` if there is no such file or folder, or none that matches."""
        if self.argument == STANDARD_INPUT:
            return self._listed(map(absolute, listed_paths(_standard_input())))
        if is_remote(self.argument):
            return remote_items(self.argument)
        if _is_manifest(self.argument):
            return self._listed(manifest_paths(Path(self.argument)))
        if Path(self.argument).is_dir():
            return self._folder(self.argument)
        if (pattern := _pattern_of(self.argument)) is not None:
            # Path.glob takes no absolute pattern and does not hide hidden files.
            matches = sorted(glob.iglob(pattern, recursive=True))  # noqa: PTH207
            if not matches:
                raise BatchError(f"{self.argument}: no file matches this pattern")
            return self._named(matches)
        if not Path(self.argument).exists():
            raise BatchError(f"{self.argument}: no such file or folder")
        return self._named([self.argument])

    def _named(self, paths: Iterable[str]) -> Iterator[Item]:
        """Each of ``paths``; consecutive DICOM files of one folder are grouped as in a folder."""
        kinds = ((path, kind_of(path)) for path in paths)
        for folder, run in groupby(kinds, key=_dicom_folder):
            if folder is not None:
                yield from _of_one_folder(folder, [path for path, _ in run])
                continue
            for path, kind in run:
                # Path.is_dir raises for a name that is too long, which would end the whole batch.
                yield from self._folder(path) if os.path.isdir(path) else self._file(path, kind)  # noqa: PTH112

    def _listed(self, paths: Iterable[str]) -> Iterator[Item]:
        for remote, run in groupby(paths, key=is_remote):
            if remote:
                for path in run:
                    yield from remote_items(path)
            else:
                yield from self._named(run)

    def _folder(self, folder: str) -> Iterator[Item]:
        """Everything in it and below, without hidden files."""
        unread: list[OSError] = []
        studies, directories = _Studies(), _Directories()
        for parent, names in walk(folder, unread):
            paths = [str(Path(parent) / name) for name in names]
            yield from directories.enter(parent)
            dicom: list[str] = []
            yield from self._of_folder(paths, dicom)
            yield from studies.add(parent, directories.take_from(dicom))
        yield from studies.rest()
        yield from directories.rest()
        for error in unread:
            yield failure(str(error.filename), unopened(error.filename, error))

    def _of_folder(self, paths: Iterable[str], dicom: list[str]) -> Iterator[Item]:
        """The files of a folder; those of DICOM are added to ``dicom``."""
        for path in paths:
            kind = kind_of(path)
            if kind == "dicom":
                dicom.append(path)
            elif kind is None and not claims_image(path):
                self.skipped += 1
            else:
                yield from self._file(path, kind)

    def _file(self, path: str, kind: str | None) -> Iterator[Item]:
        """A file, or the members of an archive."""
        if kind == "zip":
            yield from self._archive(path)
        else:
            yield _plain(path)

    def _archive(self, path: str) -> Iterator[Item]:
        from tumorlens.imaging.archive import Archive
        from tumorlens.imaging.members import list_members

        file = _plain(path)
        stamp, _ = joint_stamp([(file.size, file.stamp)])
        try:
            listed = list_members(Archive(path))
        except InputError as error:
            yield failure(path, error)
            return
        self.skipped += listed.skipped
        yield from (Item("member", path, (name,), stamp=stamp) for name in listed.plain)
        yield from (failure(name, error) for name, error in listed.failures)
        if listed.dicom:
            yield Item("dicom_members", path, tuple(listed.dicom), stamp=stamp)


def located(argument: str) -> str:
    """The argument of ``Discovery`` that stands for the same inputs in every working folder.

    Links are kept: a link names the same source after its target has moved.
    """
    return argument if argument == STANDARD_INPUT else absolute(argument)


def absolute(path: str) -> str:
    """A path or URL that means the same in every working folder."""
    if is_remote(path):
        return located_url(path)
    # The working folder may be gone; a path from the root does not need it.
    return str(Path(path)) if Path(path).is_absolute() else _below(Path.cwd(), path)


def _below(folder: Path, path: str) -> str:
    """``path`` from ``folder``. Only ``..`` at its beginning go up: others may follow a link."""
    parts = Path(path).parts
    while parts[:1] == ("..",):
        folder, parts = folder.parent, parts[1:]
    return str(folder.joinpath(*parts))


def failure(path: str, error: InputError) -> Item:
    """An input that already failed; it gets a row too."""
    return Item("failure", path, message=str(error), error=error.kind)


def count_files(argument: str) -> int | None:
    """About how many files there are, without opening any; None if that is unknown."""
    if argument == STANDARD_INPUT or is_remote(argument):
        return None
    with suppress(OSError):  # the batch itself says what is wrong
        if _is_manifest(argument):
            return count_rows(Path(argument))
        if Path(argument).is_dir():
            return sum(len(names) for _, _, names in os.walk(argument))
    return None


def _dicom_folder(named: tuple[str, str | None]) -> str | None:
    """The folder of a DICOM file of that path and kind; None of other files."""
    path, kind = named
    return str(Path(path).parent) if kind == "dicom" else None


def _plain(path: str) -> Item:
    try:
        status = os.stat(path)  # noqa: PTH116  (a Path for each of millions of files costs)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return failure(path, MissingInputError(f"{path}: no such file"))
    except OSError as error:
        return failure(path, unopened(path, error))
    return Item("file", path, size=status.st_size, stamp=str(status.st_mtime_ns))


def _dicom(folder: str, paths: Sequence[str]) -> Item:
    stamp, size = joint_stamp((item.size, item.stamp) for item in map(_plain, paths))
    return Item("dicom", folder, tuple(paths), size, stamp)


def _of_one_folder(folder: str, paths: Sequence[str]) -> Iterator[Item]:
    """Consecutive DICOM files of a folder."""
    if len(paths) == 1:
        yield _dicom(paths[0], paths)
        return
    studies = _Studies()
    yield from studies.add(folder, paths)
    yield from studies.rest()


@dataclass
class _Directory:
    """A DICOM directory, and the number of other DICOM files in its folder and below."""

    path: str
    named: int
    files: int = 0

    @property
    def folder(self) -> Path:
        return Path(self.path).parent

    def missing(self) -> Iterator[Item]:
        """A failure where it names more files than there are."""
        if self.named > self.files:
            missing = f"{self.named - self.files} of {self.named} files"
            what = f"{missing} that the DICOM directory names are missing"
            yield failure(self.path, MissingInputError(f"{self.path}: {what}"))


class _Directories:
    """The DICOM directories of the folder that is walked, and of those above it."""

    def __init__(self) -> None:
        self._open: list[_Directory] = []

    def enter(self, folder: str) -> Iterator[Item]:
        """Go on to ``folder``; yield what is missing of the directories that end before it."""
        while self._open and not Path(folder).is_relative_to(self._open[-1].folder):
            yield from self._open.pop().missing()

    def take_from(self, dicom: Sequence[str]) -> list[str]:
        """Note the DICOM files of the folder; return those that are no directory."""
        others = []
        for path in dicom:
            is_named_so = Path(path).name.upper() == _DIRECTORY
            membership = _membership_of(path) if is_named_so else None
            if membership is not None and membership.named:
                self._open.append(_Directory(path, membership.named))
            else:
                others.append(path)
        for directory in self._open:
            directory.files += len(others)
        return others

    def rest(self) -> Iterator[Item]:
        """What is missing of all that are left."""
        while self._open:
            yield from self._open.pop().missing()


class _Studies:
    """DICOM folders as items; consecutive folders of one study are one item.

    Exports have a folder for each series, and a study of several series gets a joint answer.
    """

    def __init__(self) -> None:
        self._study: str | None = None
        self._folders: list[str] = []
        self._paths: list[str] = []

    def add(self, folder: str, paths: Sequence[str]) -> Iterator[Item]:
        """Add the files of ``folder``; yield the items that are complete now."""
        for study, members in _divided(paths):
            fits = len(self._paths) + len(members) <= _LARGEST_STUDY
            if study is None or study != self._study or not fits:
                yield from self.rest()
            self._study = study
            self._folders.append(folder)
            self._paths += members

    def rest(self) -> Iterator[Item]:
        """The item of the folders that were added last."""
        if self._paths:
            yield _dicom(os.path.commonpath(self._folders), self._paths)
        self._study, self._folders, self._paths = None, [], []


def _divided(paths: Sequence[str]) -> Iterator[tuple[str | None, Sequence[str]]]:
    """The DICOM files of a folder, by study where there are many; None of unknown studies.

    Of many, files without an image, such as reports, are left out: beside images they need no
    answer.
    """
    if len(paths) <= _FEW_DICOM:
        if paths:
            membership = _membership_of(paths[0])
            yield membership.study_uid if membership else None, paths
        return
    studies: dict[str, dict[str, list[str]]] = {}
    others: list[str] = []
    for path in paths:
        membership = _membership_of(path)
        if membership is not None and not membership.is_image:
            others.append(path)
            continue
        series = (membership and membership.series_uid) or path
        study = (membership and membership.study_uid) or series
        studies.setdefault(study, {}).setdefault(series, []).append(path)
    for study, by_series in studies.items():
        yield from _of_study(study, list(by_series.values()))
    if not studies:
        yield None, others


def _of_study(study: str, series: list[list[str]]) -> Iterator[tuple[str | None, Sequence[str]]]:
    """The files of a study; the series of a very large one each by itself.

    Files that are alone in their series stay together: they may be slices of one volume.
    """
    if sum(map(len, series)) <= _LARGEST_STUDY:
        yield study, sorted(chain.from_iterable(series))
        return
    yield from ((None, files) for files in series if len(files) > 1)
    if alone := sorted(files[0] for files in series if len(files) == 1):
        yield None, alone


def _membership_of(path: str) -> "Membership | None":
    # Imported here, so that pydicom is not loaded unless there are DICOM files.
    from tumorlens.imaging.series import membership_of

    return membership_of(path)


def _standard_input() -> RawIOBase:
    """Unbuffered: a thread that waits for a buffered one holds up the end of the process."""
    if sys.stdin is None:
        raise BatchError("standard input is closed: it should be a list of paths")
    return cast("RawIOBase", getattr(sys.stdin.buffer, "raw", sys.stdin.buffer))


def _pattern_of(path: str) -> str | None:
    """``path`` as a pattern of ``glob``, or None.

    The folders in it that exist are no patterns, whatever their names, such as the working folder.
    """
    folder = Path(path)
    while not folder.exists():
        folder = folder.parent
    below = str(Path(path).relative_to(folder))
    is_pattern = not _PATTERN.isdisjoint(below)
    return str(Path(glob.escape(str(folder)), below)) if is_pattern else None


def _is_manifest(path: str) -> bool:
    if is_parquet(Path(path)):
        return Path(path).exists()
    return path.lower().endswith((".csv", ".tsv")) and Path(path).is_file()

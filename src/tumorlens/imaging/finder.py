"""Find the images, volumes and series that files, folders, archives and patterns stand for."""

import dataclasses
import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tumorlens.errors import InputError, MissingInputError
from tumorlens.imaging.formats.dicom import DICOM
from tumorlens.imaging.formats.registry import SNIFF_BYTES, ZIP, claims_image, sniff
from tumorlens.imaging.input import File, Input
from tumorlens.imaging.reader import missing, unopened

if TYPE_CHECKING:
    from tumorlens.imaging.archive import Archive
    from tumorlens.imaging.series import Grouped, Series

_MAGIC: Final = frozenset("*?[")
_ROOM: Final = 32 << 20
"""Bytes of images that are kept from the look at their beginnings until they are read."""
_UNKNOWN: Final = "unknown"
"""The kind of a file that cannot be opened: it may be an image, and reading it gives the reason."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one argument stands for."""

    inputs: tuple[Input, ...]
    """What to read, in order: files, members of an archive, DICOM series."""
    skipped: int = 0
    """Files of a folder that do not begin like an image or volume, or are DICOM without one."""
    own: int = 0
    """DICOM reports and overlays of this package itself, passed over: an earlier answer."""
    failures: tuple[tuple[str, InputError], ...] = ()
    """Files that cannot be used, and why."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Those of ``inputs`` that are files."""
        return tuple(file.path for file in self.inputs if isinstance(file, File))

    @property
    def files(self) -> Iterator[str]:
        """All files that are read, those of series and archives among them, and what failed."""
        for input_ in self.inputs:
            yield from input_.files
        yield from (path for path, _ in self.failures)

    @property
    def error(self) -> InputError | None:
        """Why there is nothing to read, or the first failure."""
        return self.failures[0][1] if self.failures else None


def find_all(arguments: Iterable[str], *, apart: bool = False) -> list[Found]:
    """``find`` each; the images that are kept in memory share one bound.

    A shell gives a pattern as many arguments, so DICOM files among these are grouped into series,
    at the position of the first of them; not with ``apart``.
    """
    room = _Room(_ROOM)
    parts = [_find(argument, room) for argument in arguments]
    return parts if apart else _noted(_with_series(parts))


def find(argument: str) -> Found:
    """Resolve a file, a folder, a zip archive or a pattern such as ``scans/**/*.png``.

    A named file is always taken, whatever its kind. A folder gives what can be read in it and
    below, sorted by path, without hidden files and files of unknown kind. An archive is a folder
    in one file. The DICOM files of a folder, an archive or a pattern are grouped into series. A
    path that exists is never read as a pattern.

    The first bytes of every file are looked at. An image is read to its end while it is open, and
    kept until it is needed, as long as there is room: so it is opened once.
    """
    return _find(argument, _Room(_ROOM))


def _find(argument: str, room: "_Room") -> Found:
    if _exists(argument) or not _MAGIC.intersection(argument):
        return _resolve(argument, room)
    # Path.glob takes no absolute pattern and does not hide hidden files.
    matches = sorted(glob.iglob(argument, recursive=True))  # noqa: PTH207
    if not matches:
        error = missing(argument, "no file matches this pattern")
        return Found((), failures=((argument, error),))
    return _together(_noted(_with_series([_resolve(match, room) for match in matches])))


def _together(parts: Sequence[Found], skipped: int = 0) -> Found:
    """Several as one, ``skipped`` files more among them."""
    return Found(
        tuple(input_ for part in parts for input_ in part.inputs),
        sum(part.skipped for part in parts) + skipped,
        sum(part.own for part in parts),
        tuple(failure for part in parts for failure in part.failures),
    )


def _with_series(parts: Sequence[Found]) -> list[Found]:
    """``parts`` with single DICOM files grouped into series, at the position of the first."""
    named = [index for index, part in enumerate(parts) if _is_dicom(part)]
    if len(named) < 2:
        return list(parts)
    from tumorlens.imaging.series import group_files

    grouped = group_files(list(dict.fromkeys(parts[index].paths[0] for index in named)))
    if not grouped.series:
        return list(parts)
    series = _gathered("", (), grouped, 0)
    grouped_parts = dict(enumerate(parts)) | dict.fromkeys(named, Found(())) | {named[0]: series}
    return list(grouped_parts.values())


def _noted(parts: Sequence[Found]) -> list[Found]:
    """``parts``, with a note on each series that lies in several of them."""
    held = Counter(
        identity for part in parts for identity in {input_.identity for input_ in part.inputs}
    )
    split_up = {identity for identity, count in held.items() if identity and count > 1}
    if not split_up:
        return list(parts)
    from tumorlens.imaging.series import ELSEWHERE, Series

    def noted(input_: Input) -> Input:
        if isinstance(input_, Series) and input_.identity in split_up:
            return input_.noted(ELSEWHERE)
        return input_

    return [dataclasses.replace(part, inputs=tuple(map(noted, part.inputs))) for part in parts]


def _is_dicom(part: Found) -> bool:
    return [file.kind for file in part.inputs if isinstance(file, File)] == [DICOM.name]


def names_one(argument: str) -> bool:
    """Whether ``argument`` stands for one file, if for any: no folder, archive or pattern."""
    if _is_folder(argument) or (not _exists(argument) and _MAGIC.intersection(argument)):
        return False
    file = _look(argument, _Room(0))
    return file is None or file.kind != ZIP


def _is_folder(path: str) -> bool:
    # Path.is_dir raises for a name that is too long.
    return os.path.isdir(path)  # noqa: PTH112


def _resolve(path: str, room: "_Room") -> Found:
    if _is_folder(path):
        return _search(path, room)
    file = _look(path, room)
    return _unpack(path) if file is not None and file.kind == ZIP else Found((file or File(path),))


def _exists(argument: str) -> bool:
    try:
        Path(argument).lstat()
    except (OSError, ValueError):  # too long, or with a NUL, is no path either
        return False
    return True


def _search(folder: str, room: "_Room") -> Found:
    files: list[File] = []
    dicom: list[str] = []
    archives: list[str] = []
    unread: list[OSError] = []
    skipped = 0
    for path in _files(folder, unread):
        file = _look(path, room)
        if file is None:
            skipped += 1
        elif file.kind == DICOM.name:
            dicom.append(path)
        elif file.kind == ZIP:
            archives.append(path)
        else:
            files.append(file)
    grouped = None
    if dicom:
        # Here, not above: pydicom is not imported where there is no DICOM.
        from tumorlens.imaging.series import group_files

        grouped = group_files(dicom)
    failed = [(str(error.filename), unopened(error.filename, error)) for error in unread]
    return _with_archives(_gathered(folder, files, grouped, skipped, failed), archives)


def _with_archives(folder: Found, archives: Sequence[str]) -> Found:
    """Add what the archives of a folder hold; those without an image are skipped."""
    parts = [_unpack(path) for path in archives]
    full = [part for part in parts if not _is_empty(part)]
    if full and _is_empty(folder):  # the archives are all that the folder has
        folder = Found((), folder.skipped, folder.own)
    return _together(_noted([folder, *full]), len(parts) - len(full))


def _is_empty(part: Found) -> bool:
    """Whether nothing was found, and that is the only failure."""
    return not part.inputs and [type(error) for _, error in part.failures] == [MissingInputError]


def _unpack(path: str) -> Found:
    from tumorlens.imaging import members
    from tumorlens.imaging.archive import Archive

    try:
        archive = Archive(path)
    except InputError as error:
        return Found((), failures=((path, error),))
    listed = members.list_members(archive)
    plain: list[Input] = [members.Member(archive, name) for name in listed.plain]
    grouped = _grouped(archive, listed.dicom)
    return _gathered(path, plain, grouped, listed.skipped, listed.failures)


def _grouped(archive: "Archive", names: Sequence[str]) -> "Grouped | None":
    if not names:
        return None
    from tumorlens.imaging.series import group_members

    return group_members(archive, names)


def _gathered(
    where: str,
    plain: Sequence[Input],
    grouped: "Grouped | None",
    skipped: int,
    failed: Sequence[tuple[str, InputError]] = (),
) -> Found:
    """Put images and series in the order of their paths, the series of a study together."""
    keyed: list[tuple[tuple[str, ...], Input]] = [((input_.path,), input_) for input_ in plain]
    failures = list(failed)
    own = 0
    if grouped is not None:
        keyed += _by_study(grouped.series)
        failures += grouped.failures
        skipped += grouped.skipped
        own = grouped.own
        keyed.sort(key=lambda pair: pair[0])
    if not keyed and not failures:
        failures.append((where, MissingInputError(f"{where}: contains no image")))
    return Found(tuple(input_ for _, input_ in keyed), skipped, own, tuple(failures))


def _by_study(all_series: Sequence["Series"]) -> Iterator[tuple[tuple[str, ...], Input]]:
    """Each series with what it is sorted by: the first file of its study, then its own."""
    first: dict[str, str] = {}
    for series in all_series:
        study = series.facts.study_instance_uid or series.first
        first[study] = min(first.get(study, series.first), series.first)
    for series in all_series:
        yield (first[series.facts.study_instance_uid or series.first], series.first), series


def _files(folder: str, unread: list[OSError]) -> Iterator[str]:
    """Yield the files below ``folder``, sorted, without hidden ones."""
    for parent, names in walk(folder, unread):
        yield from (str(Path(parent) / name) for name in names)


def walk(folder: str, unread: list[OSError]) -> Iterator[tuple[str, list[str]]]:
    """Each folder from ``folder`` down with the names of its files, sorted, without hidden ones.

    Linked folders are followed, each folder once: a link may lead back to a folder above it. Errors
    of folders that cannot be read are added to ``unread``.
    """
    known = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, onerror=unread.append, followlinks=True):
        followed = []
        for name in sorted(name for name in folders if not name.startswith(".")):
            target = os.path.realpath(Path(parent) / name)
            if target not in known:
                known.add(target)
                followed.append(name)
        folders[:] = followed
        yield parent, sorted(name for name in names if not name.startswith("."))


def kind_of(path: str) -> str | None:
    """Its kind by its first bytes (``registry.sniff``); ``unknown`` where it cannot be opened."""
    try:
        if not Path(path).is_file():
            return None
        with Path(path).open("rb") as file:
            return sniff(file.read(SNIFF_BYTES))
    except (OSError, ValueError):
        return _UNKNOWN


class _Room:
    """Bytes that may still be kept."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> bool:
        """Whether ``size`` more may be kept; if so, they are counted."""
        fits = size <= self._left
        self._left -= size if fits else 0
        return fits


def _look(path: str, room: _Room) -> File | None:
    """The file with its kind; None where neither its first bytes nor its name are of an image."""
    try:
        if not Path(path).is_file():
            return File(path) if claims_image(path) else None
        with Path(path).open("rb") as file:
            beginning = file.read(SNIFF_BYTES)
            kind = sniff(beginning)
            if kind is None and not claims_image(path):
                return None
            if kind in (DICOM.name, ZIP) or not room.take(os.fstat(file.fileno()).st_size):
                return File(path, kind)
            return File(path, kind, beginning + file.read())
    except (OSError, ValueError):
        return File(path, _UNKNOWN)

"""DICOM files to series: grouped by SeriesInstanceUID, each split into stacks in space."""

import dataclasses
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final

import msgspec
from pydicom.dataset import Dataset

from tumorlens.errors import InputError, LimitExceededError, MissingInputError, NotMRError
from tumorlens.imaging.archive import Archive
from tumorlens.imaging.dicom.header import Header, Membership, header_of, read_membership
from tumorlens.imaging.dicom.parse import parse
from tumorlens.imaging.dicom.pixels import Levels, read_frames
from tumorlens.imaging.dicom.reader import Location, name_of, read_stack
from tumorlens.imaging.dicom.tags import number, text, whole
from tumorlens.imaging.facts import DEFAULT_PLANE, AcquisitionFacts, Vector
from tumorlens.imaging.geometry.slice_ordering import Stack, split, split_unplaced
from tumorlens.imaging.input import Read, common_path
from tumorlens.imaging.limits import MAX_STUDY_FILES
from tumorlens.imaging.placing import with_positions
from tumorlens.imaging.reader import load_file, open_file
from tumorlens.imaging.regroup import apart, joined
from tumorlens.text import counted

Failures = list[tuple[str, InputError]]
ELSEWHERE: Final = (
    "other files of this series lie in another folder or archive, and are answered separately"
)
UNPLACED: Final = (
    "other frames of the file state where they lie, these do not; they are answered separately"
)

SAME_UID: Final = (
    "another file has the same SOP Instance UID but other pixels; which one is right is not stated"
)


@dataclass(frozen=True, slots=True)
class Series:
    """One stack of slices of a DICOM series, not read yet."""

    path: str
    """The folder or archive that its files have in common, or its only file."""
    first: str
    """Its first file, for sorting."""
    stack: Stack
    header: Header
    """Of one of its files."""
    archive: Archive | None = None

    @property
    def facts(self) -> AcquisitionFacts:
        """What its first file says."""
        return self.header.facts

    @property
    def files(self) -> tuple[str, ...]:
        """What lies on the disk: its files, or the archive."""
        return tuple({frame.facts.path: None for frame in self.stack.frames})

    @property
    def is_single(self) -> bool:
        """No: it may be a large volume."""
        return False

    @property
    def identity(self) -> tuple[str, ...]:
        """Patient, study and series as its files state them; empty where they state no series."""
        patient, study, uid = (
            self.facts.patient, self.facts.study_instance_uid, self.facts.series_instance_uid,
        )  # fmt: skip
        return (patient or "", study or "", uid) if uid else ()

    def noted(self, note: str) -> "Series":
        """Itself, with one more note."""
        stack = msgspec.structs.replace(self.stack, notes=(*self.stack.notes, note))
        return dataclasses.replace(self, stack=stack)

    def read(self, plane: str = DEFAULT_PLANE) -> Read:
        """As ``Input.read``; raises ``InputError`` where no slice can be read."""
        header = msgspec.structs.replace(self.header, source=self.path)
        return Read(*read_stack(self.stack, header, self._load, plane))

    def _load(self, location: Location) -> Dataset:
        path, member = location
        if self.archive is None or member is None:
            return parse(load_file(path), path)
        return parse(self.archive.read(member), name_of(location))


@dataclass(frozen=True, slots=True)
class Grouped:
    """The contents of several DICOM files."""

    series: list[Series]
    failures: Failures
    skipped: int
    """Files that are no image: reports, presentation states, directories."""
    own: int = 0
    """Reports and overlays that this package wrote as an earlier answer."""


def membership_of(path: str) -> Membership | None:
    """Where the DICOM file at ``path`` belongs; None where it cannot be read."""
    try:
        with open_file(path) as stream:
            return read_membership(parse(stream, path, pixels=False), path)
    except InputError:
        return None


def group_files(paths: Sequence[str], *, are_all: bool = True) -> Grouped:
    """Group the DICOM files at ``paths``; only their headers are read.

    Unless they ``are_all`` that there are, files that a DICOM directory names may lie elsewhere.
    """
    locations = [(path, None) for path in paths]
    return _group(locations, lambda location: open_file(location[0]), None, are_all)


def group_members(archive: Archive, names: Sequence[str], *, are_all: bool = True) -> Grouped:
    """Group the DICOM members of an archive; arguments as above."""

    def open_(location: Location) -> BinaryIO:
        return io.BytesIO(archive.read(location[1] or ""))

    return _group([(archive.path, name) for name in names], open_, archive, are_all)


def _group(
    locations: Sequence[Location],
    open_: Callable[[Location], BinaryIO],
    archive: Archive | None,
    are_all: bool,
) -> Grouped:
    if len(locations) > MAX_STUDY_FILES:
        where = os.path.dirname(name_of(locations[0]))  # noqa: PTH120  (a text, not a path)
        limit = LimitExceededError(
            f"{where}: {len(locations)} DICOM files are more than the limit of {MAX_STUDY_FILES}"
        )
        return Grouped([], [(where, limit)], 0)
    headers: dict[str, list[Header]] = {}
    refused: dict[str, list[tuple[str, NotMRError]]] = {}
    concatenations: dict[str, _Concatenation] = {}
    failures: Failures = []
    skipped = own = named = 0
    directory, others = "", len(locations)
    for location in locations:
        uid = name = name_of(location)
        try:
            with open_(location) as stream:
                dataset = parse(stream, name, pixels=False)
            membership = read_membership(dataset, name)
            if membership.is_own:
                own += 1
                continue
            if not membership.is_image:
                skipped += 1
                if membership.named:
                    directory, named, others = name, named + membership.named, others - 1
                continue
            uid = membership.series_uid or name
            header = header_of(dataset, name, *location)
            if (divided := text(dataset, "ConcatenationUID")) is not None:
                concatenations.setdefault(divided, _Concatenation(name)).add(dataset)
            headers.setdefault(uid, []).append(header)
        except NotMRError as error:
            refused.setdefault(uid, []).append((name, error))
        except InputError as error:
            failures.append((name, error))
    failures.extend(_once(errors) for errors in refused.values())
    failures.extend(image.failure() for image in concatenations.values() if image.missing > 0)
    if are_all and named > others:  # by number, as files that were sent may have other names
        what = f"{named - others} of {named} files that the DICOM directory names are missing"
        failures.append((directory, MissingInputError(f"{directory}: {what}")))
    split_up = [part for files in headers.values() for part in apart(files)]
    series, damaged = _all_series(joined(split_up), archive, open_)
    return Grouped(series, [*failures, *damaged], skipped, own)


@dataclass
class _Concatenation:
    """The files that one image of many frames was divided into (PS3.3 C.7.6.16.2.2.4)."""

    first: str
    numbers: set[float | None] = field(default_factory=set)
    total: int = 0

    def add(self, dataset: Dataset) -> None:
        self.numbers.add(number(dataset, "InConcatenationNumber"))
        self.total = max(self.total, whole(dataset, "InConcatenationTotalNumber", 0))

    @property
    def missing(self) -> int:
        """Number of missing files, as far as the others tell the total."""
        return max(self.total, int(max(filter(None, self.numbers), default=0))) - len(self.numbers)

    def failure(self) -> tuple[str, InputError]:
        count = self.missing + len(self.numbers)
        what = f"{self.missing} of {count} files that the image is divided into are missing"
        return self.first, MissingInputError(f"{self.first}: {what}")


def _once(errors: Sequence[tuple[str, InputError]]) -> tuple[str, InputError]:
    """One error for the files of a series that cannot be used for the same reason."""
    path, first = errors[0]
    if len(errors) == 1:
        return path, first
    others = counted(len(errors) - 1, "more file")
    return path, type(first)(f"{first} (the same holds for {others} of the series)")


def _without_damaged_copies(
    headers: Sequence[Header], open_: Callable[[Location], BinaryIO]
) -> tuple[list[Header], Failures]:
    """``headers`` without the damaged files of which there is an intact copy, and their error.

    Copies have one SOP Instance UID and position. If they have other pixels, they get a note.
    Without the position, each file of a series that was made anonymous with one UID would be noted.
    """
    by_uid: dict[tuple[str | None, Vector | None], list[Location]] = {}
    for header in headers:
        by_uid.setdefault(_uid_and_position(header), []).append(_key(header))
    conflicting: set[tuple[str | None, Vector | None]] = set()
    damaged: dict[Location, InputError] = {}
    for key, locations in by_uid.items():
        if not key[0] or len(locations) < 2 or _are_copies(locations, open_):
            continue
        errors = {at: error for at in locations if (error := _damage(at, open_)) is not None}
        left = [at for at in locations if at not in errors] or locations
        damaged |= errors if left is not locations else {}
        if not _are_copies(left, open_):
            conflicting.add(key)
    noted = [
        _noted(header) if _uid_and_position(header) in conflicting else header
        for header in headers
        if _key(header) not in damaged
    ]
    failures = [(name_of(at), error) for at, error in damaged.items()]
    return noted, [_once(failures)] if failures else []


def _uid_and_position(header: Header) -> tuple[str | None, Vector | None]:
    facts = header.frames[0].facts
    return facts.sop_instance_uid, facts.position_mm


def _noted(header: Header) -> Header:
    frames = tuple(
        msgspec.structs.replace(frame, notes=(*frame.notes, SAME_UID), is_disputed=True)
        for frame in header.frames
    )
    return msgspec.structs.replace(header, frames=frames)


def _are_copies(locations: Sequence[Location], open_: Callable[[Location], BinaryIO]) -> bool:
    return len({_pixels(at, open_) for at in locations}) == 1


def _pixels(location: Location, open_: Callable[[Location], BinaryIO]) -> str:
    """A hash of the stored pixels of a file; empty where they cannot be read."""
    try:
        with open_(location) as stream:
            dataset = parse(stream, name_of(location))
    except InputError:
        return ""
    return hashlib.sha256(dataset.get("PixelData") or b"").hexdigest()


def _damage(location: Location, open_: Callable[[Location], BinaryIO]) -> InputError | None:
    """The first error of the pixels of a file; None where all of them can be read."""
    name = name_of(location)
    try:
        with open_(location) as stream:
            dataset = parse(stream, name)
        frames = read_frames(dataset, name, Levels(windowed=False))
        return next((frame for frame in frames if isinstance(frame, InputError)), None)
    except InputError as error:
        return error


def _all_series(
    parts: Sequence[Sequence[Header]],
    archive: Archive | None,
    open_: Callable[[Location], BinaryIO],
) -> tuple[list[Series], Failures]:
    series: list[Series] = []
    failures: Failures = []
    for headers in parts:
        usable, damaged = _without_damaged_copies(headers, open_)
        series.extend(_series(usable, archive))
        failures.extend(damaged)
    return series, failures


def _series(headers: Sequence[Header], archive: Archive | None) -> Iterable[Series]:
    by_file = {_key(header): header for header in headers}
    # Captures without a position are images; slices without one are still a series.
    slices = with_positions(
        [h.frames[0] for h in headers if h.is_mr_storage and len(h.frames) == 1]
    )
    others = [h.frames for h in headers if not (h.is_mr_storage and len(h.frames) == 1)]
    everything = [*slices, *(frame for frames in others for frame in frames)]
    stacks = split([frame for frame in everything if frame.placed])
    stacks += split_unplaced([frame for frame in slices if not frame.placed])
    for frames in others:
        unplaced = [frame for frame in frames if not frame.placed]
        note = (UNPLACED,) if len(unplaced) < len(frames) else ()
        stacks += [
            msgspec.structs.replace(stack, notes=(*stack.notes, *note))
            for stack in split(unplaced, keep_order=True)
        ]
    for stack in stacks:
        locations = [(frame.facts.path, frame.facts.member) for frame in stack.frames]
        names = sorted({name_of(location) for location in locations})
        path = names[0] if len(names) == 1 else common_path(names)
        yield Series(path, names[0], stack, by_file[locations[0]], archive)


def _key(header: Header) -> Location:
    return header.frames[0].facts.path, header.frames[0].facts.member

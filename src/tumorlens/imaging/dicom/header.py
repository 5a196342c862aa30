"""What is kept of a DICOM file without its data set: facts, and where each frame lies."""

import hashlib
from collections.abc import Iterable
from datetime import date, datetime
from typing import Final, NamedTuple

import msgspec
import numpy as np
from pydicom.dataset import Dataset

from tumorlens.errors import CorruptInputError
from tumorlens.imaging.decoding import decoding
from tumorlens.imaging.dicom.derived import is_own
from tumorlens.imaging.dicom.grayscale import has_window, oddities
from tumorlens.imaging.dicom.kinds import MR, check_kind, is_image, is_mr_storage, kind_notes
from tumorlens.imaging.dicom.subject import body_part, purpose_notes, subject_notes
from tumorlens.imaging.dicom.tags import (
    element,
    frame_count,
    functional_group,
    is_stated,
    items,
    number,
    numbers,
    shape,
    text,
    texts,
    whole,
)
from tumorlens.imaging.dicom.traits import traits_of
from tumorlens.imaging.facts import AcquisitionFacts, SliceFacts, Vector
from tumorlens.imaging.geometry.slice_ordering import Frame
from tumorlens.imaging.geometry.turn import Turn, turn_of
from tumorlens.imaging.limits import can_be_a_head

_TIE_BREAKERS: Final = (
    "AcquisitionNumber", "EchoNumbers", "TemporalPositionIdentifier", "InstanceNumber",
    "AcquisitionDateTime", "AcquisitionTime", "ContentTime",
)  # fmt: skip

_DATES: Final = ("AcquisitionDate", "AcquisitionDateTime", "SeriesDate", "StudyDate")
_SHARED: Final = (
    "PatientID", "PatientName", "PatientBirthDate", "StudyDate", "Modality", "SeriesDescription",
    "ProtocolName", "SequenceName", "Manufacturer",
)  # fmt: skip
"""What all slices of one series state alike, beside their UIDs and the number of the series."""
_OF_ONE: Final = ("StudyInstanceUID", "StudyDate", "PatientBirthDate", "PatientName")
"""The same for all slices of a series; anonymisers that give all files one UID may keep it."""

_CINE: Final = "the frames of the file are points in time, as it states; they are read as slices"


class Header(msgspec.Struct, frozen=True):
    """One file, without its pixels."""

    source: str
    """For messages."""
    facts: AcquisitionFacts
    frames: tuple[Frame, ...]
    bit_depth: int
    mode: str
    is_mr_storage: bool = True
    """Whether its SOP class is one of MR images, not a capture of something."""
    siblings: str = ""
    """A hash of what all slices of one series share, whatever their UIDs: patient, date, names."""
    examination: tuple[str, ...] = ()
    """Study, its date, and the patient's birth date and name; each a hash, empty if not stated."""


class Membership(msgspec.Struct, frozen=True):
    """Which series and study a file belongs to."""

    is_own: bool
    """Whether it is an answer that this package wrote (``derived.is_own``)."""
    is_image: bool
    series_uid: str | None
    study_uid: str | None
    named: int = 0
    """Files that it names, where it is a directory (PS3.3 F.3)."""


def read_membership(dataset: Dataset, source: str) -> Membership:
    """Whether it is ours or an image, and its series and study.

    Raises ``CorruptInputError``.
    """
    with decoding(source, "DICOM"):  # pydicom converts values when they are asked for
        return Membership(
            is_own(dataset),
            is_image(dataset),
            text(dataset, "SeriesInstanceUID"),
            text(dataset, "StudyInstanceUID"),
            _named(dataset),
        )


def _named(dataset: Dataset) -> int:
    records = element(dataset, "DirectoryRecordSequence") or ()
    return sum("ReferencedFileID" in record for record in records)


def header_of(dataset: Dataset, source: str, path: str, member: str | None = None) -> Header:
    """Describe an MR image.

    ``path`` and ``member`` are where the file is, for ``SliceFacts``. Raises ``NotMRError`` for
    another modality, ``UnsupportedFormatError`` for an object that is no image,
    ``CorruptInputError`` and ``LimitExceededError``.
    """
    with decoding(source, "DICOM"):
        check_kind(dataset, source)
        return _describe(dataset, source, path, member)


def _describe(dataset: Dataset, source: str, path: str, member: str | None) -> Header:
    count = frame_count(dataset, source)
    groups = element(dataset, "PerFrameFunctionalGroupsSequence")
    if groups is not None and len(groups) not in (0, count):
        raise CorruptInputError(
            f"{source}: damaged DICOM ({len(groups)} functional groups for {count} frames)"
        )
    # Read once: they are the same for all frames of a file.
    subject = subject_notes(dataset)
    common = _Common(
        path, member, "NumberOfFrames" in dataset, count, shape(dataset, source), _order(dataset),
        text(dataset, "SOPInstanceUID"), bool(subject),
        (*kind_notes(dataset), *subject, *_count_notes(dataset)),
    )  # fmt: skip
    frames = tuple(_frame(dataset, index, common, source) for index in range(count))
    return Header(
        source=source,
        facts=_facts(dataset),
        frames=frames,
        bit_depth=whole(dataset, "BitsStored", 0) or whole(dataset, "BitsAllocated", 16),
        mode=text(dataset, "PhotometricInterpretation") or "None",
        is_mr_storage=is_mr_storage(dataset),
        siblings=_hash(text(dataset, keyword) or "" for keyword in _SHARED),
        examination=tuple(_hash_of(dataset, keyword) for keyword in _OF_ONE),
    )


def _hash_of(dataset: Dataset, keyword: str) -> str:
    """A hash of the element; empty where it is not stated."""
    stated = text(dataset, keyword)
    return "" if stated is None else _hash([stated])


def _hash(words: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()


class _Common(NamedTuple):
    path: str
    member: str | None
    is_multi_frame: bool
    frames: int
    shape: tuple[int, int]
    order: tuple[float, ...]
    uid: str | None
    is_other_subject: bool
    notes: tuple[str, ...]


def _frame(dataset: Dataset, index: int, common: _Common, source: str) -> Frame:
    axes, position = _geometry(dataset, index, multi=common.frames > 1)
    # Without a position it is not known where the slice lies, but which way it is turned.
    row, column = axes if axes and position else (None, None)
    number_in_file = index + 1 if common.is_multi_frame else None
    slice_facts = SliceFacts(common.path, common.member, number_in_file, common.uid, position)
    spacing, spacing_notes = _spacing(dataset, index, common.shape)
    purpose = purpose_notes(dataset, index)
    frame = Frame(
        facts=slice_facts,
        shape=common.shape,
        row=row,
        column=column,
        spacing_mm=spacing,
        aspect=None if spacing or spacing_notes else _aspect(dataset),
        thickness_mm=_thickness(dataset, index),
        order=(*common.order, index),
        windowed=has_window(dataset, index, source),
        traits=traits_of(dataset, index),
        location_mm=number(dataset, "SliceLocation"),
        number=number(dataset, "InstanceNumber") if common.frames == 1 else float(index),
        in_stack=number(
            functional_group(dataset, index, "FrameContentSequence"), "InStackPositionNumber"
        ),
        outside_training=common.is_other_subject or bool(purpose),
        notes=(
            *common.notes,
            *purpose,
            *spacing_notes,
            *oddities(dataset, index),
        ),
    )
    turn = turn_of(*axes) if axes else None
    return frame if turn is None else _turned(frame, turn)


def _turned(frame: Frame, turn: Turn) -> Frame:
    """``frame`` as if it were stored as ``turn`` makes it."""
    axes = (frame.column, frame.row)
    shape, spacing, aspect = frame.shape, frame.spacing_mm, frame.aspect
    if turn.exchanged:
        axes, shape = axes[::-1], shape[::-1]
        spacing, aspect = spacing and spacing[::-1], aspect and aspect[::-1]
    corner, directions = frame.facts.position_mm, []
    reversed_ = turn.rows_reversed, turn.columns_reversed
    # Without a spacing, no position within a slice is used.
    for axis, count, step, backwards in zip(axes, shape, spacing or (0, 0), reversed_, strict=True):
        if backwards and axis and corner:
            corner = _vector(np.asarray(corner) + (count - 1) * step * np.asarray(axis))
            axis = _vector(0.0 - np.asarray(axis))
        directions.append(axis)
    return msgspec.structs.replace(
        frame, facts=msgspec.structs.replace(frame.facts, position_mm=corner), turn=turn,
        shape=shape, spacing_mm=spacing, aspect=aspect, column=directions[0], row=directions[1],
    )  # fmt: skip


def _count_notes(dataset: Dataset) -> list[str]:
    frames = number(dataset, "NumberOfFrames")
    if is_stated(dataset, "NumberOfFrames") and (frames is None or frames < 1):
        return ["the file's number of frames is not plausible and is not used"]
    times = any(is_stated(dataset, keyword) for keyword in ("FrameTime", "FrameTimeVector"))
    return [_CINE] if times and frames is not None and frames > 1 else []


def _order(dataset: Dataset) -> tuple[float, ...]:
    return tuple(number(dataset, keyword) or 0.0 for keyword in _TIE_BREAKERS)


def _geometry(
    dataset: Dataset, index: int, *, multi: bool
) -> tuple[tuple[Vector, Vector] | None, Vector | None]:
    """Directions along rows and columns, and position of a frame; none without directions.

    The plain elements at the top of a multi-frame file are those of no frame in particular.
    """
    orienting = functional_group(dataset, index, "PlaneOrientationSequence")
    placing = functional_group(dataset, index, "PlanePositionSequence")
    if orienting is None and placing is None and not multi:
        orienting = placing = dataset
    axes = numbers(element(orienting, "ImageOrientationPatient"), 6)
    if axes is None:
        return None, None
    row, column = np.asarray(axes[:3]), np.asarray(axes[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if min(lengths) < 0.5 or max(lengths) > 2 or abs(row @ column) > 0.1:
        return None, None
    position = numbers(element(placing, "ImagePositionPatient"), 3)
    corner = None if position is None else _vector(np.asarray(position))
    return (_vector(row / lengths[0]), _vector(column / lengths[1])), corner


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return (x, y, z)


def _spacing(
    dataset: Dataset, index: int, size: tuple[int, int]
) -> tuple[tuple[float, float] | None, list[str]]:
    """(row, column) spacing; none, with a note, where no head could have it."""
    measures = functional_group(dataset, index, "PixelMeasuresSequence") or dataset
    spacing = numbers(element(measures, "PixelSpacing"), 2)
    if spacing is None:
        return None, []
    if all(can_be_a_head(step * side) for step, side in zip(spacing, size, strict=True)):
        return (spacing[0], spacing[1]), []
    pixels = f"pixels of {spacing[0]:g} x {spacing[1]:g} mm"
    return None, [f"{pixels} are not plausible; their size is not used"]


def _aspect(dataset: Dataset) -> tuple[float, float] | None:
    """Height and width of pixels of no stated size (PixelAspectRatio, C.7.6.3.1.7)."""
    ratio = numbers(element(dataset, "PixelAspectRatio"), 2)
    return None if ratio is None or min(ratio) <= 0 else (ratio[0], ratio[1])


def _thickness(dataset: Dataset, index: int) -> float | None:
    measures = functional_group(dataset, index, "PixelMeasuresSequence") or dataset
    stated = [number(measures, name) or 0.0 for name in ("SpacingBetweenSlices", "SliceThickness")]
    return next((size for size in stated if size > 0), None)


def _acquired_on(dataset: Dataset) -> date | None:
    """The day of the acquisition, else that of the series or study."""
    for keyword in _DATES:
        try:
            return datetime.strptime((text(dataset, keyword) or "")[:8], "%Y%m%d").date()
        except ValueError:
            continue
    return None


def _facts(dataset: Dataset) -> AcquisitionFacts:
    series_number = number(dataset, "SeriesNumber")
    agents = items(dataset, "ContrastBolusAgentSequence")
    agent = text(dataset, "ContrastBolusAgent") or (
        text(agents[0], "CodeMeaning") if agents else None
    )
    return AcquisitionFacts(
        modality=text(dataset, "Modality") or MR,
        body_part=body_part(dataset),
        sequence_name=text(dataset, "SequenceName") or text(dataset, "PulseSequenceName"),
        scanning_sequence=texts(dataset, "ScanningSequence") or texts(dataset, "EchoPulseSequence"),
        contrast_agent=agent,
        series_description=text(dataset, "SeriesDescription"),
        series_number=None if series_number is None else int(series_number),
        patient=_hash_of(dataset, "PatientID") or _hash_of(dataset, "PatientName"),
        acquired_on=_acquired_on(dataset),
        study_instance_uid=text(dataset, "StudyInstanceUID"),
        series_instance_uid=text(dataset, "SeriesInstanceUID"),
        frame_of_reference_uid=text(dataset, "FrameOfReferenceUID"),
    )

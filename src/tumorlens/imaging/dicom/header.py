"""What of a DICOM file is kept once its data set is gone: facts, and where each frame lies."""

import math
from typing import Final

import msgspec
import numpy as np
from pydicom.dataset import Dataset

from tumorlens.errors import (
    CorruptInputError,
    InputError,
    NotMRError,
    UnsupportedFormatError,
)
from tumorlens.imaging.dicom.derived import is_own
from tumorlens.imaging.dicom.grayscale import has_window
from tumorlens.imaging.dicom.tags import (
    frame_count,
    functional_group,
    numbers,
    shape,
    text,
    texts,
)
from tumorlens.imaging.facts import AcquisitionFacts, SliceFacts, Vector
from tumorlens.imaging.quiet import quiet
from tumorlens.imaging.slice_ordering import Frame
from tumorlens.imaging.wording import clean, first_line

_MR: Final = "MR"
_MR_STORAGE: Final = "1.2.840.10008.5.1.4.1.1.4"
"""MR Image Storage; the enhanced ones are below it (PS3.4 B.5)."""
_TIE_BREAKERS: Final = (
    "AcquisitionNumber", "EchoNumbers", "TemporalPositionIdentifier", "InstanceNumber",
)  # fmt: skip


class Header(msgspec.Struct, frozen=True):
    """One file, without its pixels."""

    source: str
    """For messages."""
    facts: AcquisitionFacts
    frames: tuple[Frame, ...]
    bit_depth: int
    mode: str


class Look(msgspec.Struct, frozen=True):
    """What tells where a file belongs."""

    is_own: bool
    """Whether it is an answer that this package wrote (``derived.is_own``)."""
    is_image: bool
    series_uid: str | None


def look(dataset: Dataset, source: str) -> Look:
    """See whether it is ours or an image, and of which series; raise ``CorruptInputError``."""
    try:
        with quiet():
            return Look(is_own(dataset), is_image(dataset), text(dataset, "SeriesInstanceUID"))
    except Exception as error:  # pydicom converts values when they are asked for
        raise CorruptInputError(f"{source}: damaged DICOM ({first_line(error)})") from error


def header_of(dataset: Dataset, source: str, path: str, member: str | None = None) -> Header:
    """Describe an MR image.

    ``path`` and ``member`` are where the file is, for ``SliceFacts``. Raises ``NotMRError`` for
    another modality, ``UnsupportedFormatError`` for an object that is no image,
    ``CorruptInputError`` and ``LimitExceededError``.
    """
    try:
        with quiet():
            check_kind(dataset, source)
            return _describe(dataset, source, path, member)
    except InputError:
        raise
    except Exception as error:  # pydicom converts values when they are asked for
        raise CorruptInputError(f"{source}: damaged DICOM ({first_line(error)})") from error


def check_kind(dataset: Dataset, source: str) -> None:
    """Raise unless it is an image and MR."""
    modality = text(dataset, "Modality")
    if not is_image(dataset):
        what = clean(dataset.SOPClassUID.name) if text(dataset, "SOPClassUID") else modality
        raise UnsupportedFormatError(
            f"{source}: DICOM without an image ({what or 'of unknown kind'})"
        )
    if modality is None and _is_mr_storage(dataset):
        return
    if modality != _MR:
        stated = f"modality {modality}" if modality else "its modality is not stated"
        raise NotMRError(f"{source}: {stated}; only MR is classified")


def is_image(dataset: Dataset) -> bool:
    """Whether it has rows and columns, or should: reports, plans and directories have none."""
    return ("Rows" in dataset and "Columns" in dataset) or _is_mr_storage(dataset)


def _is_mr_storage(dataset: Dataset) -> bool:
    stated = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
    return f"{stated}.".startswith(f"{_MR_STORAGE}.")


def _describe(dataset: Dataset, source: str, path: str, member: str | None) -> Header:
    count = frame_count(dataset, source)
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if groups is not None and len(groups) not in (0, count):
        raise CorruptInputError(
            f"{source}: damaged DICOM ({len(groups)} functional groups for {count} frames)"
        )
    size = shape(dataset, source)
    order = _order(dataset)
    multi = "NumberOfFrames" in dataset
    uid = text(dataset, "SOPInstanceUID")
    frames = []
    for index in range(count):
        row, column, position = _place(dataset, index, multi=count > 1)
        place = SliceFacts(path, member, index + 1 if multi else None, uid, position)
        frames.append(
            Frame(
                place=place,
                shape=size,
                row=row,
                column=column,
                spacing_mm=_spacing(dataset, index),
                thickness_mm=_thickness(dataset, index),
                order=(*order, index),
                windowed=has_window(dataset, index, source),
            )
        )
    return Header(
        source=source,
        facts=_facts(dataset, frames[0]),
        frames=tuple(frames),
        bit_depth=int(dataset.get("BitsStored") or dataset.get("BitsAllocated") or 16),
        mode=clean(str(dataset.get("PhotometricInterpretation"))),
    )


def _order(dataset: Dataset) -> tuple[int, ...]:
    found = []
    for keyword in _TIE_BREAKERS:
        words = texts(dataset, keyword)
        try:
            found.append(int(words[0]) if words else 0)
        except ValueError:
            found.append(0)
    return tuple(found)


def _place(
    dataset: Dataset, index: int, *, multi: bool
) -> tuple[Vector | None, Vector | None, Vector | None]:
    """Directions and position of a frame; all None unless all are known and make sense.

    The plain elements at the top of a multi-frame file are those of no frame in particular.
    """
    orienting = functional_group(dataset, index, "PlaneOrientationSequence")
    placing = functional_group(dataset, index, "PlanePositionSequence")
    if orienting is None and placing is None and not multi:
        orienting = placing = dataset
    axes = numbers(orienting and orienting.get("ImageOrientationPatient"), 6)
    position = numbers(placing and placing.get("ImagePositionPatient"), 3)
    if axes is None or position is None:
        return None, None, None
    row, column = np.asarray(axes[:3]), np.asarray(axes[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if min(lengths) < 0.5 or max(lengths) > 2 or abs(row @ column) > 0.1:
        return None, None, None
    return _vector(row / lengths[0]), _vector(column / lengths[1]), _vector(np.asarray(position))


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return (x, y, z)


def _spacing(dataset: Dataset, index: int) -> tuple[float, float] | None:
    measures = functional_group(dataset, index, "PixelMeasuresSequence") or dataset
    found = numbers(measures.get("PixelSpacing"), 2)
    return (found[0], found[1]) if found and min(found) > 0 else None


def _thickness(dataset: Dataset, index: int) -> float | None:
    measures = functional_group(dataset, index, "PixelMeasuresSequence") or dataset
    stated = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness")
    found = numbers([stated] if stated is not None else None, 1)
    return found[0] if found and math.isfinite(found[0]) and found[0] > 0 else None


def _facts(dataset: Dataset, first: Frame) -> AcquisitionFacts:
    number = texts(dataset, "SeriesNumber")
    body_part = text(dataset, "BodyPartExamined")
    if body_part is None and (anatomy := functional_group(dataset, 0, "FrameAnatomySequence")):
        regions = anatomy.get("AnatomicRegionSequence")
        body_part = text(regions[0], "CodeMeaning") if regions else None
    agents = dataset.get("ContrastBolusAgentSequence")
    agent = text(dataset, "ContrastBolusAgent") or (
        text(agents[0], "CodeMeaning") if agents else None
    )
    return AcquisitionFacts(
        modality=text(dataset, "Modality") or _MR,
        body_part=body_part,
        sequence_name=text(dataset, "SequenceName") or text(dataset, "PulseSequenceName"),
        scanning_sequence=texts(dataset, "ScanningSequence") or texts(dataset, "EchoPulseSequence"),
        contrast_agent=agent,
        series_description=text(dataset, "SeriesDescription"),
        series_number=int(number[0]) if number and number[0].lstrip("-").isdigit() else None,
        image_type=texts(dataset, "ImageType"),
        sop_class_uid=text(dataset, "SOPClassUID"),
        study_instance_uid=text(dataset, "StudyInstanceUID"),
        series_instance_uid=text(dataset, "SeriesInstanceUID"),
        frame_of_reference_uid=text(dataset, "FrameOfReferenceUID"),
        slice_thickness_mm=first.thickness_mm,
    )

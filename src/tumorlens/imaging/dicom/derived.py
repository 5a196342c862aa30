"""What every DICOM object that we write has in common: identity, and the patient and study of its
source."""

import hashlib
import io
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypedDict

import msgspec
from pydicom import dcmwrite
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from tumorlens.errors import CorruptInputError
from tumorlens.imaging.decoding import quiet
from tumorlens.imaging.dicom.identification import identification
from tumorlens.imaging.dicom.tags import text
from tumorlens.text import first_line

MANUFACTURER: Final = "tumorlens"
RESEARCH: Final = "RESEARCH ONLY"
OWN_CLASSES: Final = (Comprehensive3DSRStorage, SecondaryCaptureImageStorage, SegmentationStorage)
"""Of reports, overlays and attention maps."""
_UID: Final = re.compile(r"[\w.\-]{1,64}", re.ASCII)
"""Odd ones too: the owner of the source knows it by the UID that it states."""
_NEEDED: Final = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")

SliceReference = tuple[int, int | None]
"""The slice that an answer points at: its index among the headers, and its frame from 1 where it
lies in a multi-frame file."""


class Algorithm(msgspec.Struct, frozen=True):
    """Which model made the object."""

    name: str
    version: str
    sha256: str
    """Of the ONNX file."""


class DicomObject(msgspec.Struct, frozen=True):
    """A finished DICOM file."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    data: bytes
    """The whole file, with preamble and file meta information."""


def is_own(dataset: Dataset) -> bool:
    """Whether it is a report, an overlay or a map that this package wrote, of whatever version."""
    maker = str(dataset.get("Manufacturer", ""))
    return maker == MANUFACTURER and dataset.get("SOPClassUID") in OWN_CLASSES


def is_referable(header: Dataset) -> bool:
    """Whether an object can refer to the instance of ``header``: its UIDs are there."""
    return all(header.get(keyword) for keyword in _NEEDED)


def uid_of(*parts: str) -> str:
    """Make a UID from ``parts``: the same for the same ones, on every machine, at any time.

    Of the form 2.25.(UUID as a decimal number), PS3.5 B.2, with a name-based UUID (version 8,
    RFC 9562) out of SHA-256.
    """
    digest = bytearray(hashlib.sha256("\0".join(parts).encode()).digest()[:16])
    digest[6] = 0x80 | digest[6] & 0x0F
    digest[8] = 0x80 | digest[8] & 0x3F
    return f"2.25.{uuid.UUID(bytes=bytes(digest)).int}"


class Identity(TypedDict):
    """Which object it is and what wrote it, as highdicom's classes take it."""

    series_instance_uid: str
    series_number: int
    sop_instance_uid: str
    instance_number: int
    manufacturer: str
    manufacturer_model_name: str
    software_versions: str


def identity(
    kind: str, series_number: int, sources: Sequence[Dataset], algorithm: Algorithm
) -> Identity:
    """The identity of the ``kind`` of object that is made from ``sources``.

    UIDs depend on the source instances and the model alone, so an object that is made twice is the
    same object, which an archive keeps once.
    """
    first = sources[0]
    parts = [kind, algorithm.sha256, str(first.StudyInstanceUID), str(first.SeriesInstanceUID)]
    instances = sorted({str(source.SOPInstanceUID) for source in sources})
    return {
        "series_instance_uid": uid_of("series", *parts),
        "series_number": series_number,
        "sop_instance_uid": uid_of("instance", *parts, *instances),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": algorithm.name,
        "software_versions": algorithm.version,
    }


@contextmanager
def making(what: str, source: str) -> Iterator[None]:
    """Turn what highdicom raises at odd values of the source into ``CorruptInputError``."""
    try:
        with quiet():
            yield
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        raise CorruptInputError(f"{source}: no {what} can be made ({first_line(error)})") from error


def prepared(header: Dataset, source: str) -> Dataset:
    """What objects need of ``header`` to refer to it: its UIDs, patient and study.

    Raises ``CorruptInputError`` where a UID is missing or has no form that a report can repeat.
    """
    identified = identification(header)
    for keyword in _NEEDED:
        stated = text(header, keyword)
        if stated is None or not _UID.fullmatch(stated):
            what = "is missing" if stated is None else "is not a UID of at most 64 characters"
            raise CorruptInputError(f"{source}: no report can refer to it ({keyword} {what})")
        setattr(identified, keyword, stated)
    return identified


def as_mr(source: Dataset) -> Dataset:
    """``source`` as an MR image: highdicom knows no modules of a maker's own SOP class."""
    copy = Dataset()
    copy.update(source)
    copy.add_new("SOPClassUID", "UI", MRImageStorage)  # an assignment would change that of source
    return copy


def state_classes(derived: Dataset, sources: Sequence[Dataset]) -> None:
    """Let ``derived``, made from ``as_mr`` of ``sources``, state their own SOP classes."""
    classes = {str(source.SOPInstanceUID): source.SOPClassUID for source in sources}

    def restore(item: Dataset, element: DataElement) -> None:
        stated = classes.get(str(item.get("ReferencedSOPInstanceUID")))
        if element.keyword == "ReferencedSOPClassUID" and stated is not None:
            element.value = stated

    derived.walk(restore)


def finished(dataset: Dataset) -> DicomObject:
    """Encode ``dataset`` as a file."""
    out = io.BytesIO()
    dcmwrite(out, dataset, enforce_file_format=True)
    return DicomObject(
        str(dataset.SOPClassUID),
        str(dataset.SOPInstanceUID),
        str(dataset.SeriesInstanceUID),
        out.getvalue(),
    )

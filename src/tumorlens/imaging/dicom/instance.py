"""What a node must know to keep an instance: its study, and whether two are the same."""

import hashlib
from typing import BinaryIO, Final

import msgspec
from pydicom.dataset import Dataset

from tumorlens.imaging.decoding import decoding
from tumorlens.imaging.dicom.parse import parse

_CHUNK_BYTES: Final = 1 << 20
_PIXEL_MODULE: Final = (
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "BitsStored",
    "PixelRepresentation", "PhotometricInterpretation",
)  # fmt: skip


class Instance(msgspec.Struct, frozen=True):
    """Identity of an instance."""

    study_uid: str
    """Empty where the file has none."""
    sop_instance_uid: str
    """Empty where the file has none."""
    digest: str
    """``KIND:PIXELS:HEADER``: two of one kind with other hashes of their pixels have other pixels;
    two of other kinds (transfer syntaxes) cannot be compared without decoding them."""


def identify(stream: BinaryIO, source: str) -> Instance:
    """Read the identity of the file in ``stream``. Raises ``InputError``."""
    dataset = parse(stream, source, pixels=False)
    with decoding(source, "DICOM"):
        return Instance(
            str(dataset.get("StudyInstanceUID") or ""),
            str(dataset.get("SOPInstanceUID") or ""),
            _digest(dataset, stream),
        )


def _digest(dataset: Dataset, stream: BinaryIO) -> str:
    """Hash the pixels as they are encoded, with what says how to read them; then all the rest."""
    kind, length = str(dataset.file_meta.TransferSyntaxUID), stream.tell()
    pixels = hashlib.sha256()
    for keyword in _PIXEL_MODULE:
        pixels.update(f"{dataset.get(keyword)}\0".encode())
    if not _add(pixels, stream):  # no pixels, or deflated: then all of it counts
        kind, length = "whole", 0
        stream.seek(0)
        _add(pixels, stream)
    stream.seek(0)
    header = hashlib.sha256(stream.read(length))
    return f"{kind}:{pixels.hexdigest()[:32]}:{header.hexdigest()[:32]}"


def _add(digest: "hashlib._Hash", stream: BinaryIO) -> bool:
    """Add the rest of ``stream`` to ``digest``; say whether there was any."""
    has_data = False
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
        has_data = True
    return has_data

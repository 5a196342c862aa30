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
    """``KIND:PIXELS:FILE``: two of one kind with other hashes of their pixels have other pixels;
    two of other kinds (transfer syntaxes) cannot be compared without decoding them. The last part
    is the SHA-256 of the file."""


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
    """Hash the pixels as they are encoded, with what says how to read them; then the file."""
    kind = str(dataset.file_meta.TransferSyntaxUID)
    pixels, whole = hashlib.sha256(), hashlib.sha256()
    for keyword in _PIXEL_MODULE:
        pixels.update(f"{dataset.get(keyword)}\0".encode())
    if not _add(pixels, stream):  # no pixels, or deflated: then all of it counts
        kind = "whole"
        stream.seek(0)
        _add(pixels, stream)
    stream.seek(0)
    _add(whole, stream)
    return f"{kind}:{pixels.hexdigest()[:32]}:{whole.hexdigest()}"


def _add(digest: "hashlib._Hash", stream: BinaryIO) -> bool:
    """Add the rest of ``stream`` to ``digest``; say whether there was any."""
    has_data = False
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
        has_data = True
    return has_data

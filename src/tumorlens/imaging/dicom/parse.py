"""From bytes to a pydicom data set, with a bound on what a deflated one unfolds to."""

import io
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import generate_fragments, parse_basic_offsets
from pydicom.filereader import read_dataset, read_partial, read_preamble
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from tumorlens.errors import CorruptInputError, LimitExceededError
from tumorlens.imaging.decoding import decoding
from tumorlens.imaging.dicom.budget import Budget, counted
from tumorlens.imaging.dicom.codestream import actual_syntax
from tumorlens.imaging.dicom.preamble import LOOKED_AT, preamble_at
from tumorlens.imaging.limits import MAX_INFLATED_BYTES

if TYPE_CHECKING:
    from pydicom.tag import BaseTag

_FILE_META_GROUP = 2
_WITH_HEADER = 32 + zlib.MAX_WBITS
"""What tells zlib that a header of its own, or of gzip, comes first."""
_PLAIN = b"\x08\x00\x05\x00CS", b"\x08\x00\x08\x00CS", b"\x08\x00\x16\x00UI"
"""What a data set begins with, unlike a deflate stream."""
_PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
"""Length of a value whose end a delimiter marks."""
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})


def parse(data: bytes | BinaryIO, source: str, *, pixels: bool = True) -> Dataset:
    """Read the data set from bytes or an open file; without ``pixels`` up to the pixel data.

    The result always knows its transfer syntax, guessed from the encoding where the file does not
    say. Raises ``CorruptInputError``, ``LimitExceededError``.
    """
    with decoding(source, "DICOM"):
        stream = io.BytesIO(data) if isinstance(data, bytes) else data
        dataset = _read(_without_rubbish(stream), source, pixels)
        _state_transfer_syntax(dataset)
        _correct_transfer_syntax(dataset)
    return dataset


def _without_rubbish(stream: BinaryIO) -> BinaryIO:
    """``stream`` from its preamble on."""
    begins = preamble_at(stream.read(LOOKED_AT))
    stream.seek(0)
    return io.BytesIO(stream.read()[begins:]) if begins else stream


def _read(stream: BinaryIO, source: str, pixels: bool) -> Dataset:
    budget = Budget(source)
    try:
        return _read_counted(stream, source, pixels, budget)
    except Exception:
        if budget.error is not None:
            raise budget.error from None
        raise


def _read_counted(stream: BinaryIO, source: str, pixels: bool, budget: Budget) -> Dataset:
    preamble = read_preamble(stream, force=True)
    within = counted(stream, budget)
    meta = FileMetaDataset(
        read_dataset(within, False, True, stop_when=lambda tag, *_: tag >> 16 != _FILE_META_GROUP)
    )
    dataset: Dataset
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        stream.seek(0)
        dataset = read_partial(within, stop_when=_stop(budget), force=True)
    else:
        # pydicom would inflate without bound.
        plain = io.BytesIO(_inflate(stream.read(), source))
        within = counted(plain, budget)
        read = read_dataset(within, False, True, stop_when=_stop(budget))
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset = FileDataset(plain, read, preamble, meta, False, True)
        dataset.set_original_encoding(False, True, read._character_set)
    if pixels:
        # One element, if any: what lies behind is not needed, and may be rubbish.
        implicit, little = dataset.original_encoding
        dataset.update(read_dataset(within, bool(implicit), bool(little), bytelength=1))
    budget.check(dataset)
    return dataset


def _stop(budget: Budget) -> "Callable[[BaseTag, str | None, int], bool]":
    """Called for each element outside the sequences; ends before the pixel data."""

    def stop(tag: "BaseTag", _vr: str | None, _length: int) -> bool:
        budget.top_element()
        return tag in _PIXELS

    return stop


def _inflate(data: bytes, source: str) -> bytes:
    """Undo the deflated transfer syntax (PS3.5 A.5), a raw deflate stream.

    Some writers put a header of zlib or gzip before it, or only say that they deflate.
    """
    if data.startswith(_PLAIN):
        return data
    try:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        plain = inflater.decompress(data, MAX_INFLATED_BYTES)
    except zlib.error:
        inflater = zlib.decompressobj(_WITH_HEADER)
        plain = inflater.decompress(data, MAX_INFLATED_BYTES)
    if not inflater.eof and inflater.unconsumed_tail:
        raise LimitExceededError(f"{source}: decompresses to more than {MAX_INFLATED_BYTES} bytes")
    if not inflater.eof:
        raise CorruptInputError(f"{source}: damaged DICOM (the deflated data set is cut off)")
    return plain


def _state_transfer_syntax(dataset: Dataset) -> None:
    stated = dataset.file_meta.get("TransferSyntaxUID")
    dataset.file_meta.TransferSyntaxUID = UID(str(stated)) if stated else _encoding(dataset)


def _encoding(dataset: Dataset) -> UID:
    """The transfer syntax of uncompressed pixels by how the elements are encoded."""
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _correct_transfer_syntax(dataset: Dataset) -> None:
    """State the syntax that the pixel data have where some program changed one of the two alone.

    Uncompressed pixels have a length, compressed ones are items up to a delimiter (PS3.5 A.4), of
    which the first says how they are compressed.
    """
    element: object = dataset.get_item(_PIXEL_DATA) if _PIXEL_DATA in dataset else None
    syntax = dataset.file_meta.TransferSyntaxUID
    if not isinstance(element, RawDataElement):
        return
    is_compressed = element.length == _UNDEFINED
    if not is_compressed and (syntax.is_private or syntax.is_encapsulated):
        dataset.file_meta.TransferSyntaxUID = _encoding(dataset)
    elif is_compressed:
        fragment = next(generate_fragments(_behind_offsets(element.value or b"")), b"")
        dataset.file_meta.TransferSyntaxUID = actual_syntax(fragment, syntax)


def _behind_offsets(data: bytes) -> BinaryIO:
    """The items behind the basic offset table, which may be wrong."""
    stream = io.BytesIO(data)
    parse_basic_offsets(stream)
    return stream

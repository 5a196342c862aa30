"""How many elements a DICOM file may have: each takes some hundred bytes once it is read.

A few megabytes of deflated zeros are millions of empty elements, and gigabytes of memory.
"""

import io
from collections.abc import Iterable
from typing import Any, BinaryIO, Final, cast

from pydicom.charset import default_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_sequence
from pydicom.tag import BaseTag

from tumorlens.errors import LimitExceededError
from tumorlens.imaging.limits import (
    MAX_DICOM_ELEMENTS,
    MAX_DICOM_ITEMS,
    MAX_DICOM_TOP_ELEMENTS,
    MAX_DICOM_VALUE_BYTES,
)

_HEADER: Final = 8
_ITEMS: Final = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
"""The tag of an item, in both byte orders (PS3.5 7.5)."""
_UNCOUNTED: Final = 1 << 20
"""Bytes of sequences that cannot hold too many elements, whatever they are."""
_UNKNOWN: Final = (None, "UN")
_LISTS: Final = frozenset(
    ("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "PN", "SH", "SL", "SS", "SV",
     "TM", "UC", "UI", "UL", "US", "UV")
)  # fmt: skip
"""Value representations whose values pydicom takes apart into objects."""


class Budget:
    """Counts what is read of one file; raises ``LimitExceededError`` where it is too much."""

    def __init__(self, source: str) -> None:
        """``source`` begins the message."""
        self._source = source
        self._elements = self._items = self._top = 0
        self.error: LimitExceededError | None = None
        """What was raised: within a sequence pydicom reports damage instead."""

    def top_element(self) -> None:
        """An element outside all sequences."""
        self._top += 1
        self._check(self._top, MAX_DICOM_TOP_ELEMENTS, "elements")

    def header(self, data: bytes) -> None:
        """The header of an element or item."""
        if data[:4] in _ITEMS:
            self._items += 1
            self._check(self._items, MAX_DICOM_ITEMS, "items of sequences")
        else:
            self._elements += 1
            # Before the data set there are only the file's own few elements.
            limit = MAX_DICOM_ELEMENTS if self._top else MAX_DICOM_TOP_ELEMENTS
            self._check(self._elements, limit, "elements")

    def check(self, dataset: Dataset) -> None:
        """Look into what pydicom reads later, when it is asked for: sequences, lists of values."""
        held = list(_raw(dataset))
        for element, vr in held:
            if vr in _LISTS and element.length > MAX_DICOM_VALUE_BYTES:
                raise LimitExceededError(
                    f"{self._source}: {element.length} bytes of values in {element.tag}; the limit "
                    f"is {MAX_DICOM_VALUE_BYTES}"
                )
        sequences = [element for element, vr in held if vr == "SQ"]
        if sum(element.length for element in sequences) > _UNCOUNTED:
            for element in sequences:
                self._read(dataset, element)

    def _read(self, dataset: Dataset, element: RawDataElement) -> None:
        """Read a sequence now, counting; one that is damaged is left as it is."""
        stream = counted(io.BytesIO(element.value or b""), self)
        encoding: Any = getattr(dataset, "_character_set", default_encoding)
        try:
            read = read_sequence(
                stream, element.is_implicit_VR, element.is_little_endian, element.length, encoding
            )  # fmt: skip
        except Exception:  # pydicom raises nearly anything; whoever reads it gets the error
            if self.error is not None:
                raise self.error from None
            return
        for item in read:
            for nested, vr in _raw(item):
                if vr == "SQ":
                    self._read(item, nested)
        dataset[element.tag] = DataElement(element.tag, "SQ", read)

    def _check(self, count: int, limit: int, what: str) -> None:
        if count > limit:
            self.error = LimitExceededError(f"{self._source}: more than {limit} {what}")
            raise self.error


class CountedStream:
    """A stream that tells ``budget`` of each header that pydicom reads: of eight bytes."""

    def __init__(self, stream: BinaryIO, budget: Budget) -> None:
        """Read from ``stream``."""
        self._stream, self._budget = stream, budget

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes; raise ``LimitExceededError``."""
        data = self._stream.read(size)
        if size == _HEADER:
            self._budget.header(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def counted(stream: BinaryIO, budget: Budget) -> BinaryIO:
    """``stream``, read under ``budget``."""
    return cast("BinaryIO", CountedStream(stream, budget))


def _raw(dataset: Dataset) -> Iterable[tuple[RawDataElement, str | None]]:
    """Elements whose values are still bytes, with their value representation."""
    for element in dataset.values():
        if isinstance(element, RawDataElement) and element.length:
            yield element, _representation(element)


def _representation(element: RawDataElement) -> str | None:
    if element.VR not in _UNKNOWN:
        return element.VR
    if BaseTag(element.tag).is_private:
        return None
    try:
        return dictionary_VR(element.tag)
    except KeyError:
        return None

"""Millions of elements are refused before they fill the memory, wherever they lie."""

import io
import struct
from collections.abc import Callable

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tumorlens.errors import LimitExceededError
from tumorlens.imaging import reader
from tumorlens.imaging.dicom import budget
from tumorlens.imaging.dicom.parse import parse

Write = Callable[..., bytes]


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in life, a hundredth of it."""
    for name in ("MAX_DICOM_ELEMENTS", "MAX_DICOM_ITEMS", "MAX_DICOM_TOP_ELEMENTS"):
        monkeypatch.setattr(budget, name, getattr(budget, name) // 100)
    monkeypatch.setattr(budget, "_UNCOUNTED", budget._UNCOUNTED // 100)


PREAMBLE = bytes(128) + b"DICM"


def empty(count: int, *, explicit: bool = False, group: int = 9) -> bytes:
    """That many elements without a value, in rising order."""
    numbers = np.arange(count)
    kinds = [("group", "<u2"), ("element", "<u2")]
    kinds += [("vr", "S2"), ("length", "<u2")] if explicit else [("length", "<u4")]
    body = np.zeros(count, dtype=kinds)
    body["group"], body["element"] = group + 2 * (numbers // 65536), numbers % 65536
    if explicit:
        body["vr"] = b"LO"
    return body.tobytes()


def meta(syntax: str) -> bytes:
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    element = b"\x02\0\x10\0UI" + struct.pack("<H", len(value)) + value
    return b"\x02\0\0\0UL\x04\0" + struct.pack("<I", len(element)) + element


def sequence(body: bytes, *, items: bool = False, defined: bool = True) -> bytes:
    """Per-frame functional groups in implicit VR, of one item or (``items``) of empty ones."""
    length = len(body) if defined else 0xFFFFFFFF
    item = b"" if items else struct.pack("<2HI", 0xFFFE, 0xE000, length)
    whole = len(item) + len(body) if defined else 0xFFFFFFFF
    return struct.pack("<2HI", 0x5200, 0x9230, whole) + item + body


IMPLICIT = meta("1.2.840.10008.1.2")


@pytest.mark.parametrize(
    "data",
    [
        PREAMBLE + bytes(8 * 30_000),
        PREAMBLE + empty(30_000),
        PREAMBLE + meta("1.2.840.10008.1.2.1") + empty(30_000, explicit=True),
        PREAMBLE + IMPLICIT + sequence(empty(30_000)),
        PREAMBLE + IMPLICIT + sequence(empty(30_000), defined=False),
        PREAMBLE + IMPLICIT + sequence(struct.pack("<2HI", 0xFFFE, 0xE000, 0) * 5_000, items=True),
        PREAMBLE + IMPLICIT + sequence(sequence(empty(30_000))),
        PREAMBLE + IMPLICIT + struct.pack("<2HI", 0x0028, 0x1050, 2_000_000) + b"1\\" * 1_000_000,
    ],
    ids=[
        "zeros",
        "implicit",
        "explicit",
        "sequence",
        "undefined length",
        "items",
        "nested",
        "list",
    ],
)
@pytest.mark.parametrize("pixels", [True, False])
@pytest.mark.usefixtures("small_limits")
def test_too_many(data: bytes, pixels: bool) -> None:
    with pytest.raises(LimitExceededError, match=r"^here: "):
        parse(data, "here", pixels=pixels)


def test_from_an_open_file_too() -> None:
    with io.BytesIO(PREAMBLE + empty(100_000)) as file, pytest.raises(LimitExceededError):
        parse(file, "here", pixels=False)


def test_a_large_enhanced_file_is_read(head: NDArray[np.uint8], write_dicom: Write) -> None:
    """Sequences of more than the million bytes that need no counting, read as before."""
    dataset = pydicom.dcmread(io.BytesIO(write_dicom(head)))
    item = Dataset()
    item.ImageComments = "x" * 1000
    item.ReferencedImageSequence = Sequence([Dataset()])
    item.ReferencedImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"
    dataset.SourceImageSequence = Sequence([item] * 2000)
    out = io.BytesIO()
    dcmwrite(out, dataset)
    read = parse(out.getvalue(), "here")
    assert (
        read.SourceImageSequence[1999].ReferencedImageSequence[0]
        == (item.ReferencedImageSequence[0])
    )
    np.testing.assert_array_equal(reader.read_bytes(out.getvalue()).pixels, head)

"""What frames claim of their size, before anything decodes them."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tumorlens.errors import CorruptInputError, LimitExceededError
from tumorlens.imaging import encode
from tumorlens.imaging.dicom.codestream import Size, check


def frames(head: NDArray[np.uint8]) -> list[tuple[UID, bytes, Size]]:
    color = np.repeat(head[..., np.newaxis], 3, axis=2)
    out = io.BytesIO()
    Image.fromarray(head).save(out, "JPEG2000", no_jp2=True)
    boxed = io.BytesIO()
    Image.fromarray(color).save(boxed, "JPEG2000")
    lossless = b"\xff\xd8\xff\xc3\x00\x0b\x0c\x00\xc8\x00\xb4\x01\x01\x11\x00"
    jpeg_ls = b"\xff\xd8\xff\xe8\x00\x04ab\xff\xf7\x00\x0b\x08\x00\xc8\x00\xb4\x01\x01\x11\x00"
    return [
        (JPEGBaseline8Bit, encode.jpeg(head), Size(180, 200, 1)),
        (JPEGBaseline8Bit, encode.jpeg(color), Size(180, 200, 3)),
        (JPEG2000, out.getvalue(), Size(180, 200, 1)),
        (JPEG2000, boxed.getvalue(), Size(180, 200, 3)),
        (JPEGLosslessSV1, lossless, Size(180, 200, 1)),
        (JPEGLSLossless, jpeg_ls, Size(180, 200, 1)),
    ]


def test_sizes_that_agree_pass_and_others_do_not(head: NDArray[np.uint8]) -> None:
    for syntax, frame, size in frames(head):
        check(frame, syntax, size, 1, "here")
        for other in (size._replace(width=64), size._replace(height=1), size._replace(samples=2)):
            with pytest.raises(CorruptInputError, match="a compressed frame of 180x200x"):
                check(frame, syntax, other, 1, "here")


def test_frames_without_a_header(head: NDArray[np.uint8]) -> None:
    for syntax, frame, size in frames(head):
        for cut in (b"", frame[:4], b"\0" + frame, b"\xff\xd8\xff\xda" + frame):
            if syntax == JPEG2000 and len(cut) > 4:
                continue  # its marker may lie in a box
            with pytest.raises(CorruptInputError, match=r"without a .* header"):
                check(cut, syntax, size, 1, "here")


def test_run_lengths() -> None:
    size = Size(1024, 1024, 1)
    header = bytes(64)
    check(header + b"\x81\x00" * 10, RLELossless, size, 1, "here")
    check(header + b"\x00\x01" * (1 << 20), RLELossless, size, 1, "here")
    with pytest.raises(LimitExceededError):
        check(header + b"\x81\x00" * (1 << 20), RLELossless, size, 1, "here")

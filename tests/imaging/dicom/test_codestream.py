"""What frames claim of their size, before anything decodes them."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import (
    JPEG2000,
    UID,
    HTJ2KLossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from tumorlens.errors import CorruptInputError, LimitExceededError
from tumorlens.imaging.dicom.codestream import Size, actual_syntax, check, stated_size, syntax_of
from tumorlens.imaging.raster import encode


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


def jpeg_start(*before: bytes, marker: int = 0xC0, precision: int = 8) -> bytes:
    """A JPEG of 200 rows and 180 columns up to its start of frame, behind other segments."""
    frame = bytes([0xFF, marker, 0, 11, precision, 0, 200, 0, 180, 1, 1, 0x11, 0])
    return b"\xff\xd8" + b"".join(before) + frame


def j2k_start(right: int, bottom: int, left: int = 0, top: int = 0, precision: int = 8) -> bytes:
    """The first two markers of a JPEG 2000 codestream of one component."""
    numbers = (right, bottom, left, top, 0, 0, 0, 0)
    return b"".join([
        b"\xff\x4f\xff\x51\0\x29\0\0", *(number.to_bytes(4, "big") for number in numbers),
        b"\0\1", bytes([precision - 1, 1, 1]),
    ])  # fmt: skip


@pytest.mark.parametrize(
    "before",
    [
        (),
        (b"\xff\xe0\0\x04ab",),
        (b"\xff\xfe\0\x02", b"\xff\xdb\0\x03a"),
        (b"\xff\xff\xff",),
        (b"\xff\x01", b"\xff\xd0"),
        (b"\xff\xc4\0\x04ab",),
        (b"\xff\xc8\0\x04ab", b"\xff\xcc\0\x04ab"),
    ],
    ids=[
        "nothing",
        "JFIF",
        "comment",
        "fill bytes",
        "without length",
        "Huffman tables",
        "reserved",
    ],
)
def test_the_start_of_frame_is_found_behind_other_segments(before: tuple[bytes, ...]) -> None:
    assert stated_size(jpeg_start(*before), JPEGBaseline8Bit) == (Size(180, 200, 1), 8)


def test_a_segment_may_contain_what_looks_like_a_start_of_frame() -> None:
    other = jpeg_start()[2:].replace(b"\xb4", b"\x10")
    thumbnail = b"\xff\xe1" + (2 + len(other)).to_bytes(2, "big") + other
    found = stated_size(jpeg_start(thumbnail), JPEGBaseline8Bit)
    assert found is not None
    assert found.size.width == 180


@pytest.mark.parametrize("precision", [8, 12, 16])
def test_a_codestream_states_the_bits_of_a_sample(precision: int) -> None:
    jpeg = stated_size(jpeg_start(marker=0xC3, precision=precision), JPEGLosslessSV1)
    j2k = stated_size(j2k_start(180, 200, precision=precision), JPEG2000)
    assert jpeg == j2k == (Size(180, 200, 1), precision)


def test_signed_samples_of_jpeg_2000_have_as_many_bits() -> None:
    frame = bytearray(j2k_start(180, 200, precision=12))
    frame[-3] |= 0x80
    assert stated_size(bytes(frame), JPEG2000) == (Size(180, 200, 1), 12)


def test_an_image_of_jpeg_2000_may_begin_inside_its_grid() -> None:
    found = stated_size(j2k_start(190, 260, left=10, top=60), JPEG2000)
    assert found == (Size(180, 200, 1), 8)


@pytest.mark.parametrize(("before", "found"), [(0, True), (4092, True), (4093, False)])
def test_the_codestream_begins_within_the_first_bytes(before: int, found: bool) -> None:
    frame = bytes(before) + j2k_start(180, 200)
    assert (stated_size(frame, JPEG2000) is not None) is found
    assert (syntax_of(frame) == JPEG2000) is found


@pytest.mark.parametrize("missing", range(1, 36, 6))
def test_a_header_that_is_cut_off_states_nothing(missing: int) -> None:
    assert stated_size(j2k_start(180, 200)[: 43 - missing], JPEG2000) is None


@pytest.mark.parametrize(
    ("frame", "syntax"),
    [
        (jpeg_start(marker=0xC0), JPEGBaseline8Bit),
        (jpeg_start(marker=0xC1), JPEGExtended12Bit),
        (jpeg_start(marker=0xC3), JPEGLossless),
        (jpeg_start(marker=0xF7), JPEGLSNearLossless),
        (j2k_start(1, 1), JPEG2000),
        (jpeg_start(marker=0xC2), None),
        (b"no image at all", None),
        (b"", None),
    ],
)
def test_the_syntax_of_a_frame_by_its_own_header(frame: bytes, syntax: UID | None) -> None:
    assert syntax_of(frame) == syntax


@pytest.mark.parametrize(
    ("frame", "stated", "actual"),
    [
        (jpeg_start(marker=0xC3), JPEGBaseline8Bit, JPEGLossless),
        (jpeg_start(marker=0xC3), JPEGLosslessSV1, JPEGLosslessSV1),
        (jpeg_start(marker=0xF7), JPEGLosslessSV1, JPEGLSNearLossless),
        (jpeg_start(marker=0xF7), JPEGLSLossless, JPEGLSLossless),
        (jpeg_start(marker=0xC0), JPEGExtended12Bit, JPEGExtended12Bit),
        (j2k_start(1, 1), HTJ2KLossless, HTJ2KLossless),
        (b"\x02\0\0\0\x40\0\0\0", JPEG2000, RLELossless),
        (b"no image at all", RLELossless, RLELossless),
    ],
)
def test_a_stated_syntax_that_the_frame_contradicts(frame: bytes, stated: UID, actual: UID) -> None:
    assert actual_syntax(frame, stated) == actual


def test_run_length_data_state_no_size() -> None:
    assert stated_size(bytes(64) + b"\x81\0", RLELossless) is None


@pytest.mark.parametrize(
    ("run", "unfolds_to"),
    [(b"\x81\x07", 128), (b"\xff\x07", 2), (b"\x00\x07", 1), (b"\x03abcd", 4), (b"\x80", 0)],
)
def test_run_lengths_are_counted_as_they_unfold(run: bytes, unfolds_to: int) -> None:
    """PS3.5 G.3.1; headers of 64 bytes are no run."""
    times = (1 << 20) // len(run) + 1
    frame = bytes(64) + run * times
    length = unfolds_to * times
    check(frame, RLELossless, Size(1, max(0, length - 128), 1), 1, "here")
    if length > 128:
        with pytest.raises(LimitExceededError, match="decompress to more than the frame"):
            check(frame, RLELossless, Size(1, length - 129, 1), 1, "here")


def test_samples_of_two_bytes_and_three_channels_need_as_many_run_lengths() -> None:
    frame = bytes(64) + b"\x81\x07" * (1 << 20)
    size = Size(1 << 12, 1 << 13, 2)
    check(frame, RLELossless, size, 2, "here")
    with pytest.raises(LimitExceededError):
        check(frame, RLELossless, size, 1, "here")

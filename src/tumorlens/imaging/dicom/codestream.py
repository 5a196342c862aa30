"""The size that a compressed frame states itself, checked before any decoder sees it.

A decoder believes the codestream, not the data set around it: a few bytes that claim 60,000 x
60,000 pixels would cost gigabytes. So the two must agree first.
"""

from typing import Final, NamedTuple

from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from tumorlens.errors import CorruptInputError, LimitExceededError

# ITU-T T.81 table B.1: start of frame, but for DHT (C4), JPG (C8), DAC (CC); T.87 C.1.1: JPEG-LS.
_START_OF_FRAME: Final = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_SYNTAXES: Final = {
    0xC0: JPEGBaseline8Bit, 0xC1: JPEGExtended12Bit, 0xC3: JPEGLossless, 0xF7: JPEGLSNearLossless,
}  # fmt: skip
_ALIKE: Final = (
    {JPEGBaseline8Bit, JPEGExtended12Bit}, {JPEGLossless, JPEGLosslessSV1},
    {JPEGLSLossless, JPEGLSNearLossless}, {*JPEG2000TransferSyntaxes},
)  # fmt: skip
"""Syntaxes that one decoder reads, and whose frames look alike."""
_START_OF_SCAN: Final = 0xDA
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})
# ITU-T T.800 A.4.1 and A.5.1: SOC, then SIZ.
_J2K_START: Final = b"\xff\x4f\xff\x51"
_J2K_SEARCH: Final = 4096
_RLE_HEADER: Final = 64
# PS3.5 G.5: the number of segments, and where the first begins.
_RLE_SEGMENTS: Final = 15
_RLE_FIRST_OFFSET: Final = _RLE_HEADER.to_bytes(4, "little")
_RLE_UNCHECKED: Final = 1 << 20
"""Encoded bytes up to which the worst case, 64 times as much, does no harm."""


class Size(NamedTuple):
    """What a codestream claims."""

    width: int
    height: int
    samples: int


class Claim(NamedTuple):
    """What a codestream claims, with the bits of a sample."""

    size: Size
    precision: int


def check(frame: bytes, syntax: UID, expected: Size, sample_bytes: int, source: str) -> None:
    """Raise unless ``frame``, encoded as ``syntax``, unfolds to ``expected`` and no more.

    ``CorruptInputError`` where the sizes differ or cannot be found, ``LimitExceededError`` for
    run-length data that unfold to more.
    """
    if syntax == RLELossless:
        limit = expected.width * expected.height * expected.samples * sample_bytes
        if len(frame) > _RLE_UNCHECKED and _rle_length(frame) > limit + 2 * _RLE_HEADER:
            raise LimitExceededError(f"{source}: run-length data decompress to more than the frame")
        return
    claim = stated_size(frame, syntax)
    if claim is None:
        raise CorruptInputError(f"{source}: damaged DICOM (a frame without a {syntax.name} header)")
    if (claimed := claim.size) != expected:
        raise CorruptInputError(
            f"{source}: damaged DICOM (a compressed frame of {claimed.width}x{claimed.height}x"
            f"{claimed.samples} where {expected.width}x{expected.height}x{expected.samples} is "
            "stated)"
        )


def stated_size(frame: bytes, syntax: UID) -> Claim | None:
    """What ``frame`` says of itself; None where it does not, or is run-length coded."""
    if syntax == RLELossless:
        return None
    return _j2k_claim(frame) if syntax in JPEG2000TransferSyntaxes else _jpeg_claim(frame)


def actual_syntax(beginning: bytes, stated: UID) -> UID:
    """The transfer syntax of a frame by its ``beginning``, unless it agrees with ``stated``."""
    known = syntax_of(beginning)
    if known is None or any({known, stated} <= alike for alike in _ALIKE):
        return stated
    return known


def syntax_of(frame: bytes) -> UID | None:
    """The transfer syntax of ``frame`` by its own header; None where that is not known."""
    if (at := _start_of_frame(frame)) is not None:
        return _SYNTAXES.get(frame[at + 1])
    segments = int.from_bytes(frame[:4], "little")
    if 1 <= segments <= _RLE_SEGMENTS and frame[4:8] == _RLE_FIRST_OFFSET:
        return RLELossless
    return JPEG2000 if frame.find(_J2K_START, 0, _J2K_SEARCH) >= 0 else None


def _jpeg_claim(frame: bytes) -> Claim | None:
    at = _start_of_frame(frame)
    if at is None:
        return None
    height, width = (int.from_bytes(frame[i : i + 2], "big") for i in (at + 5, at + 7))
    return Claim(Size(width, height, frame[at + 9]), frame[at + 4])


def _start_of_frame(frame: bytes) -> int | None:
    """Walk the marker segments of a JPEG to the start of frame (ITU-T T.81 B.2.2)."""
    at = 2
    while frame.startswith(b"\xff\xd8") and at + 10 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _START_OF_FRAME:
            return at
        if marker == _START_OF_SCAN:
            return None
        at += 2 + max(2, int.from_bytes(frame[at + 2 : at + 4], "big"))
    return None


def _j2k_claim(frame: bytes) -> Claim | None:
    """Read the SIZ segment (ITU-T T.800 table A.9), bare or in a JP2 box."""
    start = frame.find(_J2K_START, 0, _J2K_SEARCH)
    siz = frame[start + 8 : start + 43]
    if start < 0 or len(siz) < 35:
        return None
    right, bottom, left, top = (int.from_bytes(siz[i : i + 4], "big") for i in (0, 4, 8, 12))
    size = Size(right - left, bottom - top, int.from_bytes(siz[32:34], "big"))
    return Claim(size, (siz[34] & 0x7F) + 1)


def _rle_length(frame: bytes) -> int:
    """Bytes of the decompressed runs of all segments (PS3.5 G.3.2), without decompressing them."""
    total, at, end = 0, _RLE_HEADER, len(frame)
    while at < end:
        control = frame[at]
        if control < 128:
            total += control + 1
            at += control + 2
        else:
            total += 257 - control if control > 128 else 0
            at += 2 if control > 128 else 1
    return total

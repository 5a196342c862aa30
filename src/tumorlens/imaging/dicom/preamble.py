"""How a DICOM file begins: with the preamble of PS3.10 7.1, or without it."""

from typing import Final

_PREAMBLE: Final = 128
_PREFIX: Final = b"DICM"
_META_PREFIX: Final = _PREFIX + b"\x02\x00"
"""The prefix and the group that follows it."""
_RUBBISH: Final = 64
_RUBBISH_BYTES: Final = b"\r\n\t \0\xff\xfe\xef\xbb\xbf"
"""What a careless copy may put before the preamble, and how much: empty space, or a mark. Other
bytes are of a file that holds a DICOM file, such as an archive."""
LOOKED_AT: Final = _PREAMBLE + _RUBBISH + len(_META_PREFIX)
"""Bytes in which the prefix is."""
# The first elements that a file without the preamble begins with: file meta information, or, in
# older exports, the data set itself (group 8, either encoding of the value representation).
_META: Final = (b"\x02\x00\x00\x00UL\x04\x00", b"\x02\x00\x01\x00OB\x00\x00")
_ELEMENTS: Final = (b"\x00\x00", b"\x01\x00", b"\x05\x00", b"\x08\x00", b"\x16\x00")
_VALUE_REPRESENTATIONS: Final = (b"UL", b"CS", b"UI")


def begins(data: bytes) -> bool:
    """Whether the first ``LOOKED_AT`` bytes of a file are those of a DICOM file."""
    # The preamble may be that of a TIFF.
    known = data.startswith(_PREFIX, _PREAMBLE) or data.startswith(_META) or _is_bare(data)
    return known or preamble_at(data) > 0


def preamble_at(data: bytes) -> int:
    """Bytes of rubbish before the preamble in the first ``LOOKED_AT`` bytes of a file."""
    if data.startswith(_PREFIX, _PREAMBLE):
        return 0
    at = data.find(_META_PREFIX, _PREAMBLE, LOOKED_AT) - _PREAMBLE
    return at if at > 0 and not data[:at].strip(_RUBBISH_BYTES) else 0


def _is_bare(data: bytes) -> bool:
    """Whether it is a data set without any header, as older archives export it."""
    if data[:2] != b"\x08\x00" or data[2:4] not in _ELEMENTS:
        return False
    explicit = data[4:6] in _VALUE_REPRESENTATIONS
    return explicit or (len(data) >= 8 and int.from_bytes(data[4:8], "little") <= 64)

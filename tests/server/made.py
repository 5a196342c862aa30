"""Volumes and DICOM files for tests, byte by byte, so that what is stored is known."""

import gzip
import struct

import numpy as np
from numpy.typing import NDArray

_OPPOSITE = dict(zip("LRPAIS", "RLAPSI", strict=True))
_AXIS = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}


def nifti(slices: NDArray[np.uint8], code: str, *, compressed: bool = False) -> bytes:
    """NIfTI-1 of (D, H, W) slices that lie feet to head, front to back, right to left.

    ``code`` names where the file's three axes run to: LPS keeps the slices as they are.
    """
    volume = slices.transpose(2, 1, 0)  # runs to L, P, S
    order = [next(axis for axis, now in enumerate("LPS") if _AXIS[now] == _AXIS[c]) for c in code]
    stored = volume.transpose(order)
    affine = np.zeros((3, 4), np.float32)
    for axis, letter in enumerate(code):
        if letter not in "LPS":
            stored = np.flip(stored, axis)
        # World axes run to R, A, S.
        affine[_AXIS[letter], axis] = 1.0 if letter in "RAS" else -1.0
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *stored.shape, 1, 1, 1, 1)
    struct.pack_into("<2h", header, 70, 2, 8)
    struct.pack_into("<8f", header, 76, 1, 1, 1, 1, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, 352, 1, 0)
    struct.pack_into("<h", header, 254, 1)
    struct.pack_into("<12f", header, 280, *affine.ravel())
    header[344:348] = b"n+1\0"
    data = bytes(header) + stored.tobytes(order="F")
    return gzip.compress(data) if compressed else data


def dicom(
    pixels: NDArray[np.uint16],
    *,
    position: float = 0.0,
    directions: str = "1\\0\\0\\0\\1\\0",
    series: str = "1.2.3",
    modality: str = "MR",
    photometric: str = "MONOCHROME2",
    window: tuple[int, int] | None = None,
    padding: int | None = None,
    slope: float = 1.0,
    spacing: tuple[float, float] | None = None,
) -> bytes:
    """A single-frame file in explicit little endian (PS3.10, PS3.5)."""
    height, width = pixels.shape
    elements = [
        _text(0x0008, 0x0016, "UI", "1.2.840.10008.5.1.4.1.1.4"),
        _text(0x0008, 0x0060, "CS", modality),
        _text(0x0020, 0x000E, "UI", series),
        _text(0x0020, 0x0032, "DS", f"0\\0\\{position}"),
        _text(0x0020, 0x0037, "DS", directions),
        _short(0x0028, 0x0002, 1),
        _text(0x0028, 0x0004, "CS", photometric),
        _short(0x0028, 0x0010, height),
        _short(0x0028, 0x0011, width),
        *([] if spacing is None else [_text(0x0028, 0x0030, "DS", f"{spacing[0]}\\{spacing[1]}")]),
        _short(0x0028, 0x0100, 16),
        _short(0x0028, 0x0101, 16),
        _short(0x0028, 0x0102, 15),
        _short(0x0028, 0x0103, 0),
        *([] if padding is None else [_short(0x0028, 0x0120, padding)]),
        *([] if window is None else [_text(0x0028, 0x1050, "DS", str(window[0]))]),
        *([] if window is None else [_text(0x0028, 0x1051, "DS", str(window[1]))]),
        _text(0x0028, 0x1052, "DS", "-20"),
        _text(0x0028, 0x1053, "DS", str(slope)),
        struct.pack("<2H2sHI", 0x7FE0, 0x0010, b"OW", 0, 2 * pixels.size) + pixels.tobytes(),
    ]
    meta = _text(0x0002, 0x0010, "UI", "1.2.840.10008.1.2.1")
    length = struct.pack("<2H2sHI", 0x0002, 0x0000, b"UL", 4, len(meta))
    return bytes(128) + b"DICM" + length + meta + b"".join(elements)


def _text(group: int, element: int, kind: str, value: str) -> bytes:
    data = value.encode("ascii")
    data += (b"\0" if kind == "UI" else b" ") * (len(data) % 2)
    return struct.pack("<2H2sH", group, element, kind.encode(), len(data)) + data


def _short(group: int, element: int, value: int) -> bytes:
    return struct.pack("<2H2s2H", group, element, b"US", 2, value)

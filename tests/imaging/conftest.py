"""Images that Pillow cannot write, written by hand."""

import struct
import zlib
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture(scope="session")
def write_tiff() -> Callable[..., bytes]:
    """Encodes samples (H, W) or (H, W, C) of any type as TIFF; see ``_tiff``."""
    return _tiff


@pytest.fixture(scope="session")
def write_png() -> Callable[..., bytes]:
    """Encodes uint16 (H, W, C) as 16-bit PNG; see ``_png``."""
    return _png


def _tiff(
    samples: NDArray[np.generic],
    *,
    order: Literal["<", ">"] = "<",
    photometric: int | None = None,
    planar: int = 1,
    extra: int | None = None,
    deflate: bool = False,
    pages: int = 1,
    second_is_thumbnail: bool = False,
) -> bytes:
    """Baseline TIFF 6.0, one strip a page (or a plane)."""
    height, width = samples.shape[:2]
    channels = samples.shape[2] if samples.ndim == 3 else 1
    stored = samples.astype(samples.dtype.newbyteorder(order))
    planes = [stored] if planar == 1 else [stored[..., c] for c in range(channels)]
    strips = [np.ascontiguousarray(plane).tobytes() for plane in planes]
    strips = [zlib.compress(strip) for strip in strips] if deflate else strips
    data = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 0)
    strip_at = []
    for strip in strips:
        strip_at.append(len(data))
        data += strip
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    if photometric is None:
        photometric = 2 if channels >= 3 else 1
    tags: dict[int, list[int]] = {
        256: [width], 257: [height], 258: [samples.dtype.itemsize * 8] * channels,
        259: [8 if deflate else 1], 262: [photometric], 273: strip_at, 277: [channels],
        278: [height], 279: [len(strip) for strip in strips], 284: [planar],
        339: [kind] * channels,
    }  # fmt: skip
    if extra is not None:
        tags[338] = [extra]
    link = 4
    for page in range(pages):
        here = tags | ({254: [1]} if page and second_is_thumbnail else {})
        data += b"\0" * (len(data) % 2)
        data = data[:link] + struct.pack(order + "I", len(data)) + data[link + 4 :]
        directory, link = _directory(here, order, len(data))
        data += directory
    return data


def _directory(tags: dict[int, list[int]], order: str, start: int) -> tuple[bytes, int]:
    """An image file directory whose longer values follow it, and where its next-link lies."""
    link = start + 2 + 12 * len(tags)
    tail = b""
    entries = struct.pack(order + "H", len(tags))
    for tag, values in sorted(tags.items()):
        code, size = ("I", 4) if tag in (273, 279) else ("H", 2)
        packed = struct.pack(f"{order}{len(values)}{code}", *values)
        if len(packed) > 4:
            where = struct.pack(order + "I", link + 4 + len(tail))
            tail += packed + b"\0" * (len(packed) % 2)
        else:
            where = packed.ljust(4, b"\0")
        entries += struct.pack(order + "HHI", tag, 4 if size == 4 else 3, len(values)) + where
    return entries + struct.pack(order + "I", 0) + tail, link


def _png(samples: NDArray[np.uint16], bits: int = 16, clear: int | None = None) -> bytes:
    """PNG of (H, W), (H, W, 2) gray + alpha, (H, W, 3) RGB or (H, W, 4) RGBA.

    Samples are of 16 bits, or of fewer. Gray of the value ``clear`` is stated as transparent.
    """
    height, width = samples.shape[:2]
    channels = samples.shape[2] if samples.ndim == 3 else 1
    color = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = samples.astype(">u2").reshape(height, -1)
    if bits < 16:
        digits = np.unpackbits(rows.astype(np.uint8)[..., np.newaxis], axis=2)[..., -bits:]
        rows = np.packbits(digits.reshape(height, -1), axis=1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    key = [] if clear is None else [(b"tRNS", struct.pack(">H", clear) * channels)]
    chunks = ((b"IHDR", header), *key, (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


@pytest.fixture(scope="module")
def ras() -> NDArray[np.float32]:
    """40 x 48 x 36 voxels, x to the right, y to the front, z up; no two corners alike."""
    x, y, z = np.mgrid[0:40, 0:48, 0:36].astype(np.float32)
    made: NDArray[np.float32] = 100 + 3 * x + 5 * y * (x > 10) + 0.01 * z**3
    made[30:36, 5:12, 20:30] = 900  # right, back, up
    return made

"""Fingerprints for the audit and the controls: hashes, a thumbnail, a perceptual hash.

The files are read once. The image is not cropped to the head, only stretched to a square, because
the shortcuts that are searched for (margins, frames, borders) are outside the head.
"""

import dataclasses
import hashlib
import math
import mmap
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from tumorlens import preprocessing
from tumorlens.config import PreprocessConfig
from tumorlens.cores import thread_pool
from tumorlens.datasets.manifest import Manifest, Record, pixel_hash
from tumorlens.errors import InputError
from tumorlens.files import allocate, naming
from tumorlens.imaging import reader
from tumorlens.imaging.image import single
from tumorlens.progress import Progress, reported

THUMBNAIL_SIZE: Final = 64
ORIENTATIONS: Final = (
    "same", "mirrored", "upside down", "rotated 180",
    "transposed", "rotated 90", "rotated 270", "transposed across",
)  # fmt: skip
"""The eight ways to turn a square; ``orient`` applies them."""
_AHEAD: Final = 256
_HASH_INPUT: Final = 32
_HASH_SIDE: Final = 8
_WINDOW: Final = PreprocessConfig()
# Mirroring an image turns the sign of its odd cosine coefficients.
_ODD: Final = np.where(np.arange(_HASH_SIDE) % 2, -1.0, 1.0)


@dataclasses.dataclass(frozen=True, slots=True)
class Fingerprints:
    """One entry for each of N records, in the order of the manifest.

    If ``problems`` is not empty, the image could not be used: its thumbnail is black, its hashes
    are 0, and ``usable`` is False.
    """

    labels: tuple[str, ...]
    """The label of each record."""
    thumbnails: NDArray[np.uint8]
    """(N, 64, 64) windowed image, not cropped, stretched to a square."""
    hashes: NDArray[np.uint64]
    """(N, 8) perceptual hash of the image in each of ``ORIENTATIONS``."""
    sha256: tuple[str, ...]
    """Hash of the bytes on disk; empty if the file cannot be opened."""
    pixel_sha256: tuple[str, ...]
    """Hash of the decoded pixels; empty if they cannot be decoded."""
    problems: tuple[str, ...]
    """Why an image could not be used; empty where it could."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(N,) whether the image decoded and is not blank."""
        return np.array([not problem for problem in self.problems], dtype=np.bool_)

    def thumbnails_of(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """A copy (M, 64, 64) of the thumbnails of some rows; the mapped file is released."""
        thumbnails = np.array(self.thumbnails[rows])
        _release(self.thumbnails)
        return thumbnails


@dataclasses.dataclass(frozen=True, slots=True)
class _Print:
    """The fingerprint of one file."""

    thumbnail: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    sha256: str = ""
    pixel_sha256: str = ""
    problem: str = ""


def fingerprint(manifest: Manifest, progress: Progress | None = None) -> Fingerprints:
    """Read every file of ``manifest`` once; a file that cannot be used is noted, never raised."""
    thumbnails = _on_disk(len(manifest))
    hashes = np.zeros((len(manifest), len(ORIENTATIONS)), dtype=np.uint64)
    words: list[tuple[str, str, str]] = []
    for row, item in enumerate(reported(_prints(manifest), len(manifest), progress)):
        thumbnails[row], hashes[row] = item.thumbnail, item.hashes
        words.append((item.sha256, item.pixel_sha256, item.problem))
        if row % _AHEAD == 0:
            _release(thumbnails)
    return Fingerprints(
        labels=tuple(record.label for record in manifest),
        thumbnails=thumbnails,
        hashes=hashes,
        sha256=tuple(sha256 for sha256, _, _ in words),
        pixel_sha256=tuple(pixel_sha256 for _, pixel_sha256, _ in words),
        problems=tuple(problem for _, _, problem in words),
    )


def _prints(manifest: Manifest) -> Iterator[_Print]:
    """One for each record, in order, a few hundred in memory."""
    with thread_pool() as pool:
        for first in range(0, len(manifest), _AHEAD):
            records = manifest.records[first : first + _AHEAD]
            yield from pool.map(lambda record: _read(manifest, record), records)


def _on_disk(count: int) -> NDArray[np.uint8]:
    """Black thumbnails in a temporary file, which is deleted when it is no longer used."""
    shape = (count, THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    if not count:
        return np.zeros(shape, dtype=np.uint8)
    with tempfile.TemporaryFile() as file:
        with naming(Path(tempfile.gettempdir())):
            allocate(file.fileno(), math.prod(shape))
        return np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)


def _release(thumbnails: NDArray[np.uint8]) -> None:
    """Drop the pages of the mapped file from memory; they are read again when needed."""
    file: object = thumbnails.base
    if isinstance(file, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        file.madvise(mmap.MADV_DONTNEED)


def perceptual_hashes(windowed: NDArray[np.float32]) -> NDArray[np.uint64]:
    """(8,) 64-bit DCT hash of an image (H, W) in each of ``ORIENTATIONS``.

    32x32 pixels, the 8x8 lowest cosine coefficients, each compared with their median (Zauner,
    "Implementation and benchmarking of perceptual image hash functions", 2010). The hash of a
    turned image follows from the coefficients, without turning the image.
    """
    small = preprocessing.resize(windowed, _HASH_INPUT).astype(np.float64)
    low = dctn(small, norm="ortho")[:_HASH_SIDE, :_HASH_SIDE]
    rows, columns = _ODD[:, np.newaxis], _ODD[np.newaxis]
    upright = (low, low * columns, low * rows, low * rows * columns)
    turned = (low.T, (low * columns).T, (low * rows).T, (low * rows * columns).T)
    return np.array([_bits(coefficients) for coefficients in upright + turned], dtype=np.uint64)


def orient(images: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn (..., S, S) as ``ORIENTATIONS[orientation]`` says."""
    if orientation & 1:
        images = images[..., ::-1]
    if orientation & 2:
        images = images[..., ::-1, :]
    if orientation & 4:
        images = np.swapaxes(images, -1, -2)
    return images


def hamming(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """(A,) and (B,) hashes to their (A, B) numbers of differing bits, 0 to 64."""
    return np.asarray(np.bitwise_count(left[:, np.newaxis] ^ right[np.newaxis]))


def _bits(coefficients: NDArray[np.float64]) -> int:
    above = coefficients > np.median(coefficients)
    return int.from_bytes(np.packbits(above).tobytes(), "big")


def _read(manifest: Manifest, record: Record) -> _Print:
    thumbnail = np.zeros((THUMBNAIL_SIZE, THUMBNAIL_SIZE), dtype=np.uint8)
    hashes = np.zeros(len(ORIENTATIONS), dtype=np.uint64)
    digest = pixels = problem = ""
    path = manifest.file(record)
    try:
        data = reader.load_file(path)
        digest = hashlib.sha256(data).hexdigest()
        image = single(reader.read_bytes(data, str(path)))
        pixels = pixel_hash(image)
        windowed = preprocessing.window(image.samples, _WINDOW, str(path))
        hashes = perceptual_hashes(windowed)
        small = preprocessing.resize(windowed, THUMBNAIL_SIZE)
        thumbnail = np.rint(np.clip(small, 0.0, 1.0) * 255.0).astype(np.uint8)
    except InputError as error:
        problem = str(error)
    return _Print(thumbnail, hashes, digest, pixels, problem)

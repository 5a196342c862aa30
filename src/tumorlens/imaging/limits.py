"""Every bound on what is read, in one place. docs/limits.md says what each is for.

A file that goes beyond one gives ``LimitExceededError`` before the memory is taken or the time is
spent: sizes are compared with headers first, and streams are decompressed no further than needed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from tumorlens.errors import LimitExceededError

MIN_SIDE: Final = 32
"""Fewest pixels a side of a slice."""
MAX_SIDE: Final = 8192
"""Most pixels a side of a slice."""
MAX_SLICES: Final = 4096
"""Most slices, frames or pages of one volume."""
MAX_VOXELS: Final = 1 << 27
"""Most voxels of one volume: 512 MiB as float32, or 512 slices of 512 x 512."""
MAX_FILE_BYTES: Final = 256 * 1024 * 1024
"""Largest file, or member of an archive, that is read into memory."""
MAX_INFLATED_BYTES: Final = 1 << 29
"""Most bytes that are unfolded of one compressed file."""
MAX_HEADER_BYTES: Final = 16 * 1024 * 1024
"""Most bytes between the beginning of a NIfTI or NRRD file and its first voxel."""
MAX_DICOM_TOP_ELEMENTS: Final = 50_000
"""Most elements of a DICOM file outside its sequences."""
MAX_DICOM_ELEMENTS: Final = 600_000
"""Most elements of a DICOM file: 4,096 frames of 140 elements each."""
MAX_DICOM_ITEMS: Final = 200_000
"""Most items of all sequences of a DICOM file: 4,096 frames of 48 each."""
MAX_DICOM_VALUE_BYTES: Final = 1 << 20
"""Most bytes of one element of a DICOM file that is a list of texts or numbers."""
MAX_STUDY_FILES: Final = 20_000
"""Most files of a folder or archive that are taken for one study."""
MAX_STUDY_BYTES: Final = 4 << 30
"""Most bytes that all members of an archive may unfold to."""
MAX_ARCHIVE_BYTES: Final = 4 << 30
"""Largest zip archive; it is read in place, never into memory or onto the disk."""

_HEAD_MM: Final = (20.0, 2000.0)
"""What a side of an image of a head can measure: less is no head, more is another unit."""


_most_pixels: ContextVar[int | None] = ContextVar("most_pixels", default=None)


@contextmanager
def limit_pixels(pixels: int) -> Iterator[None]:
    """Inside, in this thread or task, reject images of more than ``pixels`` pixels.

    For a server that decodes images of unknown senders.
    """
    token = _most_pixels.set(pixels)
    try:
        yield
    finally:
        _most_pixels.reset(token)


def can_be_a_head(side_mm: float) -> bool:
    """Whether an image of a head can have a side that long: else the file's spacing is wrong."""
    return _HEAD_MM[0] <= side_mm <= _HEAD_MM[1]


def check_sides(width: int, height: int, source: str) -> None:
    """Raise ``LimitExceededError`` unless both sides are ``MIN_SIDE`` to ``MAX_SIDE`` pixels.

    And where there are more pixels than ``limit_pixels`` allows.
    """
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE:
        raise LimitExceededError(
            f"{source}: {width}x{height} pixels; sides must be {MIN_SIDE} to {MAX_SIDE}"
        )
    most = _most_pixels.get()
    if most is not None and width * height > most:
        raise LimitExceededError(f"{source}: {width * height:,} pixels; the limit here is {most:,}")


def check_volume(shape: Sequence[int], source: str) -> None:
    """Raise ``LimitExceededError`` for (D, H, W) with too many slices or voxels."""
    depth, height, width = shape
    if depth > MAX_SLICES:
        raise LimitExceededError(
            f"{source}: {depth} slices are more than the limit of {MAX_SLICES}"
        )
    if depth * height * width > MAX_VOXELS:
        raise LimitExceededError(
            f"{source}: {depth}x{height}x{width} voxels are more than the limit of {MAX_VOXELS}"
        )

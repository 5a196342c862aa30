"""The one in-memory form of a picture."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import LimitExceededError

MIN_SIDE: Final = 32
MAX_SIDE: Final = 8192
_most_pixels: ContextVar[int] = ContextVar("most_pixels", default=MAX_SIDE * MAX_SIDE)


@dataclass(frozen=True, slots=True)
class MedicalImage:
    """A decoded image or volume, before any preprocessing.

    ``pixels`` is float32, (H, W) or (D, H, W), finite, in the file's own intensity unit
    (0 to 255 for 8-bit pictures, 0 to 65535 for 16-bit ones, arbitrary for float ones).
    Larger is brighter.
    """

    pixels: NDArray[np.float32]
    source: str
    """Where it came from, for messages: a path, or ``<array>``."""
    bit_depth: int
    """Bits a sample was stored with: 1, 8, 16, 32."""
    mode: str
    """How samples were stored, in Pillow's words: ``L``, ``RGB``, ``RGBA``, ``P``, ``I;16``..."""
    pixel_spacing_mm: tuple[float, float] | None = None
    """(row, column) spacing in millimetres, where the file states it."""

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[-2])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[-1])


@contextmanager
def at_most(pixels: int) -> Iterator[None]:
    """Inside, in this thread or task, refuse pictures of more than ``pixels`` pixels.

    For whoever decodes what strangers send: the limits of this module are for one's own files.
    """
    token = _most_pixels.set(pixels)
    try:
        yield
    finally:
        _most_pixels.reset(token)


def check_sides(width: int, height: int, source: str) -> None:
    """Raise ``LimitExceededError`` unless both sides are ``MIN_SIDE`` to ``MAX_SIDE`` pixels.

    And where ``at_most`` allows fewer pixels in all than that, those.
    """
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE:
        raise LimitExceededError(
            f"{source}: {width}x{height} pixels; sides must be {MIN_SIDE} to {MAX_SIDE}"
        )
    if width * height > _most_pixels.get():
        raise LimitExceededError(
            f"{source}: {width}x{height} pixels; at most {_most_pixels.get():,} are taken here"
        )

"""The one in-memory form of a picture."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import LimitExceededError
from tumorlens.imaging.allowance import check_allowance

MIN_SIDE: Final = 32
MAX_SIDE: Final = 8192


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


def check_sides(width: int, height: int, source: str) -> None:
    """Raise ``LimitExceededError`` unless both sides are ``MIN_SIDE`` to ``MAX_SIDE`` pixels."""
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE:
        raise LimitExceededError(
            f"{source}: {width}x{height} pixels; sides must be {MIN_SIDE} to {MAX_SIDE}"
        )
    check_allowance(width * height, source)

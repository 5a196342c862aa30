"""Drawing for the phantoms: smooth random fields, antialiased shapes, and a canvas to paint on."""

import dataclasses
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating]
"""One value a pixel, (S, S)."""

SIZE: Final = 192
"""Side of a phantom, in pixels."""
_BANDS: Final = 12


@dataclasses.dataclass(frozen=True, slots=True)
class Waves:
    """A smooth random field over space: a sum of plane waves, mean 0 and variance 1.

    A field in three dimensions, so that neighbouring slices of one phantom patient match.
    """

    vectors: NDArray[np.float64]
    """(n, 3) wave vectors (column, row, slice), in radians per half image."""
    phases: NDArray[np.float64]

    @classmethod
    def banded(cls, rng: np.random.Generator, wavelength: float, count: int = 28) -> Self:
        """Waves of nearly one length, in half images: their zero lines wind like a cortex."""
        directions = rng.normal(size=(count, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        lengths = wavelength * rng.uniform(0.8, 1.25, size=(count, 1))
        return cls(directions * (2 * np.pi / lengths), rng.uniform(0, 2 * np.pi, count))

    @classmethod
    def smooth(cls, rng: np.random.Generator, length: float, count: int = 20) -> Self:
        """Waves of all lengths above ``length``: a cloud."""
        return cls(rng.normal(size=(count, 3)) / length, rng.uniform(0, 2 * np.pi, count))

    def at(self, z: float) -> Field:
        """Sample one slice, (S, S) float32."""
        axis = np.linspace(-1.0, 1.0, SIZE)
        by_row = np.outer(axis, self.vectors[:, 1])
        by_column = np.outer(self.vectors[:, 0], axis)
        by_column += (self.vectors[:, 2] * z + self.phases)[:, np.newaxis]
        # cos(a + b) as one real product. In bands of rows, each too small for BLAS to hand to
        # several threads: waiting for those costs ten times the arithmetic on a busy machine.
        rows = np.hstack([np.cos(by_row), -np.sin(by_row)]).astype(np.float32)
        columns = np.vstack([np.cos(by_column), np.sin(by_column)]).astype(np.float32)
        total = rows.reshape(_BANDS, SIZE // _BANDS, -1) @ columns
        return total.reshape(SIZE, SIZE) * np.float32(np.sqrt(2.0 / len(self.phases)))


@dataclasses.dataclass(slots=True)
class Canvas:
    """An image being painted, layer over layer, in its own smooth coordinates."""

    image: Field
    pixel: float
    """Side of a pixel in the unit of the distances given."""

    def paint(self, coverage: Field, value: Field | float) -> None:
        """Lay ``value`` over the image where ``coverage`` (0 to 1) says."""
        self.image += coverage * (value - self.image)

    def cover(self, distance: Field, softness: float = 1.0) -> Field:
        """Coverage of a shape by its signed distance, negative inside; edge ``softness`` pixels."""
        share = 0.5 - distance / np.float32(self.pixel * softness)
        return np.asarray(np.clip(share, 0.0, 1.0))

    def fill(self, distance: Field, value: Field | float, softness: float = 1.0) -> None:
        """Paint the shape that ``distance`` describes."""
        self.paint(self.cover(distance, softness), value)


def ellipse(
    x: Field, y: Field, center: tuple[float, float], radii: tuple[float, float], turn: float = 0.0
) -> Field:
    """Approximate signed distance from an ellipse turned by ``turn`` radians."""
    dx, dy = x - np.float32(center[0]), y - np.float32(center[1])
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    along, across = (dx * cos + dy * sin) / radii[0], (dy * cos - dx * sin) / radii[1]
    return (np.sqrt(along**2 + across**2) - 1.0) * np.float32(min(radii))


def segment(
    x: Field, y: Field, start: tuple[float, float], end: tuple[float, float], width: float
) -> Field:
    """Signed distance from a line of ``width`` with round ends."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    along = ((x - start[0]) * dx + (y - start[1]) * dy) / (dx * dx + dy * dy)
    along = np.clip(along, 0.0, 1.0)
    distance: Field = np.hypot(x - start[0] - along * dx, y - start[1] - along * dy)
    return (distance - width / 2).astype(np.float32)

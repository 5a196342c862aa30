"""The lesions of the phantoms, painted into a head: the only part that depends on the class.

Simplified after what radiology textbooks describe on T1 after contrast. A glioma: an irregular
rim that enhances unevenly around a dark core, in dark oedema. A meningioma: bright, even, sharply
outlined, broad on the dura. A pituitary tumour: bright, in the sella, wider than the gland.
"""

import dataclasses
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from tumorlens.demo.phantom_canvas import Canvas, Field, Waves, ellipse
from tumorlens.demo.phantom_head import (
    POSTERIOR_FOSSA,
    SELLA,
    TEMPORAL,
    Compartment,
    Grid,
    Head,
)
from tumorlens.labels import NO_TUMOR

_HARMONICS: Final = np.arange(2, 8)
_RADII: Final = {"glioma": (0.12, 0.30), "meningioma": (0.09, 0.26), "pituitary": (0.075, 0.17)}
_ROUGHNESS: Final = {"glioma": 0.26, "meningioma": 0.10, "pituitary": 0.14}


@dataclasses.dataclass(frozen=True, slots=True)
class Lesion:
    """One lesion in a head; ``radius`` in half head lengths, ``center`` in head coordinates."""

    label: str
    center: tuple[float, float]
    radius: float
    outline: NDArray[np.float64]
    """(2, n) amplitude and phase of the outline's harmonics."""
    signal: float
    patches: Waves
    oedema: float
    """Width of the oedema in radii."""
    rim: float
    """Thickness of a glioma's rim in radii."""

    @classmethod
    def draw(cls, rng: np.random.Generator, label: str, head: Head) -> Self | None:
        """Draw a lesion of class ``label`` where such a lesion grows; None for no tumour."""
        if label == NO_TUMOR:
            return None
        low, high = _RADII[label]
        radius = float(low * (high / low) ** rng.uniform())
        amplitudes = rng.normal(0.0, _ROUGHNESS[label], _HARMONICS.size) / _HARMONICS
        return cls(
            label=label,
            center=_POSITIONS[label](rng, head, radius),
            radius=radius,
            outline=np.stack([amplitudes, rng.uniform(0, 2 * np.pi, _HARMONICS.size)]),
            signal=rng.uniform(0.62, 0.98),
            patches=Waves.smooth(rng, rng.uniform(0.08, 0.2)),
            oedema=rng.uniform(0.25, 1.0) if label == "glioma" else rng.choice([0.0, 0.0, 0.3]),
            rim=rng.uniform(0.22, 0.45),
        )

    def push(self, head: Head, grid: Grid, z: float) -> tuple[Field, Field]:
        """Mass effect: x and y of the tissue before the lesion displaced it."""
        aspect = np.float32(head.shape.aspect)
        dx, dy = (grid.x - self.center[0]) * aspect, grid.y - self.center[1]
        reach = 1.7 * self._radius_at(z)
        share = np.float32(0.45) * np.exp(-(dx**2 + dy**2) / np.float32(2 * reach**2))
        return grid.x - share * dx / aspect, grid.y - share * dy

    def paint(self, canvas: Canvas, head: Head, grid: Grid, z: float) -> NDArray[np.bool_]:
        """Paint slice ``z`` of the lesion; return where it is, without its oedema."""
        distance = self._distance(head, grid, z)
        return _PAINTERS[self.label](self, canvas, head, grid, distance, z) > 0.5

    def _radius_at(self, z: float) -> float:
        """Radius in slice ``z`` as of a ball, but at least 0.7 of it: each slice shows it."""
        share: float = max(0.5, 1.0 - (z / (1.6 * self.radius)) ** 2)
        return self.radius * float(share**0.5)

    def _distance(self, head: Head, grid: Grid, z: float) -> Field:
        """Signed distance from the lesion's outline, in half head lengths."""
        dx = (grid.x - self.center[0]) * np.float32(head.shape.aspect)
        dy = grid.y - self.center[1]
        angle = np.arctan2(dy, dx)
        wobble = np.ones_like(angle)
        for k, (amplitude, phase) in zip(_HARMONICS, self.outline.T, strict=True):
            wobble += np.float32(amplitude) * np.cos(np.float32(k) * angle + np.float32(phase))
        if self.label == "glioma":
            wobble += np.float32(0.06) * self.patches.at(z)
        reach = np.float32(self._radius_at(z)) * np.clip(wobble, 0.6, 1.5)
        return np.asarray(np.hypot(dx, dy) - reach)


def _paint_glioma(
    lesion: Lesion, canvas: Canvas, head: Head, grid: Grid, distance: Field, z: float
) -> Field:
    inside = canvas.cover(head.chamber(grid, lesion.center) + 0.01)
    patches = lesion.patches.at(z)
    fingers = distance - lesion.oedema * lesion.radius * (1.0 + 0.5 * patches)
    oedema = 0.55 * head.tissues.grey + 0.3 * head.tissues.csf
    canvas.paint(0.8 * inside * canvas.cover(fingers, 8.0), oedema)
    whole = inside * canvas.cover(distance, 1.5)
    uptake = np.clip(1.0 + 0.2 * patches, 0.5, 1.2)
    canvas.paint(whole, lesion.signal * uptake)
    core = distance + lesion.rim * lesion.radius * (1.0 + 0.45 * patches)
    canvas.paint(inside * canvas.cover(core, 2.5), head.tissues.csf + 0.06 + 0.03 * patches)
    return whole


def _paint_meningioma(
    lesion: Lesion, canvas: Canvas, head: Head, grid: Grid, distance: Field, z: float
) -> Field:
    inside = canvas.cover(head.chamber(grid, lesion.center) - 0.5 * head.shape.rim)
    patches = lesion.patches.at(z)
    if lesion.oedema > 0:
        oedema = 0.6 * head.tissues.grey + 0.25 * head.tissues.csf
        halo = distance - lesion.oedema * lesion.radius * (1.0 + 0.4 * patches)
        canvas.paint(0.7 * inside * canvas.cover(halo, 6.0), oedema)
    canvas.paint(inside * canvas.cover(distance - 0.016), 0.6 * head.tissues.csf + 0.1)
    tail = np.maximum(
        distance - 0.45 * lesion.radius, np.abs(head.chamber(grid, lesion.center)) - 0.012
    )
    canvas.paint(0.8 * canvas.cover(tail), 0.85 * lesion.signal)
    whole = inside * canvas.cover(distance)
    canvas.paint(whole, lesion.signal * (1.0 + 0.04 * patches))
    return whole


def _paint_pituitary(
    lesion: Lesion, canvas: Canvas, head: Head, grid: Grid, distance: Field, z: float
) -> Field:
    whole = canvas.cover(np.maximum(distance, grid.radius - head.brain_radius))
    canvas.paint(whole, 0.92 * lesion.signal * (1.0 + 0.07 * lesion.patches.at(z)))
    carotid = ellipse(np.abs(grid.x), grid.y, (0.135, -0.17), (0.034, 0.03))
    canvas.paint(0.9 * canvas.cover(carotid), 0.05)
    return whole


def _place_glioma(rng: np.random.Generator, head: Head, radius: float) -> tuple[float, float]:
    """Inside the brain, off its surface and off the midline."""
    side = float(rng.choice([-1.0, 1.0]))
    if head.base:
        if rng.uniform() < 0.5:
            return side * rng.uniform(0.18, 0.38), rng.uniform(0.38, 0.55)
        return side * rng.uniform(0.44, 0.56), rng.uniform(-0.20, 0.05)
    angle = rng.uniform(0.2, np.pi - 0.2)
    reach = rng.uniform(0.32, max(0.36, head.brain_radius - radius - 0.04))
    return side * reach * float(np.sin(angle)), -reach * float(np.cos(angle))


def _place_meningioma(rng: np.random.Generator, head: Head, radius: float) -> tuple[float, float]:
    """With its base on the dura: convexity, falx, or the wall of a chamber of the skull base."""
    side = float(rng.choice([-1.0, 1.0]))
    inwards = rng.uniform(0.25, 0.75) * radius
    if head.base:
        chamber = POSTERIOR_FOSSA if rng.uniform() < 0.45 else TEMPORAL[int(side > 0)]
        return _on_wall(chamber, side * rng.uniform(0.2, np.pi / 2 + 0.5), inwards)
    if rng.uniform() < 0.25:
        along = float(rng.choice([-1.0, 1.0])) * rng.uniform(0.48, 0.7)
        return side * inwards / head.shape.aspect, along
    angle = rng.uniform(0.0, 2 * np.pi)
    reach = head.brain_radius - inwards
    direction = np.array([np.sin(angle), np.cos(angle)])
    direction /= np.sum(np.abs(direction) ** head.shape.roundness) ** (1 / head.shape.roundness)
    return reach * float(direction[0]), reach * float(direction[1])


def _on_wall(chamber: Compartment, angle: float, inwards: float) -> tuple[float, float]:
    """A point ``inwards`` of the wall; angle 0 is posterior, positive towards positive x."""
    x = (chamber.radii[0] - inwards) * float(np.sin(angle))
    y = (chamber.radii[1] - inwards) * float(np.cos(angle))
    cos, sin = float(np.cos(chamber.turn)), float(np.sin(chamber.turn))
    return chamber.center[0] + x * cos - y * sin, chamber.center[1] + x * sin + y * cos


def _place_pituitary(rng: np.random.Generator, head: Head, radius: float) -> tuple[float, float]:
    """In the sella, a little off centre."""
    return (
        SELLA[0] + rng.normal(0.0, 0.15 * radius) / head.shape.aspect,
        SELLA[1] + rng.uniform(-0.2, 0.35) * radius,
    )


_PAINTERS: Final = {
    "glioma": _paint_glioma,
    "meningioma": _paint_meningioma,
    "pituitary": _paint_pituitary,
}
_POSITIONS: Final = {
    "glioma": _place_glioma,
    "meningioma": _place_meningioma,
    "pituitary": _place_pituitary,
}

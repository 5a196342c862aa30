"""A parametric head without a lesion, as a T1-weighted axial slice after contrast shows it.

Coordinates: ``x`` across and ``y`` along the head, 0 in the middle, 1 at the skin; anterior is at
negative ``y``, the top of the image. Two levels: through the cerebrum, and through the base of
the skull with orbits, sella, temporal lobes and posterior fossa. Nothing here depends on the class.
"""

import dataclasses
from typing import Final, NamedTuple, Self

import numpy as np

from tumorlens.demo.phantom_canvas import SIZE, Canvas, Field, Waves, ellipse, segment

SELLA: Final = (0.0, -0.15)
"""Where the pituitary gland sits at the base level."""


class Compartment(NamedTuple):
    """An elliptic chamber of the skull base that holds brain."""

    center: tuple[float, float]
    radii: tuple[float, float]
    turn: float

    def distance(self, x: Field, y: Field) -> Field:
        """Signed distance, negative inside."""
        return ellipse(x, y, self.center, self.radii, self.turn)


POSTERIOR_FOSSA: Final = Compartment((0.0, 0.44), (0.64, 0.40), 0.0)
TEMPORAL: Final = (
    Compartment((-0.50, -0.09), (0.29, 0.36), -0.25),
    Compartment((0.50, -0.09), (0.29, 0.36), 0.25),
)


class Tissues(NamedTuple):
    """Signal of each tissue, 0 to 1."""

    csf: float
    grey: float
    white: float
    fat: float
    bone: float
    marrow: float
    muscle: float
    enhancing: float
    """Vessels, sinuses, dura, gland: tissue that enhances in a healthy head."""


class Shape(NamedTuple):
    """Geometry of one head."""

    length: float
    """Half the head's length, in half images."""
    aspect: float
    """Width over length."""
    roundness: float
    taper: float
    turn: float
    center: tuple[float, float]
    scalp: float
    skull: float
    rim: float
    """Thickness of the layers, in half lengths."""
    ventricles: float
    asymmetry: float


class Grid(NamedTuple):
    """Where every pixel lies in the head."""

    x: Field
    y: Field
    depth: Field
    """From the surface of the brain inwards; negative outside."""
    radius: Field
    """0 in the middle, 1 at the skin."""


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """One phantom patient: anatomy, tissue signals, and the fields that make its textures."""

    shape: Shape
    tissues: Tissues
    base: bool
    """Whether its slices are at the base of the skull."""
    height: float
    """Of the middle slice at the cerebral level: 0 at the thalami, 1 above the ventricles."""
    folds: Waves
    folia: Waves
    clouds: tuple[Waves, Waves, Waves]
    vessels: tuple[tuple[float, float, float], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, base: bool) -> Self:
        """Draw a head at random."""
        return cls(
            shape=_draw_shape(rng),
            tissues=_draw_tissues(rng),
            base=base,
            height=rng.uniform(0.0, 1.1),
            folds=Waves.banded(rng, rng.uniform(0.14, 0.19)),
            folia=Waves.banded(rng, 0.09),
            clouds=(Waves.smooth(rng, 0.5), Waves.smooth(rng, 0.16), Waves.smooth(rng, 0.05)),
            vessels=tuple(
                (rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.12), rng.uniform(0.008, 0.018))
                for _ in range(rng.integers(4, 12))
            ),
        )

    @property
    def pixel(self) -> float:
        """Side of a pixel in half head lengths."""
        return 2.0 / (SIZE * self.shape.length)

    @property
    def brain_radius(self) -> float:
        """``Grid.radius`` at the surface of the brain."""
        shape = self.shape
        return 1.0 - shape.scalp - shape.skull - shape.rim

    def grid(self, z: float) -> Grid:
        """Lay the head's coordinates over slice ``z``."""
        shape = self.shape
        axis = np.linspace(-1.0, 1.0, SIZE, dtype=np.float32) / np.float32(shape.length)
        column, row = np.meshgrid(axis - shape.center[0], axis - shape.center[1])
        column = column + np.float32(0.012) * self.clouds[0].at(z)
        row = row + np.float32(0.012) * self.clouds[0].at(z + 9.0)
        cos, sin = np.cos(shape.turn), np.sin(shape.turn)
        across = (column * cos + row * sin).astype(np.float32)
        y = (row * cos - column * sin).astype(np.float32)
        x = across / (shape.aspect * (1.0 + shape.taper * y)) + shape.asymmetry * y * np.abs(y)
        x = x.astype(np.float32)
        power = np.float32(shape.roundness)
        radius: Field = (np.abs(x) ** power + np.abs(y) ** power) ** (1 / power)
        return Grid(x, y, np.float32(self.brain_radius) - radius, radius)

    def paint(self, z: float, grid: Grid, pushed: tuple[Field, Field]) -> Canvas:
        """Paint slice ``z``; ``pushed`` are x and y with a lesion's mass effect in them."""
        canvas = Canvas(np.zeros_like(grid.x), self.pixel)
        self._paint_shell(canvas, grid, z)
        if self.base:
            self._paint_base(canvas, grid, pushed, z)
        else:
            self._paint_cerebrum(canvas, grid, pushed, z)
        return canvas

    def chamber(self, grid: Grid, center: tuple[float, float]) -> Field:
        """Signed distance from the walls of the brain's chamber around ``center``."""
        if not self.base:
            return -grid.depth
        if center[1] > 0.15:
            return np.minimum(POSTERIOR_FOSSA.distance(grid.x, grid.y), _stem(grid.x, grid.y))
        return TEMPORAL[int(center[0] > 0)].distance(grid.x, grid.y)

    def _paint_shell(self, canvas: Canvas, grid: Grid, z: float) -> None:
        """Skin, fat, the two tables of the skull with marrow between them, and dura."""
        shape, tissue, grain = self.shape, self.tissues, self.clouds[2].at(z)
        skin = grid.radius - 1.0
        canvas.fill(skin, tissue.muscle * 1.3)
        canvas.fill(skin + 0.014, tissue.fat * (1.0 + 0.08 * grain))
        outer = grid.radius - (1.0 - shape.scalp)
        canvas.fill(outer, tissue.bone)
        table = 0.28 * shape.skull
        canvas.fill(outer + table, tissue.marrow * (1.0 + 0.15 * grain))
        inner = outer + shape.skull
        canvas.fill(inner - table, tissue.bone)
        canvas.fill(inner, 0.55 * tissue.enhancing + 0.25 * tissue.csf)
        canvas.fill(inner + 0.5 * shape.rim, tissue.csf)

    def _cortex(self, depth: Field, z: float) -> Field:
        """Signal of folded cortex over white matter, by depth below the surface."""
        tissue, folds, cloud = self.tissues, np.abs(self.folds.at(z)), self.clouds[1].at(z)
        outer = np.clip(1.0 - depth / 0.27, 0.0, 1.0)
        ribbon = np.clip(0.5 + (0.85 * outer**0.6 - folds) / 0.35, 0.0, 1.0)
        ribbon = np.maximum(ribbon * (outer > 0), np.clip((0.05 - depth) / 0.02, 0.0, 1.0))
        signal = tissue.white * (1.0 + 0.025 * cloud)
        signal = signal + ribbon * (tissue.grey - signal)
        sulci = np.clip(0.40 + (0.34 * outer - folds) / 0.30, 0.0, 1.0) * np.clip(8 * outer, 0, 1)
        return np.asarray(signal + 0.85 * sulci * (tissue.csf - signal))

    def _paint_cerebrum(
        self, canvas: Canvas, grid: Grid, pushed: tuple[Field, Field], z: float
    ) -> None:
        tissue, wander = self.tissues, np.float32(0.014) * self.clouds[1].at(z)
        x, y = pushed[0] + wander, pushed[1] + wander
        height = self.height + 1.5 * z
        canvas.fill(-grid.depth, self._cortex(grid.depth, z))
        if height < 0.6:
            self._paint_deep(canvas, x, y, -grid.depth)
        if height < 1.0:
            _paint_ventricles(canvas, x, y, self.shape, tissue, height)
        reach = 0.40 if height < 0.9 else -1.0
        falx = np.maximum(np.abs(x) - 0.013, reach - np.abs(y))
        canvas.paint(canvas.cover(np.maximum(falx, -grid.depth - 0.02)), 0.9 * tissue.csf)
        falx = np.maximum(np.abs(x) - 0.004, reach - np.abs(y))
        canvas.paint(
            0.7 * canvas.cover(np.maximum(falx, -grid.depth - 0.02)), 0.75 * tissue.enhancing
        )
        edge = self.brain_radius
        canvas.fill(ellipse(x, y, (0.0, edge + 0.005), (0.045, 0.035)), tissue.enhancing)
        canvas.fill(ellipse(x, y, (0.0, -edge - 0.005), (0.022, 0.02)), tissue.enhancing)
        self._paint_vessels(canvas, grid)

    def _paint_deep(self, canvas: Canvas, x: Field, y: Field, outside: Field) -> None:
        """Thalami, striatum, insula and the Sylvian fissures."""
        tissue, side = self.tissues, np.abs(x)
        grey = 0.6 * tissue.grey + 0.4 * tissue.white
        canvas.fill(ellipse(side, y, (0.12, 0.07), (0.085, 0.13), 0.35), grey, 3.0)
        canvas.fill(ellipse(side, y, (0.33, -0.10), (0.065, 0.17), -0.25), grey, 3.0)
        canvas.fill(ellipse(side, y, (0.21, -0.24), (0.045, 0.08), 0.3), grey, 2.0)
        canvas.fill(segment(side, y, (0.50, -0.18), (0.53, 0.10), 0.09), tissue.grey, 2.0)
        bow = 1.2 * (y + 0.05) ** 2
        canvas.fill(segment(side + bow, y, (0.56, -0.17), (0.57, 0.09), 0.016), tissue.csf, 2.5)
        fissure = segment(side, y + 0.6 * (side - 0.5) ** 2, (0.54, -0.13), (0.90, -0.15), 0.022)
        canvas.fill(np.maximum(fissure, outside), tissue.csf, 2.0)
        canvas.fill(segment(x, y, (0.0, -0.04), (0.0, 0.13), 0.022), tissue.csf)

    def _paint_vessels(self, canvas: Canvas, grid: Grid) -> None:
        """Cortical vessels seen end on: bright dots near the surface, the same for every class."""
        for angle, depth, width in self.vessels:
            reach = self.brain_radius - depth
            at = (reach * float(np.sin(angle)) * 0.97, reach * float(np.cos(angle)) * 0.97)
            dot = ellipse(grid.x, grid.y, at, (width / self.shape.aspect, width))
            canvas.paint(0.8 * canvas.cover(dot), self.tissues.enhancing)

    def _paint_base(
        self, canvas: Canvas, grid: Grid, pushed: tuple[Field, Field], z: float
    ) -> None:
        tissue, grain = self.tissues, self.clouds[2].at(z)
        inside = grid.radius - (1.0 - self.shape.scalp)
        soft = tissue.muscle * (1.0 + 0.12 * grain + 0.10 * self.clouds[1].at(z))
        canvas.fill(np.maximum(inside, grid.y + 0.1 + 0.3 * np.abs(grid.x)), soft, 2.0)
        self._paint_face(canvas, grid, z)
        self._paint_bone(canvas, grid, z)
        self._paint_fossae(canvas, grid, pushed, z)
        self._paint_sella(canvas, pushed)

    def _paint_face(self, canvas: Canvas, grid: Grid, z: float) -> None:
        """Orbits with fat, globes, muscles and nerves; ethmoid cells; muscles of mastication."""
        tissue, x, y, side = self.tissues, grid.x, grid.y, np.abs(grid.x)
        inside = grid.radius - (1.0 - self.shape.scalp) + 0.02
        canvas.fill(
            np.maximum(ellipse(side, y, (0.83, -0.28), (0.07, 0.19), 0.15), inside), tissue.muscle
        )
        orbit = np.maximum(ellipse(side, y, (0.35, -0.60), (0.20, 0.27), 0.35), inside)
        canvas.fill(orbit - 0.03, tissue.bone)
        canvas.fill(orbit, 0.9 * tissue.fat)
        for start, end, width in (
            ((0.49, -0.66), (0.26, -0.38), 0.045),
            ((0.24, -0.72), (0.22, -0.40), 0.045),
            ((0.38, -0.62), (0.23, -0.38), 0.04),
        ):
            canvas.fill(segment(side, y, start, end, width), 1.15 * tissue.muscle)
        globe = np.maximum(ellipse(side, y, (0.40, -0.70), (0.145, 0.125)), inside - 0.03)
        canvas.fill(globe - 0.015, 1.4 * tissue.muscle)
        canvas.fill(globe, 0.8 * tissue.csf + 0.05)
        cells = np.maximum(ellipse(x, y, (0.0, -0.66), (0.14, 0.27)), inside)
        septa = np.clip(0.9 - np.abs(self.folia.at(z)) / 0.5, 0.0, 1.0)
        canvas.fill(cells, 0.03 + septa * tissue.muscle)

    def _paint_bone(self, canvas: Canvas, grid: Grid, z: float) -> None:
        """Sphenoid with its air sinus, clivus, petrous ridges, mastoid cells."""
        tissue, x, y, side = self.tissues, grid.x, grid.y, np.abs(grid.x)
        for chamber in (POSTERIOR_FOSSA, *TEMPORAL):
            canvas.fill(chamber.distance(x, y) - 0.05, tissue.bone)
        petrous = segment(side, y, (0.14, 0.0), (0.78, 0.27), 0.15)
        canvas.fill(petrous, tissue.bone)
        marrow = segment(side, y, (0.14, -0.02), (0.34, 0.07), 0.05)
        canvas.fill(marrow, tissue.marrow, 2.0)
        cells = np.clip(np.abs(self.folia.at(z)) - 0.4, 0.0, 1.0)
        canvas.fill(
            ellipse(side, y, (0.74, 0.28), (0.10, 0.10)), tissue.bone + 0.35 * cells * tissue.muscle
        )
        canvas.fill(ellipse(x, y, (0.0, -0.30), (0.17, 0.24)), tissue.bone)
        canvas.fill(ellipse(side, y, (0.07, -0.37), (0.06, 0.10)), 0.02, 1.5)

    def _paint_fossae(
        self, canvas: Canvas, grid: Grid, pushed: tuple[Field, Field], z: float
    ) -> None:
        """Temporal lobes, brain stem, cerebellum with its folia, fourth ventricle."""
        tissue, (x, y) = self.tissues, pushed
        for chamber in TEMPORAL:
            distance = chamber.distance(grid.x, grid.y)
            canvas.fill(distance, tissue.csf)
            canvas.fill(distance + 0.02, self._cortex(-distance - 0.02, z))
        fossa = POSTERIOR_FOSSA.distance(grid.x, grid.y)
        canvas.fill(np.minimum(fossa, _stem(grid.x, grid.y) - 0.04), tissue.csf)
        canvas.fill(fossa + 0.03, self._cerebellum(-fossa - 0.03, z))
        canvas.fill(
            ellipse(x, y, (0.0, 0.40), (0.055, 0.24)), 0.5 * (tissue.grey + tissue.white), 3.0
        )
        canvas.fill(_stem(x, y), 0.35 * tissue.grey + 0.65 * tissue.white)
        opening = ellipse(x, y, (0.0, 0.29), (0.09 * self.shape.ventricles**0.5, 0.045))
        canvas.fill(opening, tissue.csf)
        edge = POSTERIOR_FOSSA.center[1] + POSTERIOR_FOSSA.radii[1]
        canvas.fill(ellipse(x, y, (0.0, edge + 0.01), (0.05, 0.035)), tissue.enhancing)
        canvas.fill(
            ellipse(np.abs(x), y, (0.60, 0.54), (0.035, 0.055), -0.5), 0.95 * tissue.enhancing
        )

    def _cerebellum(self, depth: Field, z: float) -> Field:
        """Fine folia that run along the surface, over a white core."""
        tissue = self.tissues
        wander = self.folds.at(z)
        stripes = np.cos(2 * np.pi * depth / 0.055 + 1.2 * wander)
        outer = np.clip(1.2 - depth / 0.20, 0.0, 1.0)
        grey = np.clip(0.75 + 0.25 * stripes, 0.0, 1.0) * outer
        signal = tissue.white + grey * (tissue.grey - tissue.white)
        gaps = np.clip(stripes - 0.55, 0.0, 1.0) * outer
        return np.asarray(signal + 0.9 * gaps * (tissue.csf - signal))

    def _paint_sella(self, canvas: Canvas, pushed: tuple[Field, Field]) -> None:
        """Cavernous sinuses, carotid arteries, a normal gland, the basilar artery."""
        tissue, (x, y), side = self.tissues, pushed, np.abs(pushed[0])
        canvas.fill(ellipse(side, y, (0.115, -0.14), (0.05, 0.10)), 0.8 * tissue.enhancing)
        canvas.fill(ellipse(side, y, (0.12, -0.17), (0.034, 0.03)), 0.05)
        canvas.fill(ellipse(x, y, SELLA, (0.055, 0.04)), 0.85 * tissue.enhancing)
        canvas.fill(segment(x, y, (-0.07, -0.095), (0.07, -0.095), 0.03), tissue.marrow)
        canvas.fill(ellipse(x, y, (0.0, -0.02), (0.024, 0.02)), 0.9 * tissue.enhancing)


def _stem(x: Field, y: Field) -> Field:
    return ellipse(x, y, (0.0, 0.14), (0.19, 0.135))


def _paint_ventricles(
    canvas: Canvas, x: Field, y: Field, shape: Shape, tissue: Tissues, height: float
) -> None:
    """Two lateral ventricles: frontal horns, and bodies or trigones by ``height``."""
    back = y > -0.05
    spread = np.where(back, 1.5, 1.0).astype(np.float32) * np.float32(1.0 - 0.55 * height)
    middle = 0.055 + spread * (y + 0.05) ** 2
    skew = 1.0 + 3.0 * shape.asymmetry * np.sign(x)
    width = (0.045 - 0.02 * np.exp(-(((y - 0.02) / 0.12) ** 2))) * shape.ventricles * skew
    width = width + np.clip(y, 0.0, 1.0) * (0.10 if height < 0.6 else 0.02)
    front, rear = -0.38, 0.38 - 0.1 * height
    tips = np.clip((y - front) * (rear - y) / 0.03, 0.0, 1.0) ** 0.5
    lateral = np.abs(np.abs(x) - middle - width) - width * tips
    hollow = np.maximum(lateral, np.maximum(front - y, y - rear))
    if height < 0.6:
        hollow = np.maximum(hollow, 0.13 - np.abs(y - 0.04))
    canvas.fill(hollow.astype(np.float32), tissue.csf, 1.3)
    if height < 0.75:
        plexus = ellipse(np.abs(x), y, (0.25 - 0.1 * height, 0.27), (0.025, 0.05), -0.6)
        canvas.paint(0.8 * canvas.cover(plexus), 0.9 * tissue.enhancing)


def _draw_shape(rng: np.random.Generator) -> Shape:
    return Shape(
        length=rng.uniform(0.76, 0.90),
        aspect=rng.uniform(0.76, 0.88),
        roundness=rng.uniform(2.0, 2.35),
        taper=rng.uniform(0.02, 0.12),
        turn=rng.normal(0.0, 0.09),
        center=(rng.normal(0.0, 0.025), rng.normal(0.0, 0.025)),
        scalp=rng.uniform(0.045, 0.085),
        skull=rng.uniform(0.055, 0.085),
        rim=rng.uniform(0.018, 0.04),
        ventricles=rng.uniform(0.6, 1.5),
        asymmetry=rng.normal(0.0, 0.025),
    )


def _draw_tissues(rng: np.random.Generator) -> Tissues:
    grey = rng.uniform(0.28, 0.40)
    return Tissues(
        csf=rng.uniform(0.07, 0.15),
        grey=grey,
        white=grey + rng.uniform(0.04, 0.15),
        fat=rng.uniform(0.70, 1.0),
        bone=rng.uniform(0.02, 0.07),
        marrow=rng.uniform(0.25, 0.50),
        muscle=rng.uniform(0.20, 0.32),
        enhancing=rng.uniform(0.60, 0.90),
    )

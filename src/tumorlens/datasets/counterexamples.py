"""Drawn images that are not brain MRI: what the gate learns to reject.

Nobody can collect every image that is not a brain. A gate must learn what makes a head, so most
of these are similar to heads: heads cut into pieces, several heads in one frame, tissue without a
head, and the trunks, limbs and soft shapes on black that other scans show. The others are
noise, patterns, scenes of overlapping shapes ("dead leaves", Lee, Mumford and Huang 2001) and
pages of text. After "outlier exposure" (Hendrycks et al. 2019), without anybody's photographs.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, zoom

Image = NDArray[np.float32]
"""(S, S), 0 to 1."""

_TINY: Final = 1e-6


def draw(rng: np.random.Generator, size: int, head: Image) -> Image:
    """One outlier (size, size), 0 to 1, of a random kind; some change ``head`` (size, size)."""
    kinds = list(KINDS.values())
    image = kinds[rng.integers(len(kinds))](rng, size, head)
    return unit(image)


def unit(image: Image) -> Image:
    """Stretch to 0..1; a constant image becomes 0."""
    low, high = float(image.min()), float(image.max())
    return ((image - low) / max(high - low, _TINY)).astype(np.float32)


def noise(rng: np.random.Generator, size: int, _head: Image) -> Image:
    """Noise with a random spectrum, from white to clouds, sometimes thresholded to blobs."""
    field = _clouds(rng, size, rng.uniform(0.0, 3.0))
    if rng.random() < 0.3:
        field = (field > np.quantile(field, rng.uniform(0.2, 0.8))).astype(np.float32)
    return field


def pattern(rng: np.random.Generator, size: int, _head: Image) -> Image:
    """Stripes, checkerboards, rings and ramps, rotated and slightly noisy."""
    y, x = _grid(size)
    angle = rng.uniform(0, np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    period = rng.uniform(0.08, 1.0)
    choices = [
        along,
        np.sin(2 * np.pi * along / period),
        np.sign(np.sin(2 * np.pi * along / period) * np.sin(2 * np.pi * across / period)),
        np.sin(2 * np.pi * np.hypot(along, across) / period),
        np.hypot(along, across),
        (np.hypot(along, across * rng.uniform(0.5, 2)) < rng.uniform(0.2, 0.9)).astype(float),
    ]
    shape = choices[rng.integers(len(choices))]
    return unit(shape.astype(np.float32)) + rng.uniform(0, 0.1) * _white(rng, size)


def medallion(rng: np.random.Generator, size: int, _head: Image) -> Image:
    """A disc filled with sectors, rings and ramps: wheels, dials, plates, badges."""
    y, x = _grid(size)
    x, y = x - rng.uniform(-0.15, 0.15), (y - rng.uniform(-0.15, 0.15)) * rng.uniform(0.8, 1.25)
    radius, angle = np.hypot(y, x), np.arctan2(y, x) + rng.uniform(0, 2 * np.pi)
    waves = np.sin(rng.integers(1, 13) * angle)
    fills = [
        waves,
        np.sign(waves),
        np.sin(2 * np.pi * radius / rng.uniform(0.1, 1.0)),
        radius ** rng.uniform(0.5, 3),
        np.abs(angle - np.pi),
    ]
    weights = rng.dirichlet(np.full(len(fills), 0.4))
    inside = sum(weight * unit(fill) for weight, fill in zip(weights, fills, strict=True))
    inside = inside if rng.random() < 0.5 else 1 - inside
    around = 0.0 if rng.random() < 0.6 else rng.uniform(0, 1)
    image = np.where(radius < rng.uniform(0.45, 1.0), rng.uniform(0.2, 1.0) * inside, around)
    return _finished(rng, image)


def leaves(rng: np.random.Generator, size: int, _head: Image) -> Image:
    """A scene: many shapes over each other, each with its own tone and texture, no empty frame."""
    scene = _clouds(rng, size, 2.0)
    for _ in range(rng.integers(8, 80)):
        extent = float(np.exp(rng.uniform(np.log(0.05), np.log(0.8))))
        inside = _shape(rng, size, extent, rng.uniform(-1, 1, 2))
        scene = np.where(inside, _material(rng, size), scene)
    return gaussian_filter(scene, rng.uniform(0, 0.8))


def organs(rng: np.random.Generator, size: int, _head: Image) -> Image:
    """Soft shapes with bright rims and speckled insides on black, as limbs, trunks and organs."""
    image = rng.uniform(0, 0.05) * np.abs(_white(rng, size))
    for _ in range(rng.integers(1, 4)):
        center = rng.uniform(-0.6, 0.6, 2)
        body = _shape(rng, size, rng.uniform(0.25, 1.2), center)
        tissue = rng.uniform(0.2, 0.9) + rng.uniform(0.05, 0.5) * (_clouds(rng, size, 2.0) - 0.5)
        image = np.where(body, tissue, image)
        for _ in range(rng.integers(0, 7)):
            part = _shape(rng, size, rng.uniform(0.04, 0.4), center + rng.uniform(-0.5, 0.5, 2))
            image = np.where(part & body, _material(rng, size), image)
        if rng.random() < 0.5:
            rim = gaussian_filter(body.astype(np.float32), rng.uniform(0.5, 1.5))
            image = image + rng.uniform(0, 2) * rim * (1 - rim)
    image = gaussian_filter(image, rng.uniform(0.3, 1.2))
    return np.clip(image + rng.uniform(0, 0.05) * _white(rng, size), 0, None)


def trunk(rng: np.random.Generator, size: int, _head: Image) -> Image:
    """A body cut across: fat, muscle, a cavity of organs or lungs, ribs, a spine at the back."""
    width, flat, power = rng.uniform(0.55, 1.05), rng.uniform(0.5, 0.95), rng.uniform(2, 3.5)
    bone = rng.uniform(0.5, 1.0) if rng.random() < 0.7 else rng.uniform(0, 0.4)
    reach = _reach(size, width, width * flat, power)
    image = np.where(reach < 1, rng.uniform(0.1, 0.9), 0.0)
    wall = 1 - rng.uniform(0.03, 0.25)
    image = np.where(reach < wall, _material(rng, size), image)
    inside = reach < wall - rng.uniform(0.05, 0.15)
    image = np.where(inside, rng.uniform(0.0, 0.7), image)
    image = _filled(rng, image, inside, width)
    for angle in rng.uniform(0, 2 * np.pi, rng.integers(0, 14)):
        center = wall * width * np.array([flat * np.sin(angle), np.cos(angle)])
        image = np.where(_shape(rng, size, rng.uniform(0.02, 0.09), center), bone, image)
    back = width * flat * rng.uniform(0.35, 0.75)
    image = np.where(_disc(size, (back, 0), rng.uniform(0.08, 0.2)), bone, image)
    canal = _disc(size, (back + rng.uniform(0.1, 0.2), 0), rng.uniform(0.03, 0.08))
    image = np.where(canal, rng.uniform(0, 1), image)
    return _finished(rng, image if rng.random() < 0.8 else image[::-1])


def length(rng: np.random.Generator, size: int, _head: Image) -> Image:
    """A body cut lengthwise, from one end of the frame to the other, vertebrae in a row."""
    y, x = _grid(size)
    middle, bend = rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3)
    half = rng.uniform(0.35, 0.9) * (1 + rng.uniform(-0.3, 0.3) * np.cos(rng.uniform(1, 4) * y))
    reach = np.abs(x - middle - bend * y**2) / half
    image = np.where(reach < 1, rng.uniform(0.1, 0.9), 0.0)
    inside = reach < 1 - rng.uniform(0.05, 0.3)
    image = np.where(inside, _material(rng, size), image)
    image = _filled(rng, image, inside, 1.0)
    bone = rng.uniform(0.3, 1.0)
    column, thick, step = rng.uniform(-0.4, 0.4), rng.uniform(0.05, 0.18), rng.uniform(0.12, 0.4)
    spine = np.abs(x - middle - column - rng.uniform(-0.2, 0.2) * y**2) < thick
    gaps = np.mod(y + rng.uniform(0, 1), step) > step * rng.uniform(0.1, 0.35)
    if rng.random() < 0.7:
        image = np.where(spine & inside, np.where(gaps, bone, rng.uniform(0, 0.6)), image)
    if rng.random() < 0.5:
        ribs = (np.abs(reach - rng.uniform(0.8, 0.95)) < 0.06) & gaps
        image = np.where(ribs, bone, image)
    return _finished(rng, image if rng.random() < 0.7 else image.T)


def limb(rng: np.random.Generator, size: int, _head: Image) -> Image:
    """An arm, a leg or a joint: long bones with marrow among muscles, along or across."""
    y, x = _grid(size)
    image = np.zeros((size, size))
    bone, marrow, along = rng.uniform(0, 1), rng.uniform(0, 1), rng.random() < 0.6
    meeting = rng.uniform(-0.5, 0.5)
    for _ in range(rng.integers(1, 3)):
        across, lean = rng.uniform(-0.5, 0.5), rng.uniform(-0.4, 0.4)
        thick = rng.uniform(0.2, 0.7)
        distance = np.abs(x - across - lean * y) if along else np.hypot(x - across, y - lean)
        image = np.where(distance < thick, _material(rng, size), image)
        ends = along * rng.uniform(0, 1) * np.exp(-(((y - meeting) / 0.2) ** 2))
        shaft = thick * rng.uniform(0.2, 0.5) * (1 + ends)
        joint = along & (np.abs(y - meeting) < rng.uniform(0.01, 0.06))
        image = np.where((distance < shaft) & ~joint, bone, image)
        image = np.where((distance < shaft * rng.uniform(0.5, 0.9)) & ~joint, marrow, image)
    return _finished(rng, image if rng.random() < 0.7 else image.T)


def exposure(rng: np.random.Generator, size: int, _head: Image) -> Image:
    """A bright, frame-filling projection with dark fields and ribs, as in an X-ray image."""
    image = 0.5 + 0.4 * (_clouds(rng, size, 2.5) - 0.5)
    for _ in range(rng.integers(1, 4)):
        field = _shape(rng, size, rng.uniform(0.3, 0.8), rng.uniform(-0.6, 0.6, 2))
        soft = gaussian_filter(field.astype(np.float32), size / rng.uniform(12, 40))
        image = image * (1 - soft * rng.uniform(0.3, 0.9))
    y, x = _grid(size)
    for _ in range(rng.integers(0, 14)):
        slope, offset, bend = rng.uniform(-0.6, 0.6), rng.uniform(-1, 1), rng.uniform(-0.5, 0.5)
        line = np.abs(y - offset - slope * x - bend * x**2) < rng.uniform(0.01, 0.06)
        image = image + rng.uniform(0.05, 0.3) * gaussian_filter(line.astype(np.float32), 0.7)
    return 1 - image if rng.random() < 0.3 else image


def page(rng: np.random.Generator, size: int, _head: Image) -> Image:
    """Lines of marks like text, or a screen of boxes."""
    image = np.full((size, size), 1.0, dtype=np.float32)
    step = int(rng.integers(3, max(4, size // 8)))
    for top in range(int(rng.integers(0, step)), size - step, step):
        if rng.random() < 0.15:
            continue
        end = int(size * rng.uniform(0.3, 1.0))
        marks = rng.random((max(1, step * 2 // 3), end)) < rng.uniform(0.2, 0.7)
        image[top : top + len(marks), :end] -= rng.uniform(0.4, 1.0) * marks
    image = gaussian_filter(np.clip(image, 0, 1), rng.uniform(0, 0.7))
    return 1 - image if rng.random() < 0.3 else image


def shuffled(rng: np.random.Generator, size: int, head: Image) -> Image:
    """A head cut into squares and laid in another order."""
    pieces = int(rng.choice([2, 3, 4, 6, 8]))
    side = size // pieces
    cut = head[: side * pieces, : side * pieces]
    tiles = cut.reshape(pieces, side, pieces, side).swapaxes(1, 2).reshape(-1, side, side)
    order = rng.permutation(len(tiles))
    while np.mean(order == np.arange(len(tiles))) > 0.5:
        order = rng.permutation(len(tiles))
    moved = tiles[order].reshape(pieces, pieces, side, side)
    return _resized(moved.swapaxes(1, 2).reshape(side * pieces, side * pieces), size)


def montage(rng: np.random.Generator, size: int, head: Image) -> Image:
    """Several heads in one frame, as a sheet of slices."""
    rows, columns = rng.integers(1, 5, 2)
    if rows * columns == 1:
        columns = 2
    small = zoom(head, (size / rows / head.shape[0], size / columns / head.shape[1]), order=1)
    tiles = [[small * rng.uniform(0.6, 1) for _ in range(columns)] for _ in range(rows)]
    return _resized(np.block(tiles).astype(np.float32), size)


def tissue(rng: np.random.Generator, size: int, head: Image) -> Image:
    """A small piece of a head enlarged: texture without a head."""
    side = max(8, int(size * rng.uniform(0.15, 0.4)))
    top, left = rng.integers(size // 5, max(size // 5 + 1, size - side - size // 5), 2)
    return _resized(head[top : top + side, left : left + side], size)


def swirled(rng: np.random.Generator, size: int, head: Image) -> Image:
    """A head twisted until it is no longer one."""
    y, x = _grid(size)
    radius = np.hypot(y, x)
    angle = np.arctan2(y, x) + rng.choice([-1, 1]) * rng.uniform(2, 6) * np.exp(-radius)
    warp = rng.uniform(0.15, 0.35)
    rows = radius * np.sin(angle) + warp * (_clouds(rng, size, 2.5) - 0.5) * 2
    columns = radius * np.cos(angle) + warp * (_clouds(rng, size, 2.5) - 0.5) * 2
    positions = np.stack([(rows + 1) / 2 * (size - 1), (columns + 1) / 2 * (size - 1)])
    return map_coordinates(head, positions, order=1, mode="constant").astype(np.float32)


def silhouette(rng: np.random.Generator, size: int, head: Image) -> Image:
    """The outline of a head filled with something else."""
    inside = gaussian_filter(head, size / 24) > 0.15
    filled = np.where(inside, _material(rng, size), 0.0)
    soft: Image = gaussian_filter(filled, rng.uniform(0, 1.0))
    return soft + rng.uniform(0, 0.03) * _white(rng, size)


KINDS: Final[dict[str, Callable[[np.random.Generator, int, Image], Image]]] = {
    kind.__name__: kind
    for kind in (
        noise, pattern, medallion, leaves, organs, trunk, length, limb, exposure, page, shuffled,
        montage, tissue, swirled, silhouette,
    )
}  # fmt: skip


def _filled(
    rng: np.random.Generator, image: NDArray[np.float64], cavity: NDArray[np.bool_], width: float
) -> NDArray[np.float64]:
    """``image`` with organs in ``cavity``, sometimes two lungs as well."""
    size = len(image)
    for _ in range(rng.integers(2, 16)):
        center = width * rng.uniform(-0.8, 0.8, 2)
        organ = _shape(rng, size, rng.uniform(0.04, 0.35), center)
        image = np.where(organ & cavity, _material(rng, size), image)
    if rng.random() < 0.4:
        air = rng.uniform(0, 0.15) + rng.uniform(0, 0.4) * (_clouds(rng, size, 1.5) > 0.75)
        for side in (-1, 1):
            center = width * np.array([rng.uniform(-0.2, 0.1), side * rng.uniform(0.35, 0.55)])
            lung = _shape(rng, size, width * rng.uniform(0.25, 0.45), center)
            image = np.where(lung & cavity, air, image)
    return image


def _finished(rng: np.random.Generator, image: NDArray[np.float64]) -> Image:
    """As a scanner would show it: slightly blurred and noisy, sometimes with a bright border."""
    soft = gaussian_filter(image, rng.uniform(0.2, 1.0))
    around = rng.uniform(0, 0.04) if rng.random() < 0.9 else rng.uniform(0.2, 0.6)
    noisy = np.maximum(soft, around) + rng.uniform(0, 0.06) * _white(rng, len(image))
    return np.asarray(np.clip(noisy, 0, None), dtype=np.float32)


def _disc(size: int, center: tuple[float, float], radius: float) -> NDArray[np.bool_]:
    y, x = _grid(size)
    return np.hypot(y - center[0], x - center[1]) < radius


def _reach(size: int, width: float, height: float, power: float) -> NDArray[np.float64]:
    """Distance of each pixel from the centre of a rounded box: 1 on its edge."""
    y, x = _grid(size)
    return (np.abs(x / width) ** power + np.abs(y / height) ** power) ** (1 / power)


def _grid(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows and columns from -1 to 1."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    return y, x


def _white(rng: np.random.Generator, size: int) -> Image:
    return rng.standard_normal((size, size), dtype=np.float32)


def _clouds(rng: np.random.Generator, size: int, slope: float) -> Image:
    """Noise whose amplitude falls as frequency to the power ``-slope``; 0 to 1."""
    fy, fx = np.fft.fftfreq(size), np.fft.rfftfreq(size)
    frequency = np.hypot(fy[:, np.newaxis], fx[np.newaxis])
    frequency[0, 0] = 1.0 / size
    spectrum = np.fft.rfft2(_white(rng, size)) / frequency**slope
    return unit(np.fft.irfft2(spectrum, s=(size, size)).astype(np.float32))


def _material(rng: np.random.Generator, size: int) -> Image:
    """A tone with or without texture."""
    tone = np.full((size, size), rng.uniform(0, 1), dtype=np.float32)
    if rng.random() < 0.6:
        tone = tone + rng.uniform(0.05, 0.5) * (_clouds(rng, size, rng.uniform(0, 2.5)) - 0.5)
    return np.clip(tone, 0, 1)


def _shape(
    rng: np.random.Generator, size: int, extent: float, center: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """An ellipse, a box or a lobed blob of half-width ``extent`` (the frame is 2 wide)."""
    y, x = _grid(size)
    angle = rng.uniform(0, np.pi)
    dy, dx = y - center[0], x - center[1]
    u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    v = v * rng.uniform(0.7, 3.0)
    kind = rng.integers(3)
    lobes, depth = rng.integers(2, 7), rng.uniform(0.1, 0.5)
    reach = np.full_like(u, extent)
    if kind == 2:
        reach = extent * (1 + depth * np.cos(lobes * np.arctan2(v, u)))
    distance = np.maximum(np.abs(u), np.abs(v)) if kind == 1 else np.hypot(u, v)
    return np.asarray(distance < reach)


def _resized(image: Image, size: int) -> Image:
    factors = (size / image.shape[0], size / image.shape[1])
    fitted: Image = zoom(image, factors, order=1)[:size, :size]
    if fitted.shape != (size, size):
        fitted = np.pad(
            fitted, [(0, size - fitted.shape[0]), (0, size - fitted.shape[1])], mode="edge"
        )
    return fitted

"""Overlays: the image below, the heat above, its colours beside it."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tumorlens.errors import UnsupportedFormatError
from tumorlens.imaging import reader
from tumorlens.imaging.facts import Sides
from tumorlens.imaging.overlay import (
    Marks,
    captioned_png,
    colors,
    gray_with_sides,
    overlay_png,
    windowed,
)

Gray = NDArray[np.uint8]


def drawn(pixels: NDArray[np.float32], heat: NDArray[np.float32]) -> NDArray[np.float32]:
    marks = Marks((0, 0), None)
    return gray(overlay_png(pixels, heat, marks))


def gray(data: bytes) -> NDArray[np.float32]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("L"), dtype=np.float32)


def test_what_this_package_drew_is_no_input(head: Gray) -> None:
    """Else a heatmap in the folder that is classified again would get an answer of its own."""
    pixels = head.astype(np.float32)
    drawings = (
        overlay_png(pixels, windowed(pixels), Marks((0, 0), None)),
        captioned_png(pixels, None, []),
    )
    for data in drawings:
        with pytest.raises(UnsupportedFormatError, match="an image with an answer of tumorlens"):
            reader.read_bytes(data)


def test_without_heat_the_image_shows_unchanged(head: Gray) -> None:
    pixels = np.kron(head, np.ones((3, 3))).astype(np.float32)
    found = drawn(pixels, np.zeros_like(pixels))
    expected = 255 * windowed(pixels)
    assert found.shape[0] == pixels.shape[0]
    np.testing.assert_allclose(found[30:, 30 : pixels.shape[1]], expected[30:, 30:], atol=1.5)


def test_sides_stand_at_the_edges_only_where_they_are_known(head: Gray) -> None:
    pixels = np.kron(head, np.ones((3, 3))).astype(np.float32)
    height, width = pixels.shape
    plain, marked = (gray_with_sides(pixels, sides) for sides in (None, Sides(*"RLAP")))
    np.testing.assert_array_equal(plain, np.rint(255 * windowed(pixels)))
    rows, columns = np.nonzero(plain != marked)
    middle = (abs(rows - height / 2) < height / 8) | (abs(columns - width / 2) < width / 8)
    edge = np.minimum.reduce([rows, columns, height - 1 - rows, width - 1 - columns])
    assert middle.all()
    assert edge.max() < height / 8
    for band in (rows < height / 8, rows > height * 7 / 8, columns < width / 8,
                 columns > width * 7 / 8):  # fmt: skip
        assert band.any()
    heat, marks = np.zeros_like(pixels), Marks((0, 0), None)
    one, other = (overlay_png(pixels, heat, marks, sides) for sides in (None, Sides(*"RLAP")))
    assert one != other


def test_heat_shows_where_it_is(head: Gray) -> None:
    pixels = np.kron(head, np.ones((3, 3))).astype(np.float32)
    heat = np.zeros_like(pixels)
    heat[300:360, 210:270] = 1
    off = np.abs(drawn(pixels, heat) - drawn(pixels, np.zeros_like(heat)))
    assert off[310:350, 220:260].min() > 10
    off[295:365, 205:275] = 0
    assert off.max() <= 1


def test_colours_grow_lighter_steadily() -> None:
    shades = colors(np.linspace(0, 1, 64)) @ np.array([0.299, 0.587, 0.114])
    assert (np.diff(shades) > 0).all()


@pytest.mark.parametrize("shape", [(32, 32), (32, 900), (900, 32), (2100, 1900)])
def test_any_size_and_unit(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    pixels = random.normal(-4e4, 1e3, shape).astype(np.float32)
    marks = Marks((shape[0] - 1, shape[1] - 1), (0, 0, shape[0], shape[1]))
    data = overlay_png(pixels, random.random(shape, dtype=np.float32), marks)
    assert max(gray(data).shape) < 1300

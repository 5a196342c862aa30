"""Overlays: the image below, the heat above, its colours beside it."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tumorlens.errors import UnsupportedFormatError
from tumorlens.imaging import reader
from tumorlens.imaging.facts import Sides
from tumorlens.imaging.raster.overlay import (
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


@pytest.mark.parametrize(
    ("height", "width", "shown"),
    [(100, 50, (384, 192)), (384, 384, (384, 384)), (700, 500, (700, 500)),
     (2048, 1024, (1024, 512)), (40, 400, (40, 400))],
)  # fmt: skip
def test_the_longer_side_has_384_to_1024_pixels(
    height: int, width: int, shown: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(0).random((height, width), dtype=np.float32)
    assert gray(captioned_png(pixels, None, [])).shape == shown


def test_the_darkest_and_brightest_half_percent_are_clipped() -> None:
    pixels = np.arange(1000, dtype=np.float32).reshape(20, 50)
    shown = windowed(pixels)
    assert (shown[0, :5] == 0).all()
    assert (shown[-1, -5:] == 1).all()
    assert shown.ravel()[500] == pytest.approx(0.5, abs=1e-3)
    assert 0 < shown[0, 6] < shown[-1, -7] < 1


@pytest.mark.parametrize("value", [0.0, -7.0, 1e30])
def test_an_image_of_one_value_is_black(value: float) -> None:
    assert (windowed(np.full((40, 40), value, np.float32)) == 0).all()


def test_an_image_that_is_nearly_all_background_shows_what_there_is() -> None:
    pixels = np.zeros((200, 200), np.float32)
    pixels[100, 100] = 3.0
    assert windowed(pixels)[100, 100] == 1
    assert windowed(pixels).sum() == 1


def test_the_colours_run_from_black_to_pale_yellow() -> None:
    assert colors(np.array([0.0, 0.5, 1.0])).tolist() == [[0, 0, 4], [188, 55, 84], [252, 255, 164]]
    assert colors(np.array([[0.0625]]))[0, 0].tolist() == [16, 6, 39]


def _rgb(data: bytes) -> NDArray[np.int16]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int16)


def test_the_peak_has_a_cross_and_the_box_a_frame() -> None:
    """Of an image that is drawn twice as large."""
    pixels = np.zeros((200, 250), np.float32)
    data = overlay_png(pixels, np.zeros_like(pixels), Marks((60, 100), (40, 70, 90, 131)))
    drawn = _rgb(data)[:307, :384]
    scale = 384 / 250
    cyan = np.argwhere((drawn == [0, 255, 255]).all(axis=2))
    assert cyan.mean(axis=0) == pytest.approx([60.5 * scale, 100.5 * scale], abs=1)
    white = np.argwhere((drawn == 255).all(axis=2))
    (top, left), (bottom, right) = white.min(axis=0), white.max(axis=0)
    edges = [round(edge * scale) for edge in (40, 70, 90, 131)]
    assert [top, left, bottom + 1, right + 1] == edges


def test_without_a_box_none_is_drawn() -> None:
    pixels = np.zeros((200, 250), np.float32)
    drawn = _rgb(overlay_png(pixels, np.zeros_like(pixels), Marks((60, 100), None)))[:307, :384]
    assert not (drawn == 255).all(axis=2).any()


def test_a_caption_is_written_below_in_as_many_lines_as_it_needs() -> None:
    pixels = np.random.default_rng(0).random((400, 400), dtype=np.float32)
    plain, short, long, two = (
        _rgb(captioned_png(pixels, None, caption))
        for caption in ((), ("A word.",), ("Many words. " * 20,), ("A word.", "Another."))
    )
    assert [one.shape[1] for one in (plain, short, long, two)] == [400] * 4
    assert plain.shape[0] == 400 < short.shape[0] < two.shape[0] < long.shape[0]
    for written in (short, long, two):
        np.testing.assert_array_equal(written[:400], plain)
        assert written[400:].max() > 200
        assert written[400:, -3:].max() == 0, "no line runs over the edge"

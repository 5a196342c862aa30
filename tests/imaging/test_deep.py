"""16-bit colour keeps its low bytes."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.errors import UnsupportedFormatError
from tumorlens.imaging import reader

Writer = Callable[..., bytes]


@pytest.fixture
def color() -> NDArray[np.uint16]:
    """Noise (40, 50, 4) whose low bytes matter; the last channel is for alpha."""
    return np.random.default_rng(3).integers(0, 65536, (40, 50, 4), dtype=np.uint16)


def weighed(rgb: NDArray[np.uint16]) -> NDArray[np.float64]:
    whole: NDArray[np.int64] = (rgb.astype(np.int64) @ np.array([299, 587, 114]) + 500) // 1000
    return whole.astype(np.float64)


def over_black(rgba: NDArray[np.uint16]) -> NDArray[np.float64]:
    opacity = rgba[..., 3].astype(np.float64) / 65535.0
    return weighed(rgba[..., :3]) * opacity


def test_png_rgb(color: NDArray[np.uint16], write_png: Writer) -> None:
    image = reader.read_bytes(write_png(color[..., :3]))
    np.testing.assert_array_equal(image.pixels, weighed(color[..., :3]))
    assert (image.bit_depth, image.mode) == (16, "RGB;16")


def test_png_rgba_and_gray_alpha(color: NDArray[np.uint16], write_png: Writer) -> None:
    image = reader.read_bytes(write_png(color))
    np.testing.assert_allclose(image.pixels, over_black(color), rtol=1e-6)
    pair = color[..., [0, 3]]
    expected = pair[..., 0] * (pair[..., 1] / 65535.0)
    np.testing.assert_allclose(reader.read_bytes(write_png(pair)).pixels, expected, rtol=1e-6)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True])
def test_tiff_rgb_in_either_sample_storage(
    color: NDArray[np.uint16], write_tiff: Writer, order: str, deflate: bool
) -> None:
    data = write_tiff(color[..., :3], order=order, deflate=deflate)
    image = reader.read_bytes(data)
    np.testing.assert_array_equal(image.pixels, weighed(color[..., :3]))
    assert image.bit_depth == 16


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True])
def test_tiff_extra_channel(
    color: NDArray[np.uint16], write_tiff: Writer, order: str, deflate: bool
) -> None:
    ignored, premultiplied, straight = (
        reader.read_bytes(write_tiff(color, order=order, deflate=deflate, extra=kind)).pixels
        for kind in (0, 1, 2)
    )
    np.testing.assert_array_equal(ignored, weighed(color[..., :3]))
    np.testing.assert_array_equal(premultiplied, weighed(color[..., :3]))
    np.testing.assert_allclose(straight, over_black(color), rtol=1e-6)


def test_separate_planes_are_refused_in_words(
    color: NDArray[np.uint16], write_tiff: Writer
) -> None:
    with pytest.raises(UnsupportedFormatError, match="separate planes; save it as gray"):
        reader.read_bytes(write_tiff(color[..., :3], planar=2))

"""Arrays are read as the files they would make."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.config import PreprocessConfig
from tumorlens.errors import BlankImageError, InputError, LimitExceededError
from tumorlens.imaging import reader
from tumorlens.imaging.array import from_array
from tumorlens.imaging.raster import encode
from tumorlens.preprocessing import preprocess

Gray = NDArray[np.uint8]


def test_color_array_equals_color_file() -> None:
    color = np.random.default_rng(1).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    from_file = reader.read_bytes(encode.png(color))
    image = from_array(color)
    np.testing.assert_array_equal(image.pixels, from_file.pixels)
    assert (image.source, image.bit_depth) == ("<array>", 8)


@pytest.mark.parametrize(
    "kind", [np.uint8, np.uint16, np.int16, np.int32, np.int64, np.uint64, np.float16,
             np.float32, np.float64, np.longdouble],
)  # fmt: skip
@pytest.mark.parametrize("color", [False, True])
def test_every_real_type_gives_the_same_network_input(
    head: Gray, kind: type[np.generic], color: bool
) -> None:
    stored = head.astype(kind)
    stored = np.repeat(stored[..., np.newaxis], 3, axis=2) if color else stored
    config = PreprocessConfig(image_size=64)
    expected = preprocess(head.astype(np.float32), config)
    np.testing.assert_array_equal(preprocess(from_array(stored).pixels, config), expected)


def test_booleans(head: Gray) -> None:
    image = from_array(head > 50)
    np.testing.assert_array_equal(image.pixels, (head > 50).astype(np.float32))
    assert image.bit_depth == 1


def test_float_color_is_not_rounded() -> None:
    color = np.random.default_rng(2).random((40, 40, 3))
    expected = color @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(from_array(color).pixels, expected, rtol=1e-6)


def test_other_memory_layouts(head: Gray) -> None:
    np.testing.assert_array_equal(from_array(head[::-1, ::2]).pixels, head[::-1, ::2])
    np.testing.assert_array_equal(from_array(head.astype(">u2")).pixels, head)
    before = head.copy()
    from_array(head)
    np.testing.assert_array_equal(head, before)


def test_non_finite_values(head: Gray) -> None:
    odd = head.astype(np.float64)
    odd[0, :4] = [np.nan, np.inf, -np.inf, 1e200]
    image = from_array(odd)
    assert image.pixels[0, :4].tolist() == [3, 3, 3, 3]
    with pytest.raises(BlankImageError):
        from_array(np.full((40, 40, 3), np.nan))


@pytest.mark.parametrize("shape", [(40,), (40, 40, 4), (2, 40, 40, 3), ()])
def test_shapes_that_are_no_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"<array>: shape .*; must be \(H, W\)"):
        from_array(np.zeros(shape))


@pytest.mark.parametrize("kind", ["complex64", "U3", "object", "datetime64[s]"])
def test_types_that_are_no_numbers(kind: str) -> None:
    with pytest.raises(InputError, match="must be real numbers"):
        from_array(np.zeros((40, 40)).astype(kind))


def test_sides_outside_the_limits() -> None:
    with pytest.raises(LimitExceededError):
        from_array(np.zeros((31, 40)))
    with pytest.raises(LimitExceededError):
        from_array(np.zeros((32, 8193), dtype=np.uint8))

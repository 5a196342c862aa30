"""The arithmetic of gray."""

import numpy as np
import pytest

from tumorlens.errors import BlankImageError
from tumorlens.imaging.samples.gray import (
    Color,
    color_of,
    finite,
    gray_bytes,
    luma,
    without_value,
)


def test_gray_stays_gray_exactly() -> None:
    for kind in (np.uint8, np.uint16):
        gray = np.arange(np.iinfo(kind).max + 1, dtype=kind)[np.newaxis]
        np.testing.assert_array_equal(luma(np.stack([gray] * 3, axis=-1)), gray)


def test_halves_round_up_wherever_they_fall() -> None:
    """Exact integer arithmetic: the same on every machine and in every language."""
    red, green, blue = np.meshgrid(*[np.arange(0, 256, 3)] * 3, indexing="ij")
    color = np.stack([red, green, blue], axis=-1).reshape(86, -1, 3)
    expected = (color @ np.array([299, 587, 114]) + 500) // 1000
    assert np.count_nonzero((color @ np.array([299, 587, 114])) % 1000 == 500) > 500
    np.testing.assert_array_equal(luma(color.astype(np.uint8)), expected)
    np.testing.assert_array_equal(luma(color.astype(np.uint16)), expected)
    np.testing.assert_array_equal(luma(color.astype(np.int64)), expected)


def test_strips_do_not_show() -> None:
    tall = np.random.default_rng(5).integers(0, 256, (300, 8192, 3), dtype=np.uint8)
    whole = (tall.astype(np.int32) @ np.array([299, 587, 114], np.int32) + 500) // 1000
    np.testing.assert_array_equal(luma(tall), whole)


def test_finite_returns_the_same_array_where_nothing_is_wrong() -> None:
    pixels = np.ones((4, 4), dtype=np.float32)
    assert finite(pixels, "x") is pixels


@pytest.mark.parametrize("fill", [np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1.1e30])
def test_what_is_no_intensity_becomes_the_darkest_usable_value(fill: float) -> None:
    pixels = np.array([[5, fill], [-2, 9]], np.float32)
    found = finite(pixels, "x")
    assert found.tolist() == [[5, -2], [-2, 9]]
    assert found.dtype == np.float32


def test_large_intensities_stay() -> None:
    pixels = np.array([[9e29, -9e29]], np.float32)
    assert finite(pixels, "x") is pixels


def test_without_any_usable_value_an_image_is_blank() -> None:
    with pytest.raises(BlankImageError, match=r"scan\.nii: no pixel has a finite value"):
        finite(np.full((3, 3), np.nan, np.float32), "scan.nii")


@pytest.mark.parametrize(
    ("holes", "said"),
    [
        (0, None),
        (1, "less than 0.1% of the samples"),
        (10, "0.1% of the samples"),
        (2500, "25.0% of the samples"),
        (10_000, None),
    ],
)
def test_how_much_of_an_image_has_no_value_is_told(holes: int, said: str | None) -> None:
    pixels = np.ones(10_000, np.float32)
    pixels[:holes] = np.nan
    notes = without_value(pixels.reshape(100, 100))
    assert [note.partition(" are not usable")[0] for note in notes] == ([said] if said else [])


def test_bytes_are_always_finite() -> None:
    pixels = np.zeros((4, 4), np.uint8)
    assert finite(pixels, "x") is pixels
    assert without_value(pixels) == []


def test_bytes_of_colour_become_the_bytes_of_their_luma() -> None:
    color = np.random.default_rng(2).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    found = gray_bytes(color)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, luma(color))
    plain = color[..., 0]
    np.testing.assert_array_equal(gray_bytes(np.stack([plain] * 3, axis=-1)), plain)


def test_fractions_of_gray_are_not_rounded() -> None:
    color = np.array([[[0.25, 0.5, 0.125]]], np.float32)
    assert luma(color)[0, 0] == pytest.approx(0.299 * 0.25 + 0.587 * 0.5 + 0.114 * 0.125)


@pytest.mark.parametrize(
    ("part", "tint", "expected"),
    [
        (1.0, 85, Color.VIVID),
        (0.55, 85, Color.VIVID),
        (0.45, 85, Color.TINTED),
        (1.0, 75, Color.TINTED),
        (0.22, 75, Color.TINTED),
        (0.18, 85, Color.GRAY),
        (1.0, 27, Color.TINTED),
        (1.0, 23, Color.GRAY),
        (0.0, 0, Color.GRAY),
    ],
)
@pytest.mark.parametrize("scale", [1, 1 / 255, 257.0])
def test_an_image_is_coloured_if_much_of_what_is_not_black_has_a_colour(
    part: float, tint: int, expected: Color, scale: float
) -> None:
    """Letters on a gray image, and the tint of a camera, do not make it a map. In any unit."""
    color = np.zeros((100, 100, 3), np.uint8)
    color[50:] = 200
    color[50:, : round(100 * part), 2] -= np.uint8(tint)
    assert color_of(color * scale) is expected


def test_a_large_image_is_judged_by_some_of_its_pixels() -> None:
    color = np.zeros((1, 1, 3), np.uint8) + np.array([200, 40, 40], np.uint8)
    assert color_of(np.broadcast_to(color, (3000, 20, 3))) is Color.VIVID
    assert color_of(np.zeros((300, 300, 3), np.uint8)) is Color.GRAY


@pytest.mark.parametrize(
    ("colors", "expected"),
    [
        ([], Color.GRAY),
        ([Color.GRAY], Color.GRAY),
        ([Color.VIVID, Color.VIVID], Color.VIVID),
        ([Color.VIVID, Color.GRAY], Color.TINTED),
        ([Color.TINTED, Color.VIVID], Color.TINTED),
    ],
)
def test_a_volume_is_in_vivid_colours_if_all_its_images_are(
    colors: list[Color], expected: Color
) -> None:
    assert Color.joint(colors) is expected

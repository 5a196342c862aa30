"""The arithmetic of gray."""

import numpy as np

from tumorlens.imaging.gray import finite, luma


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

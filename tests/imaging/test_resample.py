"""Pixels become square; the image stays where it was."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tumorlens.errors import LimitExceededError
from tumorlens.imaging.geometry.resample import square_pixels


def test_square_pixels_are_left_alone() -> None:
    volume = np.zeros((2, 40, 50), dtype=np.float32)
    assert square_pixels(volume, (0.5, 0.5), "here")[0] is volume
    assert square_pixels(volume, (0.5, 0.504), "here")[0] is volume


@given(st.integers(32, 60), st.integers(32, 60), st.floats(1.1, 4))
def test_a_ramp_stays_the_same_ramp(height: int, width: int, ratio: float) -> None:
    """Straight lines are what linear interpolation keeps, but for half a pixel at the ends."""
    rows = (np.arange(height) + 0.5) * ratio
    volume = np.repeat(rows[np.newaxis, :, np.newaxis], width, axis=2).astype(np.float32)
    tall, (row_mm, column_mm) = square_pixels(volume, (ratio, 1.0), "here")
    assert tall.shape == (1, round(height * ratio), width)
    assert column_mm == 1
    assert row_mm * tall.shape[1] == pytest.approx(ratio * height)
    expected = np.clip((np.arange(tall.shape[1]) + 0.5) * row_mm, rows[0], rows[-1])
    np.testing.assert_allclose(tall[0, :, 0], expected, rtol=1e-4)
    wide, (_, found_mm) = square_pixels(volume.transpose(0, 2, 1), (1.0, ratio), "here")
    np.testing.assert_array_equal(wide.transpose(0, 2, 1), tall)
    assert found_mm == row_mm


def test_growth_has_limits() -> None:
    with pytest.raises(LimitExceededError, match="pixels; sides must be"):
        square_pixels(np.zeros((1, 40, 50), dtype=np.float32), (300.0, 1.0), "here")
    with pytest.raises(LimitExceededError, match="voxels are more than the limit"):
        square_pixels(np.zeros((600, 40, 8000), dtype=np.float32), (100.0, 1.0), "here")
    with pytest.raises(LimitExceededError, match="pixels; sides must be"):
        square_pixels(np.zeros((1, 40, 50), dtype=np.float32), (1e9, 1e-9), "here")


@pytest.mark.parametrize(("ratio", "is_square"), [(1.0, True), (1.009, True), (1.02, False)])
def test_spacings_that_differ_by_a_hundredth_are_equal(ratio: float, is_square: bool) -> None:
    volume = np.random.default_rng(0).random((2, 100, 100), dtype=np.float32)
    for spacing in ((1.0, ratio), (ratio, 1.0)):
        found, stated = square_pixels(volume, spacing, "x")
        assert (found is volume) is is_square
        assert (stated == spacing) is is_square

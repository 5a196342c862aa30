"""One function makes what the network sees, whatever the picture's unit, size or margin."""

import tracemalloc

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tumorlens.config import PreprocessConfig
from tumorlens.errors import BlankImageError
from tumorlens.preprocessing import (
    head_box,
    normalize,
    pad_square,
    preprocess,
    resize,
    window,
)

Gray = NDArray[np.uint8]
CONFIG = PreprocessConfig(image_size=96)


@given(
    scale=st.floats(1e-3, 1e3),
    offset=st.floats(-1e3, 1e3),
)
@settings(max_examples=60, deadline=None)
def test_affine_changes_of_intensity_do_not_matter(head: Gray, scale: float, offset: float) -> None:
    expected = preprocess(head.astype(np.float32), CONFIG).astype(int)
    # The unit must leave float32 room for the 256 levels: steps of at least 1e-6 of the offset.
    offset *= scale
    changed = (head.astype(np.float64) * scale + offset).astype(np.float32)
    off = np.abs(preprocess(changed, CONFIG) - expected)
    assert off.max() <= 1
    assert np.count_nonzero(off) <= 0.02 * off.size


def test_exact_for_the_scales_of_file_formats(head: Gray) -> None:
    expected = preprocess(head.astype(np.float32), CONFIG)
    for scale in (257, 256, 16, 1 / 256):
        found = preprocess(head.astype(np.float32) * np.float32(scale), CONFIG)
        np.testing.assert_array_equal(found, expected)


def test_output_is_uint8_and_uses_its_range(head: Gray) -> None:
    found = preprocess(head.astype(np.float32), CONFIG)
    assert found.shape == (96, 96)
    assert found.dtype == np.dtype(np.uint8)
    assert found.min() == 0
    assert found.max() >= 250


def test_negating_does_matter(head: Gray) -> None:
    whole = msgspec.structs.replace(CONFIG, crop=False)
    square = head[10:190].astype(np.float32)
    upright = preprocess(square, whole).astype(float)
    negative = preprocess(-square, whole).astype(float)
    assert np.corrcoef(upright.ravel(), negative.ravel())[0, 1] < -0.9


def test_crop_finds_the_head(head: Gray) -> None:
    canvas = np.full((500, 640), 2.0, dtype=np.float32)
    canvas[120:320, 300:480] = head
    tissue = np.argwhere(head > 20)
    top, left = tissue.min(axis=0) + np.array([120, 300])
    bottom, right = tissue.max(axis=0) + np.array([121, 301])
    box = head_box(window(canvas, CONFIG), CONFIG)
    margin = 0.1 * (bottom - top)
    for found, true in zip(box, (top, left, bottom, right), strict=True):
        assert abs(found - true) <= margin
    alone = preprocess(head.astype(np.float32), CONFIG).astype(float)
    off = np.abs(preprocess(canvas, CONFIG) - alone)
    assert off.mean() < 12


def test_crop_ignores_thin_annotations(head: Gray) -> None:
    canvas = np.zeros((400, 400), dtype=np.float32)
    canvas[100:300, 110:290] = head
    plain = head_box(window(canvas, CONFIG), CONFIG)
    canvas[390:394, 5:17] = 255  # a label in a corner
    assert head_box(window(canvas, CONFIG), CONFIG) == plain


def test_no_crop_keeps_the_margin(head: Gray) -> None:
    whole = msgspec.structs.replace(CONFIG, crop=False)
    canvas = np.zeros((400, 400), dtype=np.float32)
    canvas[100:300, 110:290] = head
    assert (preprocess(canvas, whole) > 30).mean() < 0.3
    assert (preprocess(canvas, CONFIG) > 30).mean() > 0.4


def test_dark_picture_falls_back_to_the_whole() -> None:
    speck = np.zeros((100, 100), dtype=np.float32)
    speck[50, 50] = 1.0
    assert head_box(window(speck, CONFIG), CONFIG) == (0, 0, 100, 100)
    assert preprocess(speck, CONFIG).max() > 0


@pytest.mark.parametrize("value", [0.0, 255.0, -3.5e4, 1e-30])
def test_blank_pictures_are_refused(value: float) -> None:
    with pytest.raises(BlankImageError, match=r"scan\.png: every pixel has the same value"):
        preprocess(np.full((50, 50), value, dtype=np.float32), CONFIG, "scan.png")


@pytest.mark.parametrize(("source", "target"), [(512, 160), (160, 160), (32, 160), (161, 160)])
def test_resize_keeps_a_constant(source: int, target: int) -> None:
    """Each output pixel's weights sum to one."""
    np.testing.assert_allclose(resize(np.ones((source, source), np.float32), target), 1, atol=1e-5)


@pytest.mark.parametrize("shape", [(512, 512), (180, 180), (97, 97), (40, 40)])
def test_resize_is_pillow_antialiased_bilinear(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).random(shape, dtype=np.float32)
    expected = Image.fromarray(noise).resize((160, 160), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(resize(noise, 160), np.asarray(expected), atol=2e-5)


def test_pad_square_centres() -> None:
    wide = pad_square(np.ones((2, 5), dtype=np.float32))
    np.testing.assert_array_equal(wide.sum(axis=1), [0, 5, 5, 0, 0])
    square = np.ones((3, 3), dtype=np.float32)
    assert pad_square(square) is square


@pytest.mark.parametrize("shape", [(32, 32), (32, 8192), (8192, 32), (33, 4001)])
def test_extreme_shapes(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).random(shape, dtype=np.float32)
    found = preprocess(noise, CONFIG)
    assert found.shape == (96, 96)
    assert found.max() > 0


def test_largest_picture_in_bounded_memory() -> None:
    """8192 x 8192: at most five times the picture itself, which is 256 MiB."""
    ramp = np.linspace(0, 1, 8192, dtype=np.float32)
    picture = ramp[:, np.newaxis] * ramp
    tracemalloc.start()
    try:
        found = preprocess(picture, CONFIG)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.shape == (96, 96)
    assert peak < 5 * picture.nbytes


def test_normalize(head: Gray) -> None:
    batch = np.stack([preprocess(head.astype(np.float32), CONFIG)] * 3)
    found = normalize(batch, CONFIG)
    assert found.shape == (3, 1, 96, 96)
    assert found.dtype == np.dtype(np.float32)
    assert found.min() == pytest.approx((0 - CONFIG.mean) / CONFIG.std)
    assert found.max() == pytest.approx((batch.max() / 255 - CONFIG.mean) / CONFIG.std)

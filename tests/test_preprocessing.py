"""One function makes what the network sees, whatever the image's unit, size or margin."""

import tracemalloc

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tumorlens.config import PreprocessConfig
from tumorlens.demo.phantoms import make_phantom
from tumorlens.errors import BlankImageError
from tumorlens.imaging.samples.quantiles import quantiles
from tumorlens.labels import CLASSES
from tumorlens.preprocessing import (
    Box,
    Windowed,
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
    square[[0, -1, 90, 90], [90, 90, 0, -1]] = (
        255.0  # even air would be a bright margin in negative
    )
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


def test_dark_image_falls_back_to_the_whole() -> None:
    speck = np.zeros((100, 100), dtype=np.float32)
    speck[50, 50] = 1.0
    assert head_box(window(speck, CONFIG), CONFIG) == (0, 0, 100, 100)
    assert preprocess(speck, CONFIG).max() > 0


@pytest.mark.parametrize("value", [0.0, 255.0, -3.5e4, 1e-30])
def test_blank_images_are_refused(value: float) -> None:
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


def test_largest_image_in_bounded_memory() -> None:
    """8192 x 8192: at most five times the image itself, which is 256 MiB."""
    ramp = np.linspace(0, 1, 8192, dtype=np.float32)
    image = ramp[:, np.newaxis] * ramp
    tracemalloc.start()
    try:
        found = preprocess(image, CONFIG)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.shape == (96, 96)
    assert peak < 5 * image.nbytes


def test_normalize(head: Gray) -> None:
    batch = np.stack([preprocess(head.astype(np.float32), CONFIG)] * 3)
    found = normalize(batch, CONFIG)
    assert found.shape == (3, 1, 96, 96)
    assert found.dtype == np.dtype(np.float32)
    assert found.min() == pytest.approx((0 - CONFIG.mean) / CONFIG.std)
    assert found.max() == pytest.approx((batch.max() / 255 - CONFIG.mean) / CONFIG.std)


def plain_window(pixels: NDArray[np.float32], config: PreprocessConfig) -> NDArray[np.float32]:
    """The formula, as it reads: what the quick one has to agree with."""
    step = max(1, int((pixels.size / 65_536) ** 0.5))
    low, high = np.quantile(pixels[::step, ::step], config.window_percentiles)
    if not high > low:
        low, high = pixels.min(), pixels.max()
    clipped: NDArray[np.float32] = np.clip(
        (pixels - np.float32(low)) / np.float32(high - low), 0.0, 1.0
    )
    return clipped


def plain_box(windowed: NDArray[np.float32], config: PreprocessConfig) -> Box:
    height, width = windowed.shape
    tissue = windowed > config.crop_level
    rows = np.flatnonzero(tissue.mean(axis=1) >= config.crop_occupancy)
    columns = np.flatnonzero(tissue.mean(axis=0) >= config.crop_occupancy)
    if not config.crop or rows.size == 0 or columns.size == 0:
        return Box(0, 0, height, width)
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    margin = round(config.crop_margin * max(bottom - top, right - left))
    return Box(
        int(max(0, top - margin)),
        int(max(0, left - margin)),
        int(min(height, bottom + margin)),
        int(min(width, right + margin)),
    )


def plain_weights(source: int, target: int) -> NDArray[np.float32]:
    """(target, source), zeros and all."""
    ratio = source / target
    centers = (np.arange(target) + 0.5) * ratio - 0.5
    distance = np.abs(np.arange(source)[np.newaxis] - centers[:, np.newaxis])
    weights = np.clip(1.0 - distance / max(ratio, 1.0), 0.0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights.astype(np.float32)


def add_in_order(weights: NDArray[np.float32], pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """``weights @ pixels``, each sum rounded to float32 at each step, as the page's port does."""
    total = np.zeros((len(weights), pixels.shape[1]), dtype=np.float32)
    for place, row in enumerate(pixels.astype(np.float64)):
        some = np.flatnonzero(weights[:, place])
        weighted = weights[some, place, np.newaxis].astype(np.float64) * row
        total[some] = (total[some] + weighted).astype(np.float32)
    return total


def plain_preprocess(pixels: NDArray[np.generic], config: PreprocessConfig) -> NDArray[np.uint8]:
    windowed = plain_window(pixels.astype(np.float32), config)
    box = plain_box(windowed, config)
    square = pad_square(windowed[box.top : box.bottom, box.left : box.right])
    weights = plain_weights(len(square), config.image_size)
    resized = add_in_order(weights, add_in_order(weights, square).T).T
    rounded: NDArray[np.uint8] = np.rint(np.clip(resized, 0.0, 1.0) * 255.0).astype(np.uint8)
    return rounded


SHAPES = ((32, 32), (225, 225), (257, 201), (203, 512), (512, 512), (600, 411))
CONFIGS = (CONFIG, PreprocessConfig(image_size=64, crop=False), PreprocessConfig(image_size=144))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: str(config.image_size))
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("kind", "top"), [(np.uint8, 255), (np.uint16, 65_535), (np.float32, 1)])
def test_same_pixels_as_the_plain_formula(
    kind: type[np.generic], top: int, shape: tuple[int, int], config: PreprocessConfig
) -> None:
    noise = np.random.default_rng(shape).random(shape) ** 3
    noise[: shape[0] // 5] = 0.0
    pixels = (noise * top).astype(kind)
    given = pixels if kind is np.uint8 else pixels.astype(np.float32)
    np.testing.assert_array_equal(preprocess(given, config), plain_preprocess(pixels, config))


@pytest.mark.parametrize("label", CLASSES)
def test_same_pixels_of_phantoms_as_bytes_and_as_floats(label: str) -> None:
    phantom = make_phantom(np.random.default_rng(5), label).pixels
    for config in CONFIGS:
        expected = plain_preprocess(phantom, config)
        np.testing.assert_array_equal(preprocess(phantom, config), expected)
        np.testing.assert_array_equal(preprocess(phantom.astype(np.float32), config), expected)


def test_windowed_once_for_two_networks(head: Gray) -> None:
    windowed = Windowed(head, CONFIG)
    for config in CONFIGS:
        assert windowed.fits(config)
        np.testing.assert_array_equal(windowed.fit(config)[0], preprocess(head, config))
    assert not windowed.fits(PreprocessConfig(window_percentiles=(0.1, 0.9)))


@given(st.lists(st.integers(0, 255), min_size=1, max_size=60), st.floats(0, 1), st.floats(0, 1))
def test_quantiles_of_bytes_are_numpy_s(values: list[int], one: float, other: float) -> None:
    samples = np.array(values, dtype=np.uint8)
    expected = np.quantile(samples.astype(np.float32), (one, other))
    assert quantiles(samples, (one, other)) == expected.tolist()

"""From any picture to what the network sees: ONE function, for training, serving and the browser.

Pure numpy, so that every step can be written again line by line in another language: window the
intensities by quantiles, cut the empty margin away, pad to a square, resize with antialiasing,
round to 8 bits. The rounding makes the training cache and a live prediction the same pixels.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.config import PreprocessConfig
from tumorlens.errors import BlankImageError

_QUANTILE_SAMPLES = 65_536


class Box(NamedTuple):
    """A rectangle of pixels, ends exclusive."""

    top: int
    left: int
    bottom: int
    right: int


class Square(NamedTuple):
    """The square that the network sees, in pixels of the picture; it may reach beyond its edges."""

    top: int
    left: int
    side: int


def preprocess(
    pixels: NDArray[np.float32], config: PreprocessConfig, source: str = "<array>"
) -> NDArray[np.uint8]:
    """Turn one gray image (H, W), of any intensity range, into uint8 (S, S), 0 to 255.

    The result does not change when ``pixels`` is scaled by a positive factor or shifted, so an
    8-bit picture and its 16-bit copy give the same. Raises ``BlankImageError`` where the image is
    constant. S is ``config.image_size``.
    """
    windowed = window(np.asarray(pixels, dtype=np.float32), config, source)
    return _fit(windowed, crop_box(windowed, config), config)


def preprocess_located(
    pixels: NDArray[np.float32], config: PreprocessConfig, source: str = "<array>"
) -> tuple[NDArray[np.uint8], Square]:
    """Do what ``preprocess`` does, and say which square of the picture the result shows."""
    windowed = window(np.asarray(pixels, dtype=np.float32), config, source)
    box = crop_box(windowed, config)
    return _fit(windowed, box, config), square_around(box)


def preprocess_mask(
    mask: NDArray[np.float32], pixels: NDArray[np.float32], config: PreprocessConfig
) -> NDArray[np.uint8]:
    """Move an outline (H, W), 0 to 1, as ``preprocess`` moves ``pixels`` (H, W); uint8 (S, S)."""
    windowed = window(np.asarray(pixels, dtype=np.float32), config)
    return _fit(mask, crop_box(windowed, config), config)


def crop_box(windowed: NDArray[np.float32], config: PreprocessConfig) -> Box:
    """The part of a windowed image (H, W) that ``preprocess`` keeps."""
    if config.crop:
        return head_box(windowed, config)
    return Box(0, 0, *windowed.shape)


def _fit(picture: NDArray[np.float32], box: Box, config: PreprocessConfig) -> NDArray[np.uint8]:
    cropped = picture[box.top : box.bottom, box.left : box.right]
    resized = resize(pad_square(cropped), config.image_size)
    rounded: NDArray[np.uint8] = np.rint(np.clip(resized, 0.0, 1.0) * 255.0).astype(np.uint8)
    return rounded


def square_around(box: Box) -> Square:
    """Where ``pad_square`` puts the rectangle ``box`` of a picture."""
    height, width = box.bottom - box.top, box.right - box.left
    side = max(height, width)
    return Square(box.top - (side - height) // 2, box.left - (side - width) // 2, side)


def normalize(batch: NDArray[np.uint8], config: PreprocessConfig) -> NDArray[np.float32]:
    """Turn uint8 (N, S, S) into the network's float32 input (N, 1, S, S)."""
    scaled = batch.astype(np.float32) / np.float32(255.0)
    standardized: NDArray[np.float32] = (scaled - np.float32(config.mean)) / np.float32(config.std)
    return standardized[:, np.newaxis]


def window(
    pixels: NDArray[np.float32], config: PreprocessConfig, source: str = "<array>"
) -> NDArray[np.float32]:
    """Map the intensity quantiles of ``config`` to 0 and 1 and clip. (H, W) to (H, W).

    Quantiles are taken on a regular subgrid of about 65,536 pixels. Where they coincide (a picture
    that is nearly all background) the full range is used.
    """
    step = max(1, int((pixels.size / _QUANTILE_SAMPLES) ** 0.5))
    low, high = np.quantile(pixels[::step, ::step], config.window_percentiles)
    if not high > low:
        low, high = pixels.min(), pixels.max()
    if not high > low:
        raise BlankImageError(f"{source}: every pixel has the same value")
    scaled = (pixels - np.float32(low)) / np.float32(high - low)
    windowed: NDArray[np.float32] = np.clip(scaled, 0.0, 1.0)
    return windowed


def head_box(windowed: NDArray[np.float32], config: PreprocessConfig) -> Box:
    """Find the rectangle around the rows and columns that hold tissue, with a margin.

    A row counts when at least ``crop_occupancy`` of it is brighter than ``crop_level``; thin
    annotations and stray noise do not reach that. Falls back to the whole image.
    """
    height, width = windowed.shape
    tissue = windowed > config.crop_level
    rows = np.flatnonzero(tissue.mean(axis=1) >= config.crop_occupancy)
    columns = np.flatnonzero(tissue.mean(axis=0) >= config.crop_occupancy)
    if rows.size == 0 or columns.size == 0:
        return Box(0, 0, height, width)
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    margin = round(config.crop_margin * max(bottom - top, right - left))
    return Box(
        max(0, top - margin),
        max(0, left - margin),
        min(height, bottom + margin),
        min(width, right + margin),
    )


def pad_square(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centre (H, W) in a black square of its longer side."""
    height, width = pixels.shape
    side = max(height, width)
    if height == width:
        return pixels
    square = np.zeros((side, side), dtype=np.float32)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square


def resize(pixels: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Resize (H, W) to (size, size) with an antialiased triangle filter, rows then columns."""
    rows = _triangle_weights(pixels.shape[0], size)
    columns = _triangle_weights(pixels.shape[1], size)
    resized: NDArray[np.float32] = (rows @ pixels @ columns.T).astype(np.float32, copy=False)
    return resized


@lru_cache(maxsize=64)
def _triangle_weights(source: int, target: int) -> NDArray[np.float32]:
    """(target, source) matrix whose rows sum to 1: the linear filter, widened when shrinking."""
    ratio = source / target
    support = max(ratio, 1.0)
    centers = (np.arange(target, dtype=np.float64) + 0.5) * ratio - 0.5
    distance = np.abs(np.arange(source, dtype=np.float64)[np.newaxis] - centers[:, np.newaxis])
    weights = np.clip(1.0 - distance / support, 0.0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    weights.setflags(write=False)
    return weights.astype(np.float32)

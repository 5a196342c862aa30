"""From any image to the network's input: ONE function, for training, serving and the browser.

Pure numpy, so that every step can be written again line by line in another language: leave a
screenshot's bright margin out, window the intensities by quantiles, cut the empty margin away, pad
to a square, resize with antialiasing, round to 8 bits. The rounding makes the training cache and a
live prediction the same pixels.
"""

import math
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.config import PreprocessConfig
from tumorlens.errors import BlankImageError
from tumorlens.imaging.samples.gray import Samples
from tumorlens.imaging.samples.margin import inside_margin
from tumorlens.imaging.samples.quantiles import BYTES, quantiles

Gray = Samples
"""A gray image (H, W): float32 of any range, or bytes, which give the same and cost less."""

_QUANTILE_SAMPLES: Final = 65_536
_BAND: Final = 16
"""Target pixels of one product: few zeros in the weights, and few products."""
_VECTOR: Final = 16
"""Most float32 that a processor takes at a time."""


class Box(NamedTuple):
    """A rectangle of pixels, ends exclusive."""

    top: int
    left: int
    bottom: int
    right: int


class Square(NamedTuple):
    """The square that the network sees, in pixels of the image; it may reach beyond its edges."""

    top: int
    left: int
    side: int


def preprocess(
    pixels: Gray, config: PreprocessConfig, source: str = "<array>"
) -> NDArray[np.uint8]:
    """Turn one gray image (H, W), of any intensity range, into uint8 (S, S), 0 to 255.

    The result does not change when ``pixels`` is scaled by a positive factor or shifted, so an
    8-bit image and its 16-bit copy give the same. Raises ``BlankImageError`` where the image is
    constant. S is ``config.image_size``.
    """
    return Windowed(pixels, config, source).fit(config)[0]


def preprocess_mask(
    mask: NDArray[np.float32], pixels: Gray, config: PreprocessConfig
) -> NDArray[np.uint8]:
    """Move an outline (H, W), 0 to 1, as ``preprocess`` moves ``pixels`` (H, W); uint8 (S, S)."""
    return _fit(mask, Windowed(pixels, config).crop_box(config), config)


class Windowed:
    """An image whose intensities are windowed once, for each network that is to see it.

    A screenshot's bright margin is left out; positions are in pixels of the whole image.
    """

    def __init__(self, pixels: Gray, config: PreprocessConfig, source: str = "<array>") -> None:
        """Window (H, W) as ``config`` says; raise ``BlankImageError`` where it is constant."""
        self._inside = Box(*inside_margin(pixels))
        self._samples = _as_gray(_cut(pixels, self._inside))
        self._range = _intensity_range(self._samples, config, source)
        self._percentiles = config.window_percentiles

    def fits(self, config: PreprocessConfig) -> bool:
        """Whether ``config`` windows intensities in the same way."""
        return config.window_percentiles == self._percentiles

    @property
    def samples(self) -> Gray:
        """The image as it was given, without a bright margin."""
        return self._samples

    @cached_property
    def pixels(self) -> NDArray[np.float32]:
        """The same, 0 to 1."""
        return _scaled(self._samples, *self._range)

    def fit(self, config: PreprocessConfig) -> tuple[NDArray[np.uint8], Square]:
        """Cut, pad and resize to uint8 (S, S); and the square of the image that this shows."""
        head = self._head(config)
        return _fit(self.pixels, head, config), square_around(self._placed(head))

    def crop_box(self, config: PreprocessConfig) -> Box:
        """The part of the image that ``preprocess`` keeps."""
        return self._placed(self._head(config))

    def _placed(self, box: Box) -> Box:
        down, across = self._inside.top, self._inside.left
        return Box(box.top + down, box.left + across, box.bottom + down, box.right + across)

    def _head(self, config: PreprocessConfig) -> Box:
        """``crop_box`` in pixels of what lies inside the margin."""
        if config.crop:
            return _tissue_box(self._brighter_than(config.crop_level), config)
        return Box(0, 0, *self._samples.shape)

    def _brighter_than(self, level: float) -> NDArray[np.bool_]:
        if self._samples.dtype != np.uint8:
            return self.pixels > level
        # Windowing keeps the order of bytes, so one comparison of bytes does for all pixels.
        table = _scaled(np.arange(BYTES, dtype=np.float32), *self._range)
        return self._samples >= BYTES - np.count_nonzero(table > level)


def _as_gray(pixels: Gray) -> Gray:
    return pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32, copy=False)


def _cut(pixels: Gray, box: Box) -> Gray:
    return pixels[box.top : box.bottom, box.left : box.right]


def _fit(image: NDArray[np.float32], box: Box, config: PreprocessConfig) -> NDArray[np.uint8]:
    cropped = image[box.top : box.bottom, box.left : box.right]
    resized = resize(pad_square(cropped), config.image_size)
    rounded: NDArray[np.uint8] = np.rint(np.clip(resized, 0.0, 1.0) * 255.0).astype(np.uint8)
    return rounded


def square_around(box: Box) -> Square:
    """Where ``pad_square`` puts the rectangle ``box`` of an image."""
    height, width = box.bottom - box.top, box.right - box.left
    side = max(height, width)
    return Square(box.top - (side - height) // 2, box.left - (side - width) // 2, side)


def normalize(batch: NDArray[np.uint8], config: PreprocessConfig) -> NDArray[np.float32]:
    """Turn uint8 (N, S, S) into the network's float32 input (N, 1, S, S)."""
    scaled = np.arange(BYTES, dtype=np.float32) / np.float32(255.0)
    table: NDArray[np.float32] = (scaled - np.float32(config.mean)) / np.float32(config.std)
    return table[batch][:, np.newaxis]


def window(pixels: Gray, config: PreprocessConfig, source: str = "<array>") -> NDArray[np.float32]:
    """Map the intensity quantiles of ``config`` to 0 and 1 and clip. (H, W) to (H, W).

    Quantiles are taken on a regular subgrid of about 65,536 pixels. Where they coincide (an image
    that is nearly all background) the full range is used. A bright margin is windowed like the
    rest.
    """
    samples = _as_gray(pixels)
    return _scaled(samples, *_intensity_range(samples, config, source))


def _intensity_range(samples: Gray, config: PreprocessConfig, source: str) -> tuple[float, float]:
    """The intensities that become 0 and 1."""
    step = max(1, int((samples.size / _QUANTILE_SAMPLES) ** 0.5))
    low, high = quantiles(samples[::step, ::step], config.window_percentiles)
    if not high > low:
        low, high = float(samples.min()), float(samples.max())
    if not high > low:
        raise BlankImageError(f"{source}: every pixel has the same value")
    return low, high


def _scaled(samples: Gray, low: float, high: float) -> NDArray[np.float32]:
    scaled = samples.astype(np.float32)
    scaled -= np.float32(low)
    scaled /= np.float32(high - low)
    return np.clip(scaled, 0.0, 1.0, out=scaled)


def head_box(windowed: NDArray[np.float32], config: PreprocessConfig) -> Box:
    """Find the rectangle around the rows and columns that hold tissue, with a margin.

    A row counts when at least ``crop_occupancy`` of it is brighter than ``crop_level``; thin
    annotations and stray noise do not reach that. Falls back to the whole image.
    """
    return _tissue_box(windowed > config.crop_level, config)


def _tissue_box(tissue: NDArray[np.bool_], config: PreprocessConfig) -> Box:
    height, width = tissue.shape
    in_rows, in_columns = _counts(tissue)
    rows = np.flatnonzero(in_rows / width >= config.crop_occupancy)
    columns = np.flatnonzero(in_columns / height >= config.crop_occupancy)
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


def _counts(tissue: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many pixels of (H, W) are set in each row (H,) and in each column (W,)."""
    in_rows = np.bitwise_count(np.packbits(tissue, axis=1)).sum(axis=1, dtype=np.int64)
    in_columns = np.zeros(tissue.shape[1], dtype=np.int64)
    ones = tissue.view(np.uint8)
    # As many rows at a time as a byte can count: adding bytes is an order of magnitude faster.
    for top in range(0, len(ones), BYTES - 1):
        in_columns += ones[top : top + BYTES - 1].sum(axis=0, dtype=np.uint8)
    return in_rows, in_columns


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
    return _resize_rows(np.ascontiguousarray(_resize_rows(pixels, size).T), size).T


def _resize_rows(pixels: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """(H, W) to (size, W).

    The filter reaches over few rows, so a product is taken for a band of them at a time, and not
    with a matrix that is nearly all zeros. Columns are filled up to whole vectors of the
    processor: the kernels for what is left over add in another order, which moves pixels that lie
    half-way between two levels, and the page's port adds in order.
    """
    height, width = pixels.shape
    if width % _VECTOR:
        filled = np.zeros((height, width + -width % _VECTOR), dtype=np.float32)
        filled[:, :width] = pixels
        pixels = filled
    resized = np.empty((size, pixels.shape[1]), dtype=np.float32)
    for rows, used, weights in _bands(height, size):
        np.matmul(weights, pixels[used], out=resized[rows])
    return resized[:, :width]


@lru_cache(maxsize=512)
def _bands(source: int, target: int) -> tuple[tuple[slice, slice, NDArray[np.float32]], ...]:
    """For each band of target pixels: the band, the source pixels that it is made of, and weights.

    Weights (targets, sources) are the linear filter, widened when shrinking; rows sum to 1.
    """
    ratio = source / target
    support = max(ratio, 1.0)
    bands = []
    for start in range(0, target, _BAND):
        rows = slice(start, min(start + _BAND, target))
        centers = (np.arange(rows.start, rows.stop, dtype=np.float64) + 0.5) * ratio - 0.5
        first = max(0, math.ceil(centers[0] - support))
        used = slice(first, min(source, math.floor(centers[-1] + support) + 1))
        positions = np.arange(used.start, used.stop, dtype=np.float64)
        distance = np.abs(positions[np.newaxis] - centers[:, np.newaxis])
        weights = np.clip(1.0 - distance / support, 0.0, None)
        weights /= weights.sum(axis=1, keepdims=True)
        narrowed = weights.astype(np.float32)
        narrowed.setflags(write=False)
        bands.append((rows, used, narrowed))
    return tuple(bands)

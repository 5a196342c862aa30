"""Corruptions of detail: blur, low resolution, JPEG. Pictures (H, W), 0 to 1; see ``registry``."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tumorlens import preprocessing
from tumorlens.imaging import encode, reader

Floats = NDArray[np.float64]


def blur(picture: Floats, amount: float, _: np.random.Generator) -> Floats:
    """Gaussian blur; ``amount``: standard deviation as a share of the longer side."""
    return ndimage.gaussian_filter(picture, amount * max(picture.shape))


def low_resolution(picture: Floats, amount: float, _: np.random.Generator) -> Floats:
    """Shrink with antialiasing and enlarge again; ``amount``: pixels left of the longer side.

    A picture that has no more is not changed.
    """
    height, width = picture.shape
    side = max(height, width)
    if side <= amount:
        return picture
    square = preprocessing.pad_square(picture.astype(np.float32))
    coarse = preprocessing.resize(preprocessing.resize(square, int(amount)), side)
    top, left = (side - height) // 2, (side - width) // 2
    return coarse[top : top + height, left : left + width].astype(np.float64)


def jpeg(picture: Floats, amount: float, _: np.random.Generator) -> Floats:
    """Save and read again; ``amount``: JPEG quality."""
    pixels = np.rint(np.clip(picture, 0.0, 1.0) * 255.0).astype(np.uint8)
    decoded = reader.read_bytes(encode.jpeg(pixels, int(amount)))
    return decoded.pixels.astype(np.float64) / 255.0

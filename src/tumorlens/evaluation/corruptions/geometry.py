"""Corruptions of geometry: rotation and crop. Pictures (H, W), 0 to 1, see ``registry``."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tumorlens import preprocessing
from tumorlens.config import PreprocessConfig

Floats = NDArray[np.float64]

_HEAD = PreprocessConfig()


def rotation(picture: Floats, amount: float, random: np.random.Generator) -> Floats:
    """Turn to one side or the other by ``amount`` degrees; what is turned in is black."""
    degrees = amount if random.random() < 0.5 else -amount
    return ndimage.rotate(picture, degrees, order=1, reshape=True)


def crop(picture: Floats, amount: float, random: np.random.Generator) -> Floats:
    """Cut ``amount`` of the head's height and width away, at a corner drawn.

    Of the head, since the margin around it is cut away for the network anyhow.
    """
    windowed = preprocessing.window(picture.astype(np.float32), _HEAD)
    box = preprocessing.head_box(windowed, _HEAD)
    top, left = box.top, box.left
    rows, columns = (round(amount * n) for n in (box.bottom - box.top, box.right - box.left))
    top, bottom = (top + rows, box.bottom) if random.random() < 0.5 else (top, box.bottom - rows)
    left, right = (
        (left + columns, box.right) if random.random() < 0.5 else (left, box.right - columns)
    )
    return picture[top:bottom, left:right]

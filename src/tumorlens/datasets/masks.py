"""Experts' outlines of tumours, on the pixels of the image."""

import numpy as np
from numpy.typing import NDArray

from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.errors import DatasetError
from tumorlens.imaging import reader
from tumorlens.imaging.image import single

_INSIDE = 127.0
"""Value of a mask file above which a pixel lies inside the outline."""


def load_mask(manifest: Manifest, record: Record, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Read the outline of ``record`` for its image of ``shape`` (H, W): 1 inside, 0 outside.

    A mask without any pixel inside is empty. Raises ``DatasetError`` if the record has none or its
    values are too low, ``InputError`` if it cannot be read.
    """
    file = manifest.mask_file(record)
    if file is None:
        raise DatasetError(f"{record.path}: has no mask")
    pixels = single(reader.read(file)).pixels
    if 0 < (highest := pixels.max()) <= _INSIDE:
        raise DatasetError(
            f"{record.mask}: the highest value of this mask is {highest:g}, but values above "
            f"{_INSIDE:g} are inside the outline; save it with 255 inside and 0 outside"
        )
    return oriented_mask(pixels, record.orientation, shape)


def oriented_mask(
    pixels: NDArray[np.float32], orientation: str, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Orient a mask file's pixels like the image, and resize them to its ``shape`` (H, W).

    Nearest-neighbour: an outline stays an outline. ``orientation`` is the image's relative to
    the mask: ``id`` (or empty), ``fliplr``, ``rot180``; anything else raises ``DatasetError``.
    """
    inside = (pixels > _INSIDE).astype(np.float32)
    if orientation == "fliplr":
        inside = inside[:, ::-1]
    elif orientation == "rot180":
        inside = inside[::-1, ::-1]
    elif orientation not in ("", "id"):
        raise DatasetError(f"unknown orientation {orientation!r} of a mask")
    rows = _nearest(shape[0], inside.shape[0])
    columns = _nearest(shape[1], inside.shape[1])
    return np.ascontiguousarray(inside[np.ix_(rows, columns)])


def _nearest(target: int, source: int) -> NDArray[np.intp]:
    return np.floor((np.arange(target) + 0.5) * source / target).astype(np.intp)

"""Slices in three planes from a volume of a healthy head, as pictures to train on."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from tumorlens.errors import DatasetError

SLICES: Final = 16
"""Slices of each plane."""
_EXTENT: Final[Mapping[str, tuple[float, float]]] = {
    "sagittal": (0.2, 0.8), "coronal": (0.15, 0.85), "axial": (0.25, 0.9)
}  # fmt: skip
"""First and last slice of a plane, as a part of the head's extent; in the order of the axes."""
_TISSUE: Final = 0.1
_WHITE: Final = 99.7
"""Percentile of the positive voxels that is white."""


class HeadSlice(NamedTuple):
    """One slice, the head upright."""

    plane: str
    position: int
    """Along the plane's axis of the volume turned to right, anterior, superior."""
    pixels: NDArray[np.uint8]


def cut(path: Path) -> Iterator[HeadSlice]:
    """Evenly spaced slices of each plane of a NIfTI volume with about cubic voxels.

    Raises ``DatasetError`` where the file is no such volume.
    """
    voxels = _load(path)
    for axis, (plane, extent) in enumerate(_EXTENT.items()):
        others = tuple(i for i in range(3) if i != axis)
        inside = np.flatnonzero((voxels > _TISSUE).mean(axis=others) > _TISSUE / 5)
        first, last = np.quantile(inside, extent)
        for index in np.linspace(first, last, SLICES).round().astype(int).tolist():
            upright = voxels.take(index, axis).T[::-1]
            yield HeadSlice(plane, index, (255 * upright).round().astype(np.uint8))


def _load(path: Path) -> NDArray[np.float32]:
    """Voxels (right, anterior, superior), 0 to 1."""
    try:
        volume = nibabel.as_closest_canonical(nibabel.load(path))
        voxels = np.asarray(volume.dataobj, dtype=np.float32)
        voxels = voxels.reshape(voxels.shape[:3])
        scaled: NDArray[np.float32] = np.clip(
            voxels / np.percentile(voxels[voxels > 0], _WHITE), 0, 1
        )
    except (OSError, EOFError, ValueError, IndexError, ImageFileError) as error:
        raise DatasetError(f"{path}: is not a volume of a head ({error})") from error
    return scaled

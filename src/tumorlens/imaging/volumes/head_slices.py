"""Sagittal and coronal slices from a volume of a head, as images to train on.

Collections of images show healthy heads in axial slices, and tumours in all planes. A network
that is trained on nothing else takes the plane for a sign of a tumour.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import nibabel
import numpy as np
from numpy.typing import NDArray

from tumorlens.errors import DatasetError

SLICES: Final = 8
"""Slices of each plane."""
_EXTENT: Final[Mapping[str, tuple[float, float]]] = {
    "sagittal": (0.2, 0.8), "coronal": (0.15, 0.85)
}  # fmt: skip
"""First and last slice of a plane, as a part of the head's extent; in the order of the axes."""
_MOST_OBLONG: Final = 1.25
"""Ratio of a voxel's longest to its shortest side from which slices are not fit to train on."""
_TISSUE: Final = 0.1
_WHITE: Final = 99.7
"""Percentile of the positive voxels that is white."""


class HeadSlice(NamedTuple):
    """One slice, the head upright."""

    plane: str
    position: int
    """Along the plane's axis of the volume turned to right, anterior, superior."""
    pixels: NDArray[np.uint8]
    outline: NDArray[np.bool_] | None
    """Of the tumour, (H, W) as ``pixels``; None where no mask is given."""

    @property
    def tumor_share(self) -> float:
        """How much of the head in it lies inside the outline, 0 to 1."""
        head = self.pixels > 255 * _TISSUE
        return 0.0 if self.outline is None else float(self.outline.sum() / max(1, head.sum()))


def cut(path: Path, mask: Path | None = None) -> Iterator[HeadSlice]:
    """Evenly spaced slices of each plane of a NIfTI volume; none where voxels are not about cubic.

    ``mask`` is a volume on the same grid, above 0 inside the tumour. Raises ``DatasetError`` where
    a file is no such volume.
    """
    voxels, spacing = _load(path)
    if max(spacing) > _MOST_OBLONG * min(spacing):
        return
    inside = None if mask is None else _load(mask)[0] > 0
    if inside is not None and inside.shape != voxels.shape:
        raise DatasetError(f"{mask}: is not on the grid of {path}")
    positive = voxels[voxels > 0]
    scaled = np.clip(voxels / np.percentile(positive, _WHITE), 0, 1) if positive.size else voxels
    for axis, (plane, extent) in enumerate(_EXTENT.items()):
        others = tuple(i for i in range(3) if i != axis)
        head = np.flatnonzero((scaled > _TISSUE).mean(axis=others) > _TISSUE / 5)
        if not head.size:
            raise DatasetError(f"{path}: is not a volume of a head (nearly empty)")
        first, last = np.quantile(head, extent)
        for index in np.linspace(first, last, SLICES).round().astype(int).tolist():
            pixels = (255 * scaled.take(index, axis).T[::-1]).round().astype(np.uint8)
            outline = None if inside is None else inside.take(index, axis).T[::-1]
            yield HeadSlice(plane, index, pixels, outline)


def _load(path: Path) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    """Voxels (right, anterior, superior), and the lengths of their sides in that order."""
    try:
        volume = nibabel.as_closest_canonical(nibabel.load(path))
        voxels = np.asarray(volume.dataobj, dtype=np.float32)
        spacing = tuple(float(side) for side in volume.header.get_zooms()[:3])
        return voxels.reshape(voxels.shape[:3]), spacing
    except Exception as error:  # those of nibabel and of what unzips share no base
        raise DatasetError(f"{path}: is not a volume of a head ({error})") from error

"""Slices in three planes from volumes of healthy heads, for `tumorlens train --extra`.

    python scripts/healthy_heads.py --output heads ch2.nii.gz ch2bet.nii.gz ...
    tumorlens data import folder --from heads --output heads.csv --source templates

The healthy heads of the public sets are nearly all cut in the axial plane, while their tumours
come in all three, so that a network may take a sagittal head for a tumour. Volumes of healthy
heads stand in packages: Colin27 with and without its skull in Debian's `mricron-data` (ch2,
ch2bet), ICBM152 in `nilearn`, one head in the sources of `pycortex`. Writes OUTPUT/notumor/*.png.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SLICES: Final = 16
"""Slices of each plane."""
REACH: Final[dict[str, tuple[float, float]]] = {
    "sagittal": (0.2, 0.8), "coronal": (0.15, 0.85), "axial": (0.25, 0.9)
}  # fmt: skip
"""First and last slice of a plane, as a share of the head's extent."""
_TISSUE: Final = 0.1


def main() -> None:
    """Cut every volume and write its slices."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("volumes", type=Path, nargs="+", help="NIfTI files of healthy heads")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    folder = options.output / "notumor"
    folder.mkdir(parents=True, exist_ok=True)
    for path in options.volumes:
        name = path.name.split(".")[0]
        for plane, number, picture in slices(load(path)):
            Image.fromarray(picture).save(folder / f"{name}_{plane}_{number:03d}.png")


def load(path: Path) -> NDArray[np.float32]:
    """A volume (right, anterior, superior) with cubic voxels of 1 mm or so, 0 to 1."""
    volume = nibabel.as_closest_canonical(nibabel.load(path))
    voxels = np.asarray(volume.dataobj, dtype=np.float32)
    voxels = voxels.reshape(voxels.shape[:3])
    shown: NDArray[np.float32] = np.clip(voxels / np.percentile(voxels[voxels > 0], 99.7), 0, 1)
    return shown


def slices(voxels: NDArray[np.float32]) -> Iterator[tuple[str, int, NDArray[np.uint8]]]:
    """Plane, index and picture of evenly spaced slices, the head upright."""
    for axis, (plane, reach) in enumerate(REACH.items()):
        others = tuple(i for i in range(3) if i != axis)
        inside = np.flatnonzero((voxels > _TISSUE).mean(axis=others) > _TISSUE / 5)
        first, last = np.quantile(inside, reach)
        for place in np.linspace(first, last, SLICES).round().astype(int):
            upright = voxels.take(place, axis).T[::-1]
            yield plane, int(place), (255 * upright).round().astype(np.uint8)


if __name__ == "__main__":
    main()

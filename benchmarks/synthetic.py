"""Synthetic images, as many as are wanted, no two of which are copies of each other."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tumorlens.demo.phantoms import make_phantom
from tumorlens.imaging.raster import encode
from tumorlens.labels import CLASSES

_PHANTOMS: Final = 256
_PER_FOLDER: Final = 10_000


def write_synthetic(folder: Path, count: int, store: Path | None = None) -> None:
    """Fill ``folder`` up to ``count`` JPEG files, at most 10,000 in a folder below it.

    Each is a mixture of two phantoms, turned, stretched and with noise, and depends on its number
    alone. Drawing one takes longer than answering it, so they are kept in ``store``, where one is
    given, and linked to.
    """
    if store is not None:
        write_synthetic(store, count)
        for path in sorted(store.rglob("*.jpg"))[:count]:
            link = folder / path.relative_to(store)
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.hardlink_to(path)
        return
    random = np.random.default_rng(0)
    phantoms = [make_phantom(random, CLASSES[k % len(CLASSES)]).pixels for k in range(_PHANTOMS)]
    for index in range(count):
        path = folder / f"{index // _PER_FOLDER:03d}" / f"{index:06d}.jpg"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode.jpeg(_image(phantoms, index)))


def _image(phantoms: list[NDArray[np.uint8]], index: int) -> NDArray[np.uint8]:
    random = np.random.default_rng(index)
    first, second = random.choice(_PHANTOMS, 2, replace=False)
    share = random.uniform(0.3, 0.7)
    mixed = share * phantoms[first] + (1 - share) * phantoms[second]
    angle, zoom = random.uniform(-0.5, 0.5), random.uniform(0.8, 1.25, (2, 1))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * zoom
    middle = (np.array(mixed.shape) - 1) / 2
    shift = middle - turn @ middle + random.uniform(-8, 8, 2)
    turned = ndimage.affine_transform(mixed, turn, shift, order=1)
    noisy = np.clip(turned + random.normal(0, 5, turned.shape), 0, 255)
    return np.rint(noisy).astype(np.uint8)

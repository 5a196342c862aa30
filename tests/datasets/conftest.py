"""A small image set with planted faults, drawn anew: nothing of it comes from a real set."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from tumorlens.datasets import importers
from tumorlens.datasets.manifest import Manifest
from tumorlens.imaging.raster import encode
from tumorlens.labels import CLASSES

Draw = Callable[[int], NDArray[np.uint8]]


def blobs(seed: int, size: int = 128) -> NDArray[np.uint8]:
    """An image (size, size) of smooth random blobs: no two seeds alike."""
    noise = np.random.default_rng(seed).normal(size=(size, size))
    smooth = gaussian_filter(noise, size / 14)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    image: NDArray[np.uint8] = np.rint(255 * smooth).astype(np.uint8)
    return image


def sharpened(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An unsharp mask of 150%."""
    pixels = image.astype(np.float64)
    return np.clip(2.5 * pixels - 1.5 * gaussian_filter(pixels, 2.0), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Draws an image of blobs from a seed."""
    return blobs


@dataclasses.dataclass(frozen=True)
class Planted:
    """A set with planted faults."""

    folder: Path
    manifest: Manifest


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """40 training and 8 testing images, and faults named after what they are."""
    folder = tmp_path_factory.mktemp("planted")

    def put(name: str, data: bytes) -> None:
        file = folder / "set" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    for seed in range(48):
        split = "Training" if seed < 40 else "Testing"
        put(f"{split}/{CLASSES[seed % 4]}/{seed}.png", encode.png(blobs(seed)))
    glioma, pituitary = blobs(0), blobs(3)  # training/glioma/0 and training/pituitary/3
    put("Testing/glioma/same-bytes.png", encode.png(glioma))
    put("Testing/glioma/same-pixels.tif", encode.tiff(glioma))
    put("Testing/glioma/mirrored.png", encode.png(blobs(4)[:, ::-1]))
    put("Testing/glioma/rotated90.png", encode.png(np.rot90(blobs(8))))
    put("Testing/glioma/rotated180.png", encode.png(np.rot90(blobs(12), 2)))
    put("Testing/glioma/rotated270.png", encode.png(np.rot90(blobs(16), 3)))
    put("Testing/glioma/sharpened.jpg", encode.jpeg(sharpened(blobs(20)), 80))
    put("Testing/glioma/larger.png", encode.png(np.kron(blobs(24), np.ones((2, 2), np.uint8))))
    put("Training/meningioma/relabelled.jpg", encode.jpeg(pituitary, 95))
    put("Training/notumor/broken.jpg", b"\xff\xd8\xff and then nothing")
    manifest = importers.import_folder(folder / "set", folder / "planted.csv")
    manifest.save(folder / "planted.csv")
    return Planted(folder, manifest)

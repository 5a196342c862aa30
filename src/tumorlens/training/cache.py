"""Preprocessed images as one uint8 memory map, made once for a manifest and its preprocessing."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from tumorlens.config import PreprocessConfig
from tumorlens.cores import thread_pool
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.masks import load_mask
from tumorlens.errors import DatasetError, InputError
from tumorlens.files import allocate, replacing
from tumorlens.imaging import reader
from tumorlens.imaging.image import single
from tumorlens.preprocessing import preprocess, preprocess_mask


def default_folder() -> Path:
    """``$TUMORLENS_CACHE``, else ``$XDG_CACHE_HOME/tumorlens``, else ``~/.cache/tumorlens``."""
    named = os.environ.get("TUMORLENS_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tumorlens"


def cached_images(
    manifest: Manifest,
    indices: Sequence[int],
    config: PreprocessConfig,
    folder: Path,
) -> NDArray[np.uint8]:
    """Preprocessed images of the records ``indices``: uint8 (N, S, S), read-only memory map.

    Keyed by the files' hashes, their order and every preprocessing parameter; written under a
    temporary name and renamed, so a killed process leaves nothing half done. Raises
    ``DatasetError`` naming the first file that cannot be used.
    """
    records = [manifest.records[i] for i in indices]
    path = folder / f"{_key(records, config)}.npy"
    return _cached(path, manifest, records, config, _load)


def cached_masks(
    manifest: Manifest,
    indices: Sequence[int],
    config: PreprocessConfig,
    folder: Path,
) -> NDArray[np.uint8]:
    """Experts' outlines of the same records, moved as the images are; empty where there is none.

    Written as ``cached_images``, and keyed also by the bytes of the masks. Raises ``DatasetError``.
    """
    records = [manifest.records[i] for i in indices]
    with _naming_the_file():
        outlines = [_outline_of(manifest, record) for record in records]
    path = folder / f"{_key(records, config, outlines)}-masks.npy"
    return _cached(path, manifest, records, config, _load_mask)


@contextmanager
def _naming_the_file() -> Iterator[None]:
    """Raise ``DatasetError`` for a file that cannot be used."""
    try:
        yield
    except InputError as error:
        raise DatasetError(f"cannot train on {error}") from error


def _cached(
    path: Path,
    manifest: Manifest,
    records: Sequence[Record],
    config: PreprocessConfig,
    load: Callable[[Manifest, Record, PreprocessConfig], NDArray[np.uint8]],
) -> NDArray[np.uint8]:
    def loaded(record: Record) -> NDArray[np.uint8]:
        with _naming_the_file():
            return load(manifest, record, config)

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (len(records), config.image_size, config.image_size)
        with replacing(path) as temporary, thread_pool() as pool:
            memory_map = np.lib.format.open_memmap(
                temporary, mode="w+", dtype=np.uint8, shape=shape
            )
            with temporary.open("r+b") as file:
                allocate(file.fileno(), temporary.stat().st_size, start=memory_map.offset)
            for index, image in enumerate(pool.map(loaded, records)):
                memory_map[index] = image
            memory_map.flush()
    images: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    return images


def _load(manifest: Manifest, record: Record, config: PreprocessConfig) -> NDArray[np.uint8]:
    image = single(reader.read(manifest.file(record)))
    return preprocess(image.pixels, config, image.source)


def _load_mask(manifest: Manifest, record: Record, config: PreprocessConfig) -> NDArray[np.uint8]:
    if not record.mask:
        return np.zeros((config.image_size, config.image_size), dtype=np.uint8)
    image = single(reader.read(manifest.file(record))).pixels
    return preprocess_mask(load_mask(manifest, record, image.shape), image, config)


def _outline_of(manifest: Manifest, record: Record) -> str:
    """What the mask of an image, and how it lies over the image, are known by."""
    mask = manifest.mask_file(record)
    content = reader.load_file(mask) if mask else b""
    return f"{record.orientation} {hashlib.sha256(content).hexdigest()}"


def _key(records: Sequence[Record], config: PreprocessConfig, further: Iterable[str] = ()) -> str:
    digest = hashlib.sha256(msgspec.json.encode(config, order="deterministic"))
    for record in records:
        digest.update(record.sha256.encode())
    for text in further:
        digest.update(text.encode())
    return digest.hexdigest()[:32]

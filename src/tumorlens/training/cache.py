"""Preprocessed images as one uint8 memory map, made once for a manifest and its preprocessing."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tumorlens.config import PreprocessConfig
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.errors import DatasetError, InputError
from tumorlens.imaging import reader
from tumorlens.imaging.image import single
from tumorlens.preprocessing import preprocess

Progress = Callable[[int, int], None]


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
    progress: Progress | None = None,
) -> NDArray[np.uint8]:
    """Preprocessed images of the records ``indices``: uint8 (N, S, S), read-only memory map.

    Keyed by the files' hashes, their order and every preprocessing parameter; written under a
    temporary name and renamed, so a killed process leaves nothing half done. Raises
    ``DatasetError`` naming the first file that cannot be used.
    """
    records = [manifest.records[i] for i in indices]
    path = folder / f"{_key(records, config)}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _build(path, [manifest.file(r) for r in records], config, progress)
    images: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
    return images


def _build(
    path: Path, paths: Sequence[Path], config: PreprocessConfig, progress: Progress | None
) -> None:
    size = config.image_size
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".npy")
    os.close(handle)
    try:
        images = np.lib.format.open_memmap(
            temporary, mode="w+", dtype=np.uint8, shape=(len(paths), size, size)
        )
        # One thread a product: the pool's threads are the parallelism.
        with threadpool_limits(limits=1), ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            results = pool.map(lambda item: _load(item, config), paths)
            for index, image in enumerate(results):
                images[index] = image
                if progress is not None:
                    progress(index + 1, len(paths))
        images.flush()
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _load(path: Path, config: PreprocessConfig) -> NDArray[np.uint8]:
    try:
        image = single(reader.read(path))
        return preprocess(image.pixels, config, image.source)
    except InputError as error:
        raise DatasetError(f"cannot train on {error}") from error


def _key(records: Sequence[Record], config: PreprocessConfig) -> str:
    digest = hashlib.sha256(msgspec.json.encode(config, order="deterministic"))
    for record in records:
        digest.update(record.sha256.encode())
    return digest.hexdigest()[:32]

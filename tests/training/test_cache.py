import dataclasses
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tumorlens.config import PreprocessConfig
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import Split
from tumorlens.errors import DatasetError
from tumorlens.imaging import reader
from tumorlens.imaging.raster import encode
from tumorlens.preprocessing import preprocess
from tumorlens.training.cache import cached_images, cached_masks

CONFIG = PreprocessConfig(image_size=40)


def test_cache_holds_what_preprocess_gives(
    square_set: tuple[Manifest, Split], tmp_path: Path
) -> None:
    manifest, _ = square_set
    images = cached_images(manifest, [5, 2, 77], CONFIG, tmp_path)
    assert images.shape == (3, 40, 40)
    for image, index in zip(images, [5, 2, 77], strict=True):
        pixels = reader.read(manifest.file(manifest.records[index])).pixels
        assert np.array_equal(image, preprocess(pixels, CONFIG))


def test_the_cache_is_whole_where_the_system_cannot_take_room_ahead(
    square_set: tuple[Manifest, Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = np.array(cached_images(square_set[0], [0, 1], CONFIG, tmp_path / "a"))
    monkeypatch.delattr(os, "posix_fallocate", raising=False)  # as on macOS and Windows
    found = cached_images(square_set[0], [0, 1], CONFIG, tmp_path / "b")
    assert np.array_equal(found, expected)


def test_second_call_reads_the_file_of_the_first(
    square_set: tuple[Manifest, Split], tmp_path: Path
) -> None:
    manifest, _ = square_set
    first = np.array(cached_images(manifest, [0, 1], CONFIG, tmp_path))
    (written,) = tmp_path.iterdir()
    np.save(written, first + 1)
    assert np.array_equal(cached_images(manifest, [0, 1], CONFIG, tmp_path), first + 1)


def test_an_outline_that_was_corrected_is_read_again(
    square_set: tuple[Manifest, Split], tmp_path: Path
) -> None:
    manifest, _ = square_set
    record, mask = manifest.records[0], tmp_path / "mask.png"
    outlined = dataclasses.replace(record, path=str(manifest.file(record)), mask="mask.png")
    manifest = Manifest((outlined,), tmp_path)
    for inside in (0, 255):
        mask.write_bytes(encode.png(np.full((48, 48), inside, np.uint8)))
        found = cached_masks(manifest, [0], CONFIG, tmp_path / "cache")
        assert found.any() == (inside > 0)
    assert len(list((tmp_path / "cache").iterdir())) == 2
    turned = Manifest((dataclasses.replace(outlined, orientation="rot180"),), tmp_path)
    cached_masks(turned, [0], CONFIG, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 3
    mask.unlink()
    with pytest.raises(DatasetError, match=r"cannot train on .*mask\.png: no such file"):
        cached_masks(manifest, [0], CONFIG, tmp_path / "cache")


def test_other_parameters_or_order_are_another_file(
    square_set: tuple[Manifest, Split], tmp_path: Path
) -> None:
    manifest, _ = square_set
    wider = msgspec.structs.replace(CONFIG, crop_margin=0.2)
    cached_images(manifest, [0, 1], CONFIG, tmp_path)
    cached_images(manifest, [1, 0], CONFIG, tmp_path)
    cached_images(manifest, [0, 1], wider, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_unreadable_image_is_named_and_nothing_is_left(
    square_set: tuple[Manifest, Split], tmp_path: Path
) -> None:
    manifest, _ = square_set
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    record = dataclasses.replace(manifest.records[0], path=str(bad), sha256="0" * 64)
    with pytest.raises(DatasetError, match=r"cannot train on .*bad\.png"):
        cached_images(Manifest((record,), tmp_path), [0], CONFIG, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []

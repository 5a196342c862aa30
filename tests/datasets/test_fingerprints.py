"""The one pass over the files."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.datasets import fingerprints, importers
from tumorlens.datasets.fingerprints import ORIENTATIONS
from tumorlens.imaging.raster import encode

Draw = Callable[[int], NDArray[np.uint8]]


@pytest.mark.parametrize("orientation", range(8), ids=ORIENTATIONS)
def test_hash_of_a_turned_image_is_the_turned_hash(draw: Draw, orientation: int) -> None:
    image = draw(5)
    turned = np.ascontiguousarray(fingerprints.orient(image, orientation)).astype(np.float32)
    straight = fingerprints.perceptual_hashes(image.astype(np.float32))
    assert fingerprints.perceptual_hashes(turned)[0] == straight[orientation]


def test_orientations_are_what_their_names_say(draw: Draw) -> None:
    image = draw(6)
    for name, expected in {
        "same": image,
        "mirrored": image[:, ::-1],
        "upside down": image[::-1],
        "rotated 90": np.rot90(image),
        "rotated 180": np.rot90(image, 2),
        "rotated 270": np.rot90(image, 3),
        "transposed": image.T,
    }.items():
        turned = fingerprints.orient(image, ORIENTATIONS.index(name))
        np.testing.assert_array_equal(turned, expected, err_msg=name)


def test_hamming_counts_differing_bits() -> None:
    left = np.array([0, 2**64 - 1], dtype=np.uint64)
    right = np.array([0, 1, 2**63], dtype=np.uint64)
    np.testing.assert_array_equal(fingerprints.hamming(left, right), [[0, 1, 1], [64, 63, 63]])


def test_unusable_files_are_noted_and_the_rest_goes_on(tmp_path: Path, draw: Draw) -> None:
    folder = tmp_path / "set" / "glioma"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(encode.png(draw(0)))
    (folder / "b.png").write_bytes(b"no image")
    (folder / "c.png").write_bytes(encode.png(np.full((64, 64), 7, np.uint8)))
    manifest = importers.import_folder(tmp_path / "set", tmp_path / "m.csv")
    gone = dataclasses.replace(manifest.records[0], path="set/glioma/gone.png")
    manifest = dataclasses.replace(manifest, records=(*manifest.records, gone))
    steps: list[tuple[int, int]] = []
    prints = fingerprints.fingerprint(manifest, lambda done, total: steps.append((done, total)))
    assert prints.usable.tolist() == [True, False, False, False]
    assert "not an image" in prints.problems[1]
    assert "same value" in prints.problems[2]
    assert "no such file" in prints.problems[3]
    assert prints.pixel_sha256[0] == manifest.records[0].pixel_sha256
    assert prints.sha256[1] == manifest.records[1].sha256
    assert prints.sha256[3] == ""
    assert not prints.thumbnails[1:].any()
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_sixteen_bits_give_the_same_print_as_eight(tmp_path: Path, draw: Draw) -> None:
    folder = tmp_path / "set" / "glioma"
    folder.mkdir(parents=True)
    (folder / "8.png").write_bytes(encode.png(draw(1)))
    (folder / "16.png").write_bytes(encode.png(draw(1).astype(np.uint16) * 257))
    manifest = importers.import_folder(tmp_path / "set", tmp_path / "m.csv")
    prints = fingerprints.fingerprint(manifest)
    np.testing.assert_array_equal(prints.hashes[0], prints.hashes[1])
    np.testing.assert_array_equal(prints.thumbnails[0], prints.thumbnails[1])

"""Copies, edited and turned."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tumorlens.datasets import duplicates, fingerprints, importers
from tumorlens.datasets.duplicates import Pairs
from tumorlens.imaging import encode

Draw = Callable[[int], NDArray[np.uint8]]


def test_identical_ignores_empty_keys() -> None:
    assert duplicates.identical(["a", "", "b", "a", "", "b", "c"]) == [(0, 3), (2, 5)]


def test_clusters_join_pairs_and_groups() -> None:
    one = np.array([0]), np.array([3])
    pairs = Pairs(*one, np.array([1]), np.array([2]), np.array([0.99]))
    numbers = duplicates.clusters(6, pairs, [(3, 4), (1, 5)])
    assert len(set(numbers.tolist())) == 3
    assert numbers[0] == numbers[3] == numbers[4]
    assert numbers[1] == numbers[5]


def test_unrelated_pictures_never_pair(tmp_path: Path, draw: Draw) -> None:
    folder = tmp_path / "set" / "glioma"
    folder.mkdir(parents=True)
    for seed in range(100, 160):
        (folder / f"{seed}.png").write_bytes(encode.png(draw(seed)))
    manifest = importers.import_folder(tmp_path / "set", tmp_path / "m.csv")
    assert len(duplicates.near_duplicates(fingerprints.fingerprint(manifest))) == 0


def test_equal_pixels_are_no_near_duplicates(tmp_path: Path, draw: Draw) -> None:
    folder = tmp_path / "set" / "glioma"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(encode.png(draw(1)))
    (folder / "b.tif").write_bytes(encode.tiff(draw(1)))
    (folder / "c.png").write_bytes(encode.png(np.rot90(draw(1))))
    manifest = importers.import_folder(tmp_path / "set", tmp_path / "m.csv")
    prints = fingerprints.fingerprint(manifest)
    assert duplicates.identical(prints.pixel_sha256) == [(0, 1)]
    pairs = duplicates.near_duplicates(prints)
    assert list(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)) == [(0, 2), (1, 2)]
    # Turning the copy three quarters further brings the original back.
    assert {fingerprints.ORIENTATIONS[k] for k in pairs.orientation} == {"rotated 270"}
    assert (pairs.correlation > 0.9999).all()
    assert (pairs.distance == 0).all()

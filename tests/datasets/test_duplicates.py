"""Copies, edited and turned."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens import preprocessing
from tumorlens.datasets import duplicates, fingerprints, importers
from tumorlens.datasets.duplicates import Pairs
from tumorlens.datasets.fingerprints import Fingerprints
from tumorlens.datasets.manifest import Manifest
from tumorlens.errors import DatasetError
from tumorlens.imaging.raster import encode

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


def test_unrelated_images_never_pair(tmp_path: Path, draw: Draw) -> None:
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


def test_the_best_orientation_of_a_nearly_symmetric_image_is_reported(
    tmp_path: Path, draw: Draw
) -> None:
    folder = tmp_path / "set" / "glioma"
    folder.mkdir(parents=True)
    head = draw(1).astype(np.float64)
    nearly = 0.55 * head + 0.45 * head[:, ::-1]
    for name, image in (("a", nearly), ("b", nearly + 2)):
        (folder / f"{name}.png").write_bytes(encode.png(np.clip(image, 0, 255).astype(np.uint8)))
    manifest = importers.import_folder(tmp_path / "set", tmp_path / "m.csv")
    prints = fingerprints.fingerprint(manifest)
    left, right = prints.thumbnails.reshape(2, -1)
    mirrored = fingerprints.orient(prints.thumbnails[1], 1).ravel()
    assert np.corrcoef(left, right)[0, 1] > np.corrcoef(left, mirrored)[0, 1] > 0.97
    pairs = duplicates.near_duplicates(prints, max_distance=64)
    assert [fingerprints.ORIENTATIONS[k] for k in pairs.orientation] == ["same"]


def all_pairs(prints: Fingerprints) -> dict[tuple[int, int], tuple[int, float]]:
    """Orientation and correlation of each pair, every image compared with every other."""

    def standardized(image: NDArray[np.uint8]) -> NDArray[np.float64]:
        flat = image.ravel().astype(np.float64)
        flat -= flat.mean()
        return flat / np.linalg.norm(flat)

    found: dict[tuple[int, int], tuple[int, float]] = {}
    for left, right in itertools.combinations(range(len(prints)), 2):
        for turn in range(8):
            bits = int(prints.hashes[left, 0] ^ prints.hashes[right, turn]).bit_count()
            turned = fingerprints.orient(prints.thumbnails[right], turn)
            correlation = standardized(prints.thumbnails[left]) @ standardized(turned)
            if bits > duplicates.MAX_DISTANCE or correlation < duplicates.MIN_CORRELATION:
                continue
            if correlation > found.get((left, right), (0, 0.0))[1]:
                found[left, right] = turn, float(correlation)
    return found


def test_no_pair_is_lost_on_the_way(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks, coarse images and thumbnails on disk find what comparing all with all finds."""
    rng = np.random.default_rng(2)
    thumbnails, hashes = [], []
    for index in range(48):
        image = fingerprints.orient(draw(index // 4), int(rng.integers(8)))
        noisy = np.clip(image + rng.normal(0, 3 * (index % 4) ** 2, image.shape), 0, 255)
        windowed = (noisy / 255).astype(np.float32)
        hashes.append(fingerprints.perceptual_hashes(windowed))
        small = preprocessing.resize(windowed, fingerprints.THUMBNAIL_SIZE)
        thumbnails.append(np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8))
    names = tuple(map(str, range(48)))
    prints = Fingerprints(
        ("glioma",) * 48, np.stack(thumbnails), np.stack(hashes), names, names, ("",) * 48
    )
    monkeypatch.setattr(duplicates, "_ROWS", 7)
    monkeypatch.setattr(duplicates, "_COLUMNS", 16)
    monkeypatch.setattr(duplicates, "_THUMBNAILS_AT_ONCE", 5)
    pairs = duplicates.near_duplicates(prints)
    expected = all_pairs(prints)
    assert len(expected) > 30
    rows = zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)
    assert dict(zip(rows, pairs.orientation.tolist(), strict=True)) == {
        pair: turn for pair, (turn, _) in expected.items()
    }
    np.testing.assert_allclose(
        pairs.correlation, [expected[pair][1] for pair in sorted(expected)], atol=1e-5
    )


def test_chains_hold_groups_together_with_as_few_pairs_as_it_takes() -> None:
    assert duplicates.chained([(2, 5, 7), (1, 3)]) == [(2, 5), (2, 7), (1, 3)]
    assert duplicates.chained([(4,), ()]) == []


def test_rows_are_numbered_by_what_links_them() -> None:
    numbers = duplicates.connected(5, [(0, 4), (4, 2)]).tolist()
    assert numbers[0] == numbers[2] == numbers[4]
    assert len(set(numbers)) == 3
    assert len(set(duplicates.connected(3, []).tolist())) == 3


def _set(tmp_path: Path, files: dict[str, bytes]) -> Manifest:
    folder = tmp_path / "set" / "glioma"
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return importers.import_folder(tmp_path / "set", tmp_path / "m.csv")


def test_copies_and_near_copies_look_alike_and_what_cannot_be_read_is_told(
    tmp_path: Path, draw: Draw
) -> None:
    files = {"a.png": draw(1), "b.tif": draw(1), "c.jpg": draw(1), "d.png": draw(2)}
    encoded = {
        name: encode.jpeg(image, 90) if name.endswith("jpg") else
        encode.tiff(image) if name.endswith("tif") else encode.png(image)
        for name, image in files.items()
    }  # fmt: skip
    found = duplicates.look_alikes(_set(tmp_path, {**encoded, "e.png": b"no image"}))
    numbers = duplicates.connected(5, found.pairs).tolist()
    assert numbers[0] == numbers[1] == numbers[2]
    assert len(set(numbers)) == 3
    (problem,) = found.unread
    assert "e.png" in problem


def test_where_no_image_can_be_read_there_is_nothing_to_compare(tmp_path: Path) -> None:
    manifest = _set(tmp_path, {"a.png": b"no image", "b.png": b"no image either"})
    with pytest.raises(DatasetError, match=r"no image can be read: .*a\.png"):
        duplicates.look_alikes(manifest)


@pytest.mark.parametrize(("distance", "correlation", "count"), [
    (12, 0.97, 1), (64, 0.999, 0), (64, 0.5, 1), (-1, 0.97, 0),
])  # fmt: skip
def test_a_pair_needs_near_hashes_and_correlated_pixels(
    tmp_path: Path, draw: Draw, distance: int, correlation: float, count: int
) -> None:
    noise = np.random.default_rng(0).normal(0, 25, (128, 128))
    noisy = np.clip(draw(1) + noise, 0, 255).astype(np.uint8)
    manifest = _set(tmp_path, {"a.png": encode.png(draw(1)), "b.png": encode.png(noisy)})
    prints = fingerprints.fingerprint(manifest)
    assert len(duplicates.near_duplicates(prints, distance, correlation)) == count

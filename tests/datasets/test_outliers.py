"""Images unlike the rest of their class."""

import dataclasses

import numpy as np
import pytest

from tumorlens.datasets import outliers as module
from tumorlens.datasets.fingerprints import Fingerprints
from tumorlens.datasets.outliers import outliers


def _prints(thumbnails: list[np.ndarray[tuple[int, int], np.dtype[np.uint8]]]) -> Fingerprints:
    count = len(thumbnails)
    blank = ("",) * count
    return Fingerprints(
        ("glioma",) * count, np.stack(thumbnails),
        np.zeros((count, 8), dtype=np.uint64), blank, blank, blank,
    )  # fmt: skip


@pytest.mark.parametrize("most", [10_000, 20], ids=["all at once", "in parts"])
def test_the_odd_one_comes_first_even_with_copies(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WHOLE", most)
    monkeypatch.setattr(module, "_AT_ONCE", 20)
    monkeypatch.setattr(module, "_COMPONENTS", 12)
    rng = np.random.default_rng(1)
    usual = np.linspace(0, 200, 64 * 64).reshape(64, 64)
    odd = np.ascontiguousarray(usual.T[::-1])
    images = [usual + rng.normal(0, 6, (64, 64)) for _ in range(50)]
    images += [odd + rng.normal(0, 1, (64, 64)) for _ in range(15)]
    clipped = [np.clip(image, 0, 255).astype(np.uint8) for image in images]
    clusters = np.array([*range(50), *[50] * 15])
    found = outliers(_prints(clipped), clusters)
    first, second = found["glioma"][:2]
    assert (first.row, first.copies) == (50, 15)
    assert first.score > 3 * abs(second.score)
    assert found["pituitary"] == []


def _noise(count: int) -> list[np.ndarray[tuple[int, int], np.dtype[np.uint8]]]:
    rng = np.random.default_rng(4)
    usual = np.linspace(40, 200, 64 * 64).reshape(64, 64)
    return [np.rint(usual + rng.normal(0, 6, (64, 64))).astype(np.uint8) for _ in range(count)]


@pytest.mark.parametrize(("distinct", "copies", "listed"), [(29, 1, 0), (29, 5, 0), (30, 1, 24)])
def test_a_class_of_fewer_than_thirty_distinct_images_has_no_outliers(
    distinct: int, copies: int, listed: int
) -> None:
    clusters = np.arange(distinct).repeat(copies)
    prints = _prints([image for image in _noise(distinct) for _ in range(copies)])
    assert len(outliers(prints, clusters)["glioma"]) == listed


def test_images_that_cannot_be_read_are_no_outliers() -> None:
    prints = _prints([*_noise(40), np.zeros((64, 64), np.uint8)])
    blank = dataclasses.replace(prints, problems=(*prints.problems[:40], "cannot be read"))
    assert outliers(prints, np.arange(41))["glioma"][0].row == 40
    assert 40 not in {one.row for one in outliers(blank, np.arange(41))["glioma"]}


def test_outliers_are_sought_within_their_class_the_farthest_first() -> None:
    prints = dataclasses.replace(
        _prints([*_noise(31), *(255 - image for image in _noise(31))]),
        labels=("glioma",) * 31 + ("cyst",) * 31,
    )
    found = outliers(prints, np.arange(62), ["glioma", "cyst"])
    assert all(one.row < 31 for one in found["glioma"])
    assert all(one.row >= 31 for one in found["cyst"])
    scores = [one.score for one in found["cyst"]]
    assert scores == sorted(scores, reverse=True)
    assert max(scores) < 6, "none is far from images of its class"

"""Images unlike the rest of their class."""

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

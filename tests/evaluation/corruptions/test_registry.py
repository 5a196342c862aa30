"""Every corruption corrupts, and more so with strength; the same key corrupts alike."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens import preprocessing
from tumorlens.config import PreprocessConfig
from tumorlens.evaluation.corruptions.registry import CORRUPTIONS, STRENGTHS, Corruption

CONFIG = PreprocessConfig(image_size=96)
by_name = pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda c: c.name)


def seen(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    return preprocessing.preprocess(pixels, CONFIG).astype(np.float64)


def change(corruption: Corruption, head: NDArray[np.uint8], strength: int) -> float:
    """Mean change over a few draws: of the pixels, or of what the network sees where they move."""
    pixels = head.astype(np.float32)
    scaled = (pixels - pixels.min()) / np.ptp(pixels)
    changes = []
    for k in range(4):
        corrupted = corruption(pixels, strength, f"key {k}")
        if corruption.name in ("rotation", "crop"):
            changes.append(np.abs(seen(corrupted) - seen(pixels)).mean())
        else:
            changes.append(np.abs(corrupted - scaled).mean())
    return float(np.mean(changes))


@by_name
def test_changes_grow_with_strength(corruption: Corruption, head: NDArray[np.uint8]) -> None:
    changes = [change(corruption, head, strength) for strength in range(1, STRENGTHS + 1)]
    assert changes[0] > 0
    assert changes == sorted(changes)
    assert changes[-1] > 1.5 * changes[0]


@by_name
def test_same_key_same_image(corruption: Corruption, head: NDArray[np.uint8]) -> None:
    pixels = head.astype(np.float32)
    first, second = corruption(pixels, 3, "a"), corruption(pixels, 3, "a")
    assert (first == second).all()
    if corruption.name not in ("blur", "low_resolution", "jpeg"):
        others = [corruption(pixels, 3, key) for key in "bcdefg"]
        assert any(o.shape != first.shape or (o != first).any() for o in others)


@by_name
def test_the_intensity_range_does_not_matter(
    corruption: Corruption, head: NDArray[np.uint8]
) -> None:
    eight, sixteen = head.astype(np.float32), head.astype(np.float32) * 257 + 1000
    assert corruption(sixteen, 2, "k") == pytest.approx(corruption(eight, 2, "k"), abs=0.01)


@by_name
@pytest.mark.parametrize("shape", [(33, 70), (70, 33), (64, 64)])
def test_small_and_oblong_images(corruption: Corruption, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).normal(100, 30, shape).astype(np.float32)
    corrupted = corruption(pixels, 5, "k")
    assert corrupted.ndim == 2
    assert np.isfinite(corrupted).all()
    assert min(corrupted.shape) >= 16
    assert seen(corrupted).shape == (96, 96)


def test_ten_names() -> None:
    assert [c.name for c in CORRUPTIONS] == [
        "noise", "blur", "low_resolution", "bias_field", "gamma", "ghosting", "motion", "jpeg",
        "rotation", "crop",
    ]  # fmt: skip

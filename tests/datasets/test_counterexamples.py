import numpy as np
import pytest

from tumorlens.datasets import counterexamples
from tumorlens.datasets.counterexamples import KINDS, draw, unit

SIZE = 64


@pytest.fixture
def small_head(head: np.ndarray) -> np.ndarray:
    return (head[::3, ::3][:SIZE, :SIZE] / 255).astype(np.float32).copy()


@pytest.fixture
def square_head(small_head: np.ndarray) -> np.ndarray:
    padded = np.zeros((SIZE, SIZE), dtype=np.float32)
    padded[: small_head.shape[0], : small_head.shape[1]] = small_head
    return padded


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_is_finite_in_range_and_varies(kind: str, square_head: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    drawn = [unit(KINDS[kind](rng, SIZE, square_head)) for _ in range(12)]
    for image in drawn:
        assert image.shape == (SIZE, SIZE)
        assert np.isfinite(image).all()
        assert image.min() >= 0
        assert image.max() <= 1
    assert len({image.tobytes() for image in drawn}) >= 10


def test_what_breaks_a_head_leaves_none(square_head: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    for kind in ("shuffled", "montage", "tissue", "swirled", "silhouette"):
        for _ in range(10):
            broken = unit(KINDS[kind](rng, SIZE, square_head))
            likeness = np.corrcoef(broken.ravel(), square_head.ravel())[0, 1]
            assert likeness < 0.95, kind


def test_same_seed_same_images(square_head: np.ndarray) -> None:
    first, second = (
        [draw(np.random.default_rng(7), SIZE, square_head) for _ in range(5)] for _ in range(2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_constant_image_becomes_black() -> None:
    assert not counterexamples.unit(np.full((8, 8), 3.0, dtype=np.float32)).any()

import numpy as np
import pytest
from experiments.localization import (
    bounding_box,
    box_iou,
    center_map,
    localize,
    mean_map,
)


def _box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    inside = np.zeros((20, 30), dtype=bool)
    inside[top:bottom, left:right] = True
    return inside


def test_a_map_that_is_the_outline_is_perfect() -> None:
    outline = _box(4, 6, 10, 16)
    found = localize(outline.astype(float), outline)
    assert found == (True, 1.0, 1.0)


def test_a_map_elsewhere_misses() -> None:
    found = localize(_box(12, 20, 18, 28).astype(float), _box(4, 6, 10, 16))
    assert found == (False, 0.0, 0.0)


def test_energy_is_the_share_inside() -> None:
    flat = np.ones((20, 30))
    outline = _box(0, 0, 10, 30)
    assert localize(flat, outline).energy == pytest.approx(0.5)


def test_an_empty_map_hits_nothing() -> None:
    assert localize(np.zeros((20, 30)), _box(0, 0, 20, 30)) == (False, 0.0, 0.0)


def test_boxes() -> None:
    assert bounding_box(_box(3, 4, 9, 12)) == (3, 4, 9, 12)
    assert box_iou((0, 0, 10, 10), (0, 5, 10, 15)) == pytest.approx(1 / 3)
    assert box_iou((0, 0, 2, 2), (5, 5, 9, 9)) == 0.0


def test_baselines_point_at_their_place() -> None:
    middle = center_map((21, 31))
    assert middle[10, 15] == middle.max()
    outlines = np.stack([_box(2, 3, 6, 9), _box(4, 3, 8, 9)]).astype(float)
    assert mean_map(outlines).max() == 1.0
    assert mean_map(outlines)[4, 3] == 1.0
    assert mean_map(outlines)[2, 3] == 0.5


def test_what_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="empty"):
        localize(np.ones((20, 30)), np.zeros((20, 30), dtype=bool))
    with pytest.raises(ValueError, match="outline of"):
        localize(np.ones((20, 31)), np.ones((20, 30), dtype=bool))

import numpy as np
import pytest
from experiments.heatmaps import center_map, localize


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


def test_boxes_overlap_by_their_share_of_both() -> None:
    corners = _box(0, 0, 1, 1) | _box(9, 9, 10, 10)
    found = localize(corners.astype(float), _box(0, 5, 10, 15))
    assert found.box_iou == pytest.approx(1 / 3)


def test_the_baseline_points_at_the_middle() -> None:
    middle = center_map((21, 31))
    assert middle[10, 15] == middle.max()


def test_what_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="empty"):
        localize(np.ones((20, 30)), np.zeros((20, 30), dtype=bool))
    with pytest.raises(ValueError, match="outline of"):
        localize(np.ones((20, 31)), np.ones((20, 30), dtype=bool))

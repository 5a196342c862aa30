"""Parallel series are weighed position by position."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.inference.evidence import (
    Stack,
    are_parallel,
    fuse,
    fuse_positions,
    parallel_groups,
)
from tumorlens.labels import class_set

Floats = NDArray[np.float64]
UP = np.array([0.0, 0.0, 1.0])


def stack(
    suspicion: list[float], apart: float = 5.0, first: float = 0.0, normal: Floats = UP,
    frame: str | None = "1.2",
) -> Stack:  # fmt: skip
    """Slices of a series; a tumour is a glioma."""
    along = first + apart * np.arange(len(suspicion))
    share = np.array(suspicion)
    table = np.stack([share, 0 * share, 1 - share, 0 * share], axis=1)
    return Stack(np.outer(along, normal), table, frame)


def test_evidence_counts_where_it_lies() -> None:
    sees = stack([0.02] * 6 + [0.95] * 5 + [0.02] * 9)
    also = stack([0.02] * 6 + [0.6] * 5 + [0.02] * 9)
    elsewhere = stack([0.02] * 14 + [0.6] * 5 + [0.02])
    together = fuse_positions([sees, also], [1, 1])
    apart = fuse_positions([sees, elsewhere], [1, 1])
    assert 1 - together[2] > 0.8
    assert 1 - apart[2] < 0.6
    assert together.sum() == pytest.approx(1)


def test_series_of_other_spacing_and_order_are_resampled() -> None:
    fine = stack(list(np.repeat([0.02, 0.9, 0.02], [20, 20, 20])), apart=1.5)
    coarse = stack([0.02] * 4 + [0.9] * 4 + [0.02] * 4, apart=7.5, first=2.0)
    turned = Stack(coarse.centers_mm[::-1], coarse.table[::-1], "1.2")
    one, other = (fuse_positions([fine, thick], [1, 1]) for thick in (coarse, turned))
    assert one == pytest.approx(other)
    assert 1 - one[2] > 0.85


def test_a_series_does_not_count_where_it_has_no_slice() -> None:
    sees = stack([0.05] * 10 + [0.9] * 6)
    short = stack([0.05] * 9)
    assert fuse_positions([sees, short], [1, 1]) == pytest.approx(fuse_positions([sees], [1]))


def test_positions_beyond_the_series_with_the_most_slices_count() -> None:
    finest = stack([0.02] * 12, apart=5.0)
    longer = stack([0.02] * 7 + [0.95] * 3, apart=8.0)
    for longest in (longer, Stack(longer.centers_mm[::-1], longer.table[::-1], "1.2")):
        assert 1 - fuse_positions([finest, longest], [1, 1])[2] > 0.5


def test_which_series_lie_beside_each_other() -> None:
    axial = stack([0.5] * 20)
    tilted = stack([0.5] * 20, normal=np.array([0.0, np.sin(0.3), np.cos(0.3)]))
    sagittal = stack([0.5] * 20, normal=np.array([1.0, 0.0, 0.0]))
    moved = stack([0.5] * 20, frame="1.3")
    unknown = stack([0.5] * 20, frame=None)
    above = stack([0.5] * 20, first=80.0)
    assert are_parallel(axial, tilted)
    assert are_parallel(axial, unknown)
    for other in (sagittal, moved, above):
        assert not are_parallel(axial, other)
    assert parallel_groups([axial, None, sagittal, tilted, None]) == [[0, 3], [1], [2], [4]]


@pytest.mark.parametrize(("degrees", "parallel"), [(29, True), (31, False)])
@pytest.mark.parametrize("sense", [1, -1])
def test_series_are_parallel_up_to_thirty_degrees(
    degrees: float, parallel: bool, sense: int
) -> None:
    angle = np.deg2rad(degrees)
    tilted = stack([0.5] * 20, normal=sense * np.array([0.0, np.sin(angle), np.cos(angle)]))
    moved = Stack(tilted.centers_mm - tilted.centers_mm.mean(axis=0), tilted.table, "1.2")
    straight = stack([0.5] * 20, first=-47.5)
    assert are_parallel(straight, moved) is parallel
    assert are_parallel(moved, straight) is parallel


@pytest.mark.parametrize(
    ("first", "beside"), [(0, True), (52, True), (54, False), (-41, True), (-43, False)]
)
def test_half_of_the_shorter_series_must_lie_beside_the_other(first: float, beside: bool) -> None:
    """One is 95 mm long, the other 84."""
    long, short = stack([0.5] * 20), stack([0.5] * 13, first=first, apart=7.0)
    assert are_parallel(long, short) is beside
    assert are_parallel(short, long) is beside


def test_weights_matter_by_their_ratio_and_a_row_alone_stays() -> None:
    rows = [np.array([0.7, 0.1, 0.15, 0.05]), np.array([0.1, 0.1, 0.7, 0.1])]
    assert fuse(rows, [2, 1]) == pytest.approx(fuse(rows, [10, 5]))
    assert fuse(rows, [1, 0]) == pytest.approx(rows[0])
    assert fuse([rows[0]] * 3, [0.2, 1, 4]) == pytest.approx(rows[0])


def test_no_series_decides_alone_however_sure_it_is() -> None:
    """Log-odds end at one in a million."""
    certain, against = np.array([1.0, 0, 0, 0]), np.array([0.0, 0, 1.0, 0])
    assert fuse([certain, against], [1, 1])[2] == pytest.approx(0.5)
    assert fuse([certain, against, against], [1, 1, 1])[2] == pytest.approx(0.99, abs=1e-3)


def test_without_a_class_for_no_finding_probabilities_are_averaged() -> None:
    kinds = class_set(["glioma", "meningioma", "pituitary"])
    rows = [np.array([0.8, 0.1, 0.1]), np.array([0.2, 0.2, 0.6])]
    assert fuse(rows, [3, 1], kinds) == pytest.approx(0.75 * rows[0] + 0.25 * rows[1])


def test_a_series_counts_half_a_slice_beyond_its_ends() -> None:
    """Of slices 4 mm apart: what is up to 2 mm beyond the last is still seen by it."""
    coarse = stack([0.02] * 3, apart=4.0)
    near, beyond = (
        1 - fuse_positions([stack([0.9] * 4, apart=0.01, first=8 + gap), coarse], [1.0, 1.0])[2]
        for gap in (1.9, 2.1)
    )
    assert beyond > near + 0.15

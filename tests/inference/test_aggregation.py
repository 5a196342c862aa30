"""From slices to a volume: what is averaged, and which slices are named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tumorlens.inference.aggregation import (
    aggregate,
    find_run,
    smooth,
    strongest_run,
)
from tumorlens.labels import BRAIN_TUMORS, CLASSES

Floats = NDArray[np.float64]
NO_TUMOR = CLASSES.index("notumor")


def table(glioma: list[float]) -> Floats:
    """The rest is no tumour; None-like NaN rows stay NaN."""
    made = np.zeros((len(glioma), 4))
    made[:, 0] = glioma
    made[:, NO_TUMOR] = 1 - made[:, 0]
    return made


def millimetres(count: int, spacing: float = 5.0) -> Floats:
    return np.arange(count, dtype=np.float64) * spacing


def test_a_volume_is_answered_as_its_strongest_run_on_average() -> None:
    found = aggregate(table([0, 0.1, 0.9, 0.8, 0.7, 0.6, 0]), millimetres(7), smoothing_mm=0)
    assert found.probabilities[0] == pytest.approx(0.75)
    assert found.finding == (2, 3, 5)


@pytest.mark.parametrize(
    ("spacing", "slices"), [(1.0, 16), (2.5, 7), (3.3, 6), (5.0, 4), (6.5, 3), (20.0, 2)]
)
def test_a_run_is_measured_in_millimetres(spacing: float, slices: int) -> None:
    rows = table([0.2] * 20 + [0.9] * slices + [0.2] * 20)
    run = strongest_run(BRAIN_TUMORS.suspicion(rows), millimetres(len(rows), spacing), 15.0)
    assert run.tolist() == list(range(20, 20 + slices))
    half = table([0.2] * 20 + [0.9] * (slices // 2) + [0.2] * 20)
    found = aggregate(half, millimetres(len(half), spacing), smoothing_mm=0)
    assert found.probabilities[0] == pytest.approx(0.2 + 0.7 * (slices // 2) / slices)


def test_one_odd_slice_is_not_believed() -> None:
    found = aggregate(table([0.0] * 8 + [1.0] + [0.0] * 8), millimetres(17), smoothing_mm=7.5)
    assert CLASSES[int(np.argmax(found.probabilities))] == "notumor"


def test_the_slices_of_the_run_name_the_tumour_together() -> None:
    rows = np.array([[0.6, 0.3, 0.1, 0.0], [0.1, 0.6, 0.2, 0.1]])
    found = aggregate(rows, millimetres(2), smoothing_mm=0)
    np.testing.assert_allclose(found.probabilities, rows.mean(axis=0))


@pytest.mark.parametrize("count", [1, 2])
def test_few_slices(count: int) -> None:
    found = aggregate(table([0.8] * count), np.zeros(count))
    assert found.probabilities[0] == pytest.approx(0.8)


def test_smoothing_tells_one_odd_slice_from_a_run() -> None:
    """Slices with like neighbours win over a stronger one that stands alone."""
    probabilities = [0.0] * 20
    probabilities[3] = 1.0
    probabilities[12:15] = [0.8, 0.8, 0.8]
    for radius in (0.0, 7.5):
        found = aggregate(table(probabilities), millimetres(20), smoothing_mm=radius)
        assert found.finding == (12, 13, 14)


def test_smoothing_counts_millimetres_not_slices() -> None:
    rows = table([0, 1, 0])
    assert smooth(rows, millimetres(3, 10.0), 7.5)[1, 0] == 1
    assert smooth(rows, millimetres(3, 5.0), 7.5)[1, 0] == pytest.approx(1 / (1 + 2 / 3))
    uneven = smooth(rows, np.array([0.0, 1.0, 100.0]), 7.5)
    assert uneven[2, 0] == 0
    assert uneven[0, 0] > 0.4


@given(st.lists(st.lists(st.floats(0.01, 1), min_size=4, max_size=4), min_size=1, max_size=30),
       st.floats(0, 50), st.floats(0, 90))  # fmt: skip
def test_any_volume(rows: list[list[float]], radius: float, run_mm: float) -> None:
    probabilities = np.array(rows) / np.sum(rows, axis=1, keepdims=True)
    found = aggregate(
        probabilities, millimetres(len(probabilities)), smoothing_mm=radius, run_mm=run_mm
    )
    assert found.probabilities.sum() == pytest.approx(1)
    smoothed = smooth(probabilities, millimetres(len(probabilities)), radius)
    np.testing.assert_allclose(smoothed.sum(axis=1), 1)
    first, middle, last = found.finding
    assert 0 <= first <= middle <= last < len(probabilities)
    mirrored = smooth(probabilities[::-1], millimetres(len(probabilities)), radius)
    np.testing.assert_allclose(mirrored[::-1], smoothed)


def test_slices_without_an_answer_keep_their_place() -> None:
    rows = table([0, 0.9, np.nan, 0.9, 0, np.nan])
    found = aggregate(rows, millimetres(6), smoothing_mm=0, run_mm=5)
    assert (found.finding[0], found.finding[2]) == (1, 3)
    assert found.finding[1] in (1, 3)
    with pytest.raises(ValueError, match="no slice has an answer"):
        aggregate(np.full((3, 4), np.nan), millimetres(3), smoothing_mm=0)


def test_the_middle_is_the_centre_of_mass() -> None:
    strength = np.array([0.0, 0.6, 1.0, 1.0, 1.0, 1.0, 0.1])
    assert find_run(strength, millimetres(7), 0.5, 3) == (1, 3, 5)
    uneven = np.array([0.0, 1, 2, 3, 40, 80, 90])
    assert find_run(strength, uneven, 0.5, 4) == (1, 4, 5)
    assert find_run(np.array([1.0]), millimetres(1), 0.5, 0) == (0, 0, 0)

"""Tissue is moved to where the outline says, and nowhere else."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.datasets import lesions

SIDE = 100


def blob(y: int, x: int, radius: int) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[:SIDE, :SIDE]
    inside: NDArray[np.bool_] = np.hypot(rows - y, columns - x) <= radius
    return inside


def head() -> NDArray[np.float64]:
    rows, columns = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    inside = np.hypot(rows, columns / 0.8) < 0.9
    return np.where(inside, 0.4 + 0.1 * np.sin(8 * rows) * np.cos(9 * columns), 0.0)


def test_feathering_keeps_the_inside_and_ends_near_by() -> None:
    mask = blob(50, 30, 8)
    alpha = lesions.feathered(mask)
    assert alpha[mask].min() > 0.9
    assert alpha[~lesions.grown(mask, 10)].max() < 0.01
    assert alpha.min() >= 0
    assert alpha.max() <= 1


def test_grown_is_a_distance() -> None:
    mask = blob(50, 50, 0)
    assert lesions.grown(mask, 3).sum() == (blob(50, 50, 3)).sum()
    assert not lesions.grown(np.zeros((9, 9), dtype=bool), 3).any()


def test_a_covered_tumour_is_gone_and_the_rest_is_untouched() -> None:
    mask = blob(50, 30, 8)
    image = head()
    ill = np.where(mask, 0.95, image)
    assert lesions.can_be_covered(ill, mask)
    covered = lesions.covered(ill, mask)
    assert np.abs(covered - image)[mask].max() < 0.06
    far = ~lesions.grown(mask, 12)
    assert covered[far] == pytest.approx(ill[far], abs=1e-3)


@pytest.mark.parametrize(
    "mask", [blob(50, 50, 8), blob(50, 30, 25), np.zeros((SIDE, SIDE), dtype=bool)]
)
def test_midline_large_and_no_tumours_cannot_be_covered(mask: NDArray[np.bool_]) -> None:
    assert not lesions.can_be_covered(head(), mask)


def test_a_lopsided_head_cannot_be_covered() -> None:
    lopsided = head()
    lopsided[:, :50] = np.where(lopsided[:, :50] > 0, 0.9 - lopsided[::-1, :50], 0.7)
    assert not lesions.can_be_covered(lopsided, blob(50, 30, 8))
    assert not lesions.can_be_covered(np.zeros((SIDE, SIDE)), blob(50, 30, 8))


def test_a_pasted_tumour_keeps_its_contrast_to_what_is_around_it() -> None:
    mask = blob(50, 30, 8)
    donor = np.where(mask, 0.2 + 0.3, np.where(head() > 0, 0.2, 0.0))
    host = np.where(head() > 0, 0.5, 0.0)
    pasted = lesions.pasted(host, donor, mask)
    assert lesions.fits(host, mask)
    assert pasted[mask].mean() > 0.6
    assert lesions.visible(host, pasted, mask)
    far = ~lesions.grown(mask, 12)
    assert pasted[far] == pytest.approx(host[far], abs=1e-3)


def test_an_outline_in_the_air_does_not_fit() -> None:
    assert not lesions.fits(head(), blob(5, 5, 4))
    assert not lesions.fits(head(), np.zeros((SIDE, SIDE), dtype=bool))


def test_what_cannot_be_seen_is_not_visible() -> None:
    mask = blob(50, 30, 8)
    assert not lesions.visible(head(), head() + 0.01, mask)


def test_bytes_and_floats_are_inverse() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert (lesions.to_bytes(lesions.to_float(values)) == values).all()
    assert lesions.to_bytes(np.array([[-1.0, 2.0]])).tolist() == [[0, 255]]

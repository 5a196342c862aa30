"""What each corruption is, by its definition."""

import numpy as np
import pytest
from scipy import stats

from tumorlens.evaluation.corruptions import kinds


def random() -> np.random.Generator:
    return np.random.default_rng(3)


def test_noise_is_rician() -> None:
    signal, sigma = 0.3, 0.1
    drawn = kinds.noise(np.full((300, 300), signal), sigma, random()).ravel()
    expected = stats.rice(signal / sigma, scale=sigma)
    assert stats.kstest(drawn[::7], expected.cdf).pvalue > 0.01
    air = kinds.noise(np.zeros((300, 300)), sigma, random())
    assert air.mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.02)


def test_bias_field_is_a_smooth_gain_within_its_bound() -> None:
    gain = kinds.bias_field(np.ones((80, 60)), 0.5, random())
    assert np.abs(np.log(gain)).max() == pytest.approx(0.5)
    assert np.abs(np.diff(gain, axis=0)).max() < 0.15


def test_gamma_goes_both_ways_and_keeps_the_ends() -> None:
    image = np.array([[0.0, 0.25, 1.0]])
    curves = [kinds.gamma(image, 0.7, np.random.default_rng(k))[0] for k in range(8)]
    assert {tuple(c[[0, 2]]) for c in curves} == {(0.0, 1.0)}
    expected = {round(0.25 ** np.exp(sign * 0.7), 6) for sign in (-1, 1)}
    assert {round(float(c[1]), 6) for c in curves} == expected


def test_low_resolution_leaves_smaller_images_alone() -> None:
    image = np.random.default_rng(0).random((40, 50))
    assert (kinds.low_resolution(image, 64, random()) == image).all()
    assert kinds.low_resolution(image, 20, random()).shape == (40, 50)
    assert kinds.low_resolution(image, 20, random()).std() < image.std()


def test_ghosts_are_copies_along_one_axis() -> None:
    image = np.zeros((120, 120))
    image[50:70, 50:70] = 1.0
    ghosted = kinds.ghosting(image, 0.8, random())
    outside = ghosted.copy()
    outside[40:80, 40:80] = 0
    rows, columns = outside.max(axis=1) > 0.05, outside.max(axis=0) > 0.05
    assert min(rows.sum(), columns.sum()) <= 25 < max(rows.sum(), columns.sum())


def test_a_head_that_does_not_move_is_not_changed() -> None:
    image = np.random.default_rng(0).random((64, 48))
    assert kinds.motion(image, 0.0, random()) == pytest.approx(image, abs=1e-9)


def test_rotation_loses_nothing() -> None:
    image = np.zeros((60, 60))
    image[5:55, 20:40] = 1.0
    turned = kinds.rotation(image, 45.0, random())
    assert turned.sum() == pytest.approx(image.sum(), rel=0.01)
    assert max(turned.shape) > 60


def test_crop_takes_its_share_of_the_head() -> None:
    image = np.zeros((200, 200))
    image[50:150, 60:140] = 1.0
    cut = kinds.crop(image, 0.25, random())
    assert (cut > 0).sum() == pytest.approx(0.75**2 * 100 * 80, rel=0.06)

"""Slices of several volumes in turns are noticed by how much they resemble each other."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from tumorlens.imaging.samples.slices_in_turns import notes_on_turns, volumes_in_turns

Stack = NDArray[np.float64]


@pytest.fixture
def volume() -> Stack:
    """Slices of a head that changes from slice to slice, (16, 64, 64)."""
    noise = np.random.default_rng(0).normal(0, 1, (16, 64, 64))
    tissue = gaussian_filter(noise, (2, 4, 4))
    across = np.hypot(*np.mgrid[-1:1:64j, -1:1:64j])
    return np.where(across < 0.8, 100 + 800 * tissue, 0)


def in_turns(*volumes: Stack) -> Stack:
    return np.stack(volumes, axis=1).reshape(-1, *volumes[0].shape[1:])


def test_one_volume(volume: Stack) -> None:
    """Also of slices of another brightness each, and of equal, blank or few ones."""
    gains = np.where(np.arange(16) % 2, 1, 5)[:, None, None]
    for stored in (volume, volume[::-1], volume * gains, volume[:1].repeat(16, 0), 0 * volume):
        assert notes_on_turns(stored) == []
    assert volumes_in_turns(in_turns(volume, -volume)[:7]) == 1
    assert volumes_in_turns(volume[:1]) == 1


def test_volumes_in_turns(volume: Stack) -> None:
    other, moved = np.where(volume > 0, 200 - volume, 0), np.roll(volume, 7, axis=1)
    noise = np.random.default_rng(1).normal(100, 30, volume.shape)
    for second in (other, moved, noise):
        assert volumes_in_turns(in_turns(volume, second)) == 2
    mixed = in_turns(volume, other, moved)
    assert notes_on_turns(mixed.astype(np.float32)) == [
        "slices are less like their neighbours than like those 3 further on; 3 volumes may be mixed"
    ]
    with_blanks = np.pad(in_turns(volume, other), ((5, 4), (0, 0), (0, 0)))
    assert volumes_in_turns(with_blanks) == 2

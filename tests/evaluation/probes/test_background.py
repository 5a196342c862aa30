"""Air is what is dark and connected to the border, and nothing else."""

from collections.abc import Callable

import numpy as np
import pytest

from tumorlens.evaluation.probes import background
from tumorlens.evaluation.probes.data import ProbeData
from tumorlens.inference.classifier import Classifier


def test_noise_around_the_head_goes_and_the_head_stays() -> None:
    image = np.random.default_rng(0).integers(0, 30, (60, 60)).astype(np.uint8)
    image[15:45, 15:45] = 150
    image[25:35, 25:35] = 5  # a dark ventricle
    clean = background.blackened(image)
    head = np.zeros((60, 60), dtype=bool)
    head[15:45, 15:45] = True
    assert (clean[~head] == 0).all()
    assert (clean[head] == image[head]).all()


def test_a_narrow_gap_in_the_skull_does_not_let_the_air_in() -> None:
    image = np.zeros((60, 60), dtype=np.uint8)
    image[10:50, 10:50] = 200
    image[13:47, 13:47] = 20
    image[10:13, 30:32] = 0
    assert (background.blackened(image)[16:44, 16:44] == 20).all()


@pytest.mark.parametrize("value", [0, 20, 255])
def test_flat_images(value: int) -> None:
    image = np.full((40, 40), value, dtype=np.uint8)
    assert background.air(image).all() == (value <= background.AIR)


def test_a_head_that_touches_every_border_has_no_air() -> None:
    image = np.full((40, 40), 200, dtype=np.uint8)
    image[18:22, 18:22] = 0
    assert not background.air(image).any()


def test_black_air_changes_nothing(
    brightness_classifier: Classifier, take: Callable[..., ProbeData]
) -> None:
    data = take(brightness_classifier, 4)
    assert data.correct.all()
    found = background.outcome(data)
    assert set(found.values) == set(background.PROBE.rates)
    assert found.values["changed"].tolist() == [0.0] * 8
    assert found.values["correct"].tolist() == [1.0] * 8

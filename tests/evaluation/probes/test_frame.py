"""A network that looks at the frame is found out; one that does not is not accused."""

from collections.abc import Callable

import numpy as np

from tumorlens.datasets.controls import inside_frame
from tumorlens.evaluation.probes import frame
from tumorlens.evaluation.probes.data import ProbeData
from tumorlens.inference.classifier import Classifier


def test_frame_and_inside_make_the_whole() -> None:
    images = np.random.default_rng(0).integers(1, 255, (3, 50, 50)).astype(np.uint8)
    only, removed = frame.only(images), frame.removed(images)
    assert (only + removed == images).all()
    assert (only[:, 4:-4, 4:-4] == 0).all()
    assert (removed[:, 4:-4, 4:-4] > 0).all()
    assert (removed[:, :4] == 0).all()


def test_a_network_that_sees_nothing_but_the_frame(
    linear_classifier: Callable[..., Classifier], take: Callable[..., ProbeData]
) -> None:
    weights = np.zeros((4, 64, 64))
    weights[0] = np.where(inside_frame(64), 0.0, 10_000.0)
    found = frame.outcome(take(linear_classifier(weights, np.array([0.0, -9, 0.1, -9])), 6))
    assert found.values["removed_changed"].mean() == 1.0


def test_a_network_that_sees_nothing_of_the_frame(
    linear_classifier: Callable[..., Classifier], take: Callable[..., ProbeData]
) -> None:
    weights = np.zeros((4, 64, 64))
    weights[0] = np.where(inside_frame(64), 100.0, 0.0)
    data = take(linear_classifier(weights, np.array([0.0, -99, 23, -99])), 6)
    found = frame.outcome(data)
    assert found.values["removed_changed"].mean() == 0.0
    assert found.values["removed_correct"].tolist() == data.correct.tolist()
    healthy = data.labels == 2
    assert np.isnan(found.values["removed_missed"][healthy]).all()
    # Without its inside every head is dark, so each is answered with no tumour.
    assert (found.values["only_correct"] == healthy).all()


def test_every_rate_is_filled(
    brightness_classifier: Classifier, take: Callable[..., ProbeData]
) -> None:
    found = frame.outcome(take(brightness_classifier, 3))
    assert set(found.values) == set(frame.PROBE.rates)
    assert all(len(column) == 6 for column in found.values.values())

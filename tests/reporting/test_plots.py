"""The figures draw whatever they are given."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.evaluation.resampling import Sampling
from tumorlens.evaluation.selective import Selective, selective
from tumorlens.imaging import reader
from tumorlens.labels import ANSWERABLE
from tumorlens.reporting import plots

Answers = tuple[NDArray[np.int64], NDArray[np.float64]]


def answers(classes: tuple[int, ...], count: int) -> Answers:
    generator = np.random.default_rng(0)
    labels = generator.choice(classes, size=count)
    exponents = np.exp(generator.normal(size=(count, 4)) + 3 * np.eye(4)[labels])
    return labels, exponents / exponents.sum(axis=1, keepdims=True)


def sure(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Selective:
    groups = [str(i) for i in range(len(labels))]
    return selective(labels, probabilities, groups, Sampling(100, 0))


def test_tumours_of_unknown_kind_have_a_row() -> None:
    labels, probabilities = answers((0, 1, 2, 3), 60)
    predicted = probabilities.argmax(axis=1)
    without = reader.read_bytes(plots.confusion_png(labels, predicted))
    labels[:20] = ANSWERABLE.index("tumor")
    image = reader.read_bytes(plots.confusion_png(labels, predicted))
    assert (image.pixels != without.pixels).any()
    assert plots.roc_png(labels, probabilities)


@pytest.mark.parametrize("given", [answers((0, 1, 2, 3), 200), answers((2,), 3), answers((0,), 1)])
def test_every_figure_is_an_image(given: Answers) -> None:
    labels, probabilities = given
    for png in (
        plots.confusion_png(labels, probabilities.argmax(axis=1)),
        plots.reliability_png(labels, probabilities),
        plots.roc_png(labels, probabilities),
        plots.selective_png(sure(labels, probabilities)),
    ):
        image = reader.read_bytes(png)
        assert min(image.width, image.height) > 400
        assert image.pixels.std() > 5


def test_no_empty_detail_of_the_roc_curves() -> None:
    labels = np.array([0, 0, 2, 2])
    shares = np.full((4, 4), 0.25)
    chance = plots.roc_png(labels, shares)
    right = plots.roc_png(labels, np.eye(4)[labels])
    assert reader.read_bytes(chance).width < 0.7 * reader.read_bytes(right).width


def test_equal_answers_are_equal_bytes() -> None:
    labels, probabilities = answers((0, 1, 2, 3), 50)
    assert plots.roc_png(labels, probabilities) == plots.roc_png(labels, probabilities)


def test_wilson_intervals() -> None:
    z = 3.841459  # squared, of 95%
    low, high = plots.wilson(np.array([0.0, 0.5, 1.0]), np.array([4.0, 4.0, 7.0]))
    half = 0.5 * np.sqrt(z / (4 + z))
    assert low == pytest.approx([0, 0.5 - half, 7 / (7 + z)], abs=1e-5)
    assert high == pytest.approx([z / (4 + z), 0.5 + half, 1], abs=1e-5)

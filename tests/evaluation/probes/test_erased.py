"""A network that looks at the tumour notices that it is gone."""

from collections.abc import Callable

import numpy as np

from tumorlens.evaluation.probes import erased
from tumorlens.evaluation.probes.data import ProbeData
from tumorlens.inference.classifier import Classifier


def test_a_network_that_looks_at_the_tumour(
    brightness_classifier: Classifier, take: Callable[..., ProbeData]
) -> None:
    data = take(brightness_classifier, 6)
    assert data.correct.all()
    found = erased.outcome(data)
    ill = data.labels == 0
    assert set(found.values) == set(erased.PROBE.rates)
    assert found.values["leaves"][ill].tolist() == [1.0] * 6
    assert found.values["healthy"][ill].tolist() == [1.0] * 6
    assert np.isnan(found.values["leaves"][~ill]).all()
    assert len(found.examples) == 6
    assert found.examples[0].before_text == "is glioma, answered glioma"
    assert found.examples[0].after_text == "erased: answered no tumour"


def test_a_network_that_does_not(
    linear_classifier: Callable[..., Classifier], take: Callable[..., ProbeData]
) -> None:
    always = linear_classifier(np.zeros((4, 64, 64)), np.array([9.0, 0, 0, 0]))
    found = erased.outcome(take(always, 3))
    assert np.nanmean(found.values["leaves"]) == 0.0


def test_wrong_answers_cannot_leave_the_class(
    linear_classifier: Callable[..., Classifier], take: Callable[..., ProbeData]
) -> None:
    never = linear_classifier(np.zeros((4, 64, 64)), np.array([0.0, 0, 9, 0]))
    found = erased.outcome(take(never, 3))
    assert np.isnan(found.values["leaves"]).all()
    assert found.examples == ()

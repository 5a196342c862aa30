"""A network that looks at the tumour notices that it was put in."""

import dataclasses
from collections.abc import Callable

import numpy as np

from tumorlens.evaluation.probes import pasted
from tumorlens.evaluation.probes.data import ProbeData
from tumorlens.inference.classifier import Classifier


def test_a_network_that_looks_at_the_tumour(
    brightness_classifier: Classifier, take: Callable[..., ProbeData]
) -> None:
    data = take(brightness_classifier, 6)
    found = pasted.outcome(data)
    healthy = data.labels == 2
    assert set(found.values) == set(pasted.PROBE.rates)
    for name, expected in (("tumor", 1.0), ("class", 1.0), ("control", 0.0)):
        assert found.values[name][healthy].tolist() == [expected] * 6, name
        assert np.isnan(found.values[name][~healthy]).all()
    assert found.examples[0].after_text == "glioma pasted: answered glioma"


def test_same_images_same_grafts(
    brightness_classifier: Classifier, take: Callable[..., ProbeData]
) -> None:
    data = take(brightness_classifier, 3)
    first, second = pasted.outcome(data), pasted.outcome(data)
    for one, other in zip(first.examples, second.examples, strict=True):
        assert (one.after == other.after).all()


def test_without_outlines_nothing_is_pasted(
    brightness_classifier: Classifier, take: Callable[..., ProbeData]
) -> None:
    data = take(brightness_classifier, 3)
    blank = dataclasses.replace(data, masks=np.zeros_like(data.masks))
    found = pasted.outcome(blank)
    assert np.isnan(found.values["tumor"]).all()
    assert found.examples == ()

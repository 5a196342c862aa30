"""The linear probe tells sources that the features tell, and no others."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from tumorlens.evaluation.probes import source
from tumorlens.evaluation.probes.data import ProbeData
from tumorlens.evaluation.resampling import Sampling
from tumorlens.inference.classifier import Classifier

FEW = Sampling(100, 0)


@pytest.fixture(scope="module")
def data(brightness_classifier: Classifier, take: Callable[..., ProbeData]) -> ProbeData:
    """80 heads; sources alternate in both classes, and one of them lies a little brighter."""
    found = take(brightness_classifier, 40)
    records = [
        dataclasses.replace(record, source="east" if i % 4 < 2 else "west")
        for i, record in enumerate(found.records)
    ]
    images = found.images.copy()
    bright = np.array([record.source == "east" for record in records])
    images[bright] = np.minimum(images[bright].astype(int) + 60, 255).astype(np.uint8)
    return dataclasses.replace(found, records=tuple(records), images=images)


def test_a_source_that_can_be_seen_is_told(data: ProbeData) -> None:
    found = source.find([data], FEW)
    names = [rate.name for rate in found.rates]
    assert names == ["within_glioma", "within_no_tumour", "tumour_and_healthy_balanced"]
    for rate in found.rates:
        assert rate.estimate.value > 0.9, rate
        assert rate.wanted == "chance, 50%"
        assert rate.title.endswith("east vs west")
    assert [rate.images for rate in found.rates] == [40, 40, 80]


def test_a_source_that_cannot_be_seen_is_not(
    data: ProbeData, brightness_classifier: Classifier, take: Callable[..., ProbeData]
) -> None:
    same = dataclasses.replace(data, images=take(brightness_classifier, 40).images)
    rates = {r.name: r.estimate.value for r in source.find([same], FEW).rates}
    assert rates["tumour_and_healthy_balanced"] == pytest.approx(0.5, abs=0.2)


def test_classes_of_one_source_are_not_probed(
    brightness_classifier: Classifier, take: Callable[..., ProbeData]
) -> None:
    found = source.find([take(brightness_classifier, 25)], FEW)
    assert found.rates == ()
    assert "Not run" in found.description


def test_two_rounds_are_pooled(data: ProbeData) -> None:
    found = source.find([data, data], FEW)
    assert [rate.images for rate in found.rates] == [80, 80, 160]

"""Probes of bundles with other classes: in their words, and only where they have a meaning."""

import dataclasses
from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from tumorlens.bundle import Bundle
from tumorlens.datasets.manifest import Manifest
from tumorlens.errors import DatasetError
from tumorlens.evaluation.probes import data, erased, frame, pasted, source
from tumorlens.evaluation.probes.data import ProbeData
from tumorlens.evaluation.probes.result import ask
from tumorlens.evaluation.probes.run import PROBES
from tumorlens.evaluation.resampling import Sampling
from tumorlens.inference.classifier import Classifier
from tumorlens.labels import ClassInfo, ClassSet

FEW = Sampling(100, 0)
MEMBERS = tuple(
    ClassInfo(name=name, display_name=name) for name in ("cyst", "abscess", "plain head", "clot")
)
Make = Callable[..., ProbeData]


@pytest.fixture(scope="module")
def own(brightness_classifier: Classifier, take: Make) -> Make:
    """Makes heads with and without a bright cyst, for a network of other classes."""

    def make(no_finding: str | None, count: int = 6) -> ProbeData:
        given = brightness_classifier.bundle
        classes = ClassSet(members=MEMBERS, no_finding=no_finding, finding="anomaly")
        info = msgspec.structs.replace(given.info, classes=classes)
        return take(Classifier(Bundle(info, given.model), threads=1), count)

    return make


def test_every_probe_speaks_of_the_own_classes(own: Make) -> None:
    found = [ask(probe, [own("plain head")], FEW) for probe in PROBES]
    for one in found:
        texts = [one.title, one.description, *(rate.title for rate in one.rates)]
        texts += [text for e in one.examples for text in (e.before_text, e.after_text)]
        assert not [text for text in texts if "umour" in text or "{" in text]
        assert one.rates
    by_title = {rate.title: rate.estimate.value for one in found for rate in one.rates}
    assert by_title["answered with plain head"] == 1.0
    assert by_title["answered with an anomaly"] == 1.0
    assert "anomalies missed without the frame" in by_title
    assert found[2].title == "Anomaly erased"
    assert found[2].examples[0].after_text == "erased: answered plain head"
    assert found[3].examples[0].after_text == "cyst pasted: answered cyst"


def test_without_a_no_finding_the_others_still_run(own: Make) -> None:
    heads = own(None)
    assert [rate.name for rate in ask(frame.PROBE, [heads], FEW).rates] == [
        "only_correct", "removed_changed", "removed_correct",
    ]  # fmt: skip
    for probe in (erased.PROBE, pasted.PROBE):
        found = ask(probe, [heads], FEW)
        assert found.rates == ()
        assert found.description.endswith(
            "Not run: none of the classes means that there is no finding."
        )


def test_without_outlines_it_is_said(own: Make) -> None:
    heads = own("plain head")
    blank = dataclasses.replace(heads, masks=np.zeros_like(heads.masks))
    for probe in (erased.PROBE, pasted.PROBE):
        assert "Not run: no image has an outline" in ask(probe, [blank], FEW).description
    assert ask(erased.PROBE, [blank, heads], FEW).rates


def test_sources_keep_their_whole_names(own: Make) -> None:
    heads = own("plain head", 40)
    names = ("St Mary", "St John")
    records = [dataclasses.replace(r, source=names[i % 4 < 2]) for i, r in enumerate(heads.records)]
    found = source.find([dataclasses.replace(heads, records=tuple(records))], FEW)
    assert [rate.title for rate in found.rates] == [
        f"{stratum}: St John vs St Mary"
        for stratum in ("within cyst", "within plain head", "anomaly and healthy balanced")
    ]


def test_labels_that_the_bundle_does_not_know_are_refused(own: Make) -> None:
    heads = own("plain head")
    manifest = Manifest(heads.records, None)  # type: ignore[arg-type]
    with pytest.raises(
        DatasetError, match="12 images are labelled glioma, notumor, but the bundle"
    ):
        data.load(heads.classifier, manifest, ["test"] * 12, "test")

"""Errors on corrupted images, and their ratio to a reference's."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tumorlens import bundle
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import Split
from tumorlens.errors import EvaluationError
from tumorlens.evaluation.corruptions import run
from tumorlens.evaluation.corruptions.registry import CORRUPTIONS
from tumorlens.evaluation.folds import Fold
from tumorlens.evaluation.resampling import Sampling
from tumorlens.imaging import reader
from tumorlens.inference.classifier import Classifier
from tumorlens.reporting import corruption_figures as figures


@pytest.fixture(scope="module")
def rival(
    tiny_bundle: Path, tiny_onnx: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory
) -> Classifier:
    """A network that answers otherwise."""
    info = msgspec.structs.replace(bundle.load(tiny_bundle).info, name="rival")
    folder = tmp_path_factory.mktemp("rival")
    return Classifier(bundle.save(folder, info, tiny_onnx(scale=-3.0)), threads=1)


@pytest.fixture(scope="module")
def found(
    classifier: Classifier, rival: Classifier, phantom_set: Manifest, clean_split: Split
) -> run.Corruptions:
    folds = [Fold(classifier, tuple(clean_split.parts(phantom_set)))]
    return run.corrupt(
        folds, phantom_set, "test", images=6, reference=rival, sampling=Sampling(100, 0)
    )


def test_errors_are_those_of_the_classifier(
    found: run.Corruptions, classifier: Classifier, phantom_set: Manifest, clean_split: Split
) -> None:
    records = Fold(classifier, tuple(clean_split.parts(phantom_set))).scored(phantom_set, "test")
    noise = CORRUPTIONS[0]
    wrong = 0
    for record in (records[i] for i in run.choose(records, 6)):
        pixels = reader.read(phantom_set.file(record)).pixels
        answer = classifier.predict(noise(pixels, 4, record.sha256))
        wrong += answer.label != record.label
    assert found.rows[0].errors[3] == pytest.approx(wrong / 6)
    assert found.images == 6


def test_a_reference_of_other_classes_is_refused(
    classifier: Classifier, forty_bundle: Path, phantom_set: Manifest, clean_split: Split
) -> None:
    folds = [Fold(classifier, tuple(clean_split.parts(phantom_set)))]
    other = Classifier.load(forty_bundle, threads=1)
    with pytest.raises(EvaluationError, match="reference forty has other classes than tiny"):
        run.corrupt(
            folds, phantom_set, "test", images=6, reference=other, sampling=Sampling(100, 0)
        )


def test_classes_are_drawn_evenly(
    classifier: Classifier, phantom_set: Manifest, clean_split: Split
) -> None:
    records = Fold(classifier, tuple(clean_split.parts(phantom_set))).scored(phantom_set, "test")
    chosen = run.choose(records, 8)
    labels = [records[i].label for i in chosen]
    assert all(labels.count(name) == 2 for name in set(labels))
    assert chosen == run.choose(records, 8)
    assert len(run.choose(records, 10_000)) == clean_split.info.counts["test"]


def test_relative_error_is_the_ratio_of_sums(found: run.Corruptions) -> None:
    assert found.reference is not None
    for k, row in enumerate(found.rows):
        total = found.reference.table[k].sum()
        if total:
            assert row.relative == pytest.approx(found.own.table[k].sum() / total)
    defined = [row.relative for row in found.rows if row.relative is not None]
    assert found.relative == pytest.approx(np.mean(defined))
    assert found.mean_error.value == pytest.approx(found.own.table.mean())


def test_the_record_is_json(found: run.Corruptions) -> None:
    record = msgspec.json.decode(msgspec.json.encode(run.as_dict(found)))
    assert set(record["corruptions"]) == {c.name for c in CORRUPTIONS}
    assert record["reference"]["name"] == "rival"
    assert len(record["corruptions"]["blur"]["errors"]) == 5


def test_figures_are_images(found: run.Corruptions, phantom_set: Manifest) -> None:
    for png in (figures.errors_png(found), figures.examples_png(found, phantom_set, 64)):
        image = reader.read_bytes(png)
        assert image.width > 1000
        assert image.pixels.std() > 5


def test_without_a_reference_errors_are_absolute(
    classifier: Classifier, phantom_set: Manifest, clean_split: Split
) -> None:
    folds = [Fold(classifier, tuple(clean_split.parts(phantom_set)))]
    alone = run.corrupt(
        folds, phantom_set, "test", images=2, reference=None, sampling=Sampling(100, 0)
    )
    assert alone.relative is None
    assert run.as_dict(alone)["mean_corruption_error"] is None
    assert all(row.relative is None for row in alone.rows)


def test_corruption_error_is_the_mean_ratio_where_we_err() -> None:
    empty = np.zeros((10, 5))
    ours, theirs = empty.copy(), empty.copy()
    ours[0], theirs[0] = 0.1, 0.2  # twice ours
    ours[1], theirs[1] = 0.4, 0.2  # half of ours
    theirs[2] = 0.5  # ours makes no error: no ratio
    made = [run.Errors(name, 0.0, table, empty) for name, table in (("o", ours), ("t", theirs))]
    assert made[1].mean_over(made[0]) == pytest.approx(1.25)
    assert made[1].mean_over(run.Errors("o", 0.0, empty, empty)) is None

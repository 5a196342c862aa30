"""Bundles are matched to what they never saw by their record, not by their order."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tumorlens import bundle
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import Split, SplitRow
from tumorlens.errors import DatasetError, EvaluationError
from tumorlens.evaluation import folds
from tumorlens.evaluation.evaluator import evaluate
from tumorlens.evaluation.record import as_dict, predictions_csv
from tumorlens.evaluation.resampling import Sampling
from tumorlens.evaluation.training_images import TrainingImages
from tumorlens.inference.classifier import Classifier

Trained = Callable[..., Classifier]
FEW = Sampling(100, 0)


@pytest.fixture(scope="module")
def trained(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A bundle with a record of training."""
    tiny = bundle.load(tiny_bundle)

    def make(name: str, **training: Any) -> Classifier:
        info = msgspec.structs.replace(tiny.info, name=name, training=training)
        return Classifier(bundle.save(tmp_path_factory.mktemp("b"), info, tiny.model), threads=1)

    return make


@pytest.fixture(scope="module")
def cv(phantom_set: Manifest) -> Split:
    """Three folds by patient."""
    numbers = {g: i % 3 for i, g in enumerate(sorted({r.group for r in phantom_set}))}
    rows = [SplitRow(r.sha256, r.label, r.group, f"fold{numbers[r.group]}") for r in phantom_set]
    return splits.build("mine-cv", "for tests", rows, disjoint=True)


@pytest.fixture(scope="module")
def of_folds(cv: Split, trained: Trained) -> list[Classifier]:
    """One bundle for each fold, the last first."""
    made = []
    for k in (2, 0, 1):
        info = cv.fold(k).info
        made.append(trained(f"fold-{k}", split={"name": info.name, "sha256": info.sha256}))
    return made


def test_every_image_is_scored_once_by_the_bundle_that_did_not_see_it(
    of_folds: list[Classifier], cv: Split, phantom_set: Manifest
) -> None:
    plan = folds.cross_validation(of_folds, cv, phantom_set)
    assert [one.name for one in plan.folds] == ["fold 0", "fold 1", "fold 2"]
    assert [one.classifier.model.name for one in plan.folds] == ["fold-0", "fold-1", "fold-2"]
    assert plan.missing == ()
    found = evaluate(plan, phantom_set, sampling=FEW)
    assert sorted(r.path for r in found.records) == sorted(r.path for r in phantom_set)
    fold_of = {row.group: row.part for row in cv.rows}
    for record, name in zip(found.records, found.folds, strict=True):
        assert name == fold_of[record.group].replace("fold", "fold ")
    by_fold = found.breakdowns[0]
    assert by_fold.field == "fold"
    assert sum(row.images for row in by_fold.rows) == len(phantom_set)
    right = np.array(by_fold.accuracies) @ [row.images for row in by_fold.rows]
    assert found.estimates["accuracy"].value == pytest.approx(right / len(phantom_set))
    assert by_fold.means["accuracy"].value == pytest.approx(np.mean(by_fold.accuracies))
    assert {len(control.predicted) for control in found.controls} == {len(phantom_set)}


def test_the_record_names_every_bundle(
    of_folds: list[Classifier], cv: Split, phantom_set: Manifest
) -> None:
    plan = folds.cross_validation(of_folds, cv, phantom_set)
    found = evaluate(plan, phantom_set, sampling=FEW, with_controls=False)
    record = as_dict(found)
    assert [r["name"] for r in record["folds"]] == ["fold-0", "fold-1", "fold-2"]
    assert record["quotable"] is True
    assert record["warnings"] == []
    over = record["accuracy_over_folds"]
    assert set(over) == {"mean", "low", "high", "deviation"}
    assert over["low"] <= over["mean"] <= over["high"]
    header = predictions_csv(found).decode().splitlines()[0]
    assert header.endswith(",fold")


def test_one_bundle_of_several_that_saw_its_images_is_no_clean_result(
    of_folds: list[Classifier], cv: Split, phantom_set: Manifest, trained: Trained
) -> None:
    listed = TrainingImages.from_records(phantom_set).listed
    _, *others = of_folds
    info = cv.fold(2).info
    seen = trained("seen", split={"name": info.name, "sha256": info.sha256}, seen_images=listed)
    plan = folds.cross_validation([seen, *others], cv, phantom_set)
    found = evaluate(plan, phantom_set, sampling=FEW, with_controls=False)
    assert found.training_overlap.images == sum(name == "fold 2" for name in found.folds) > 0
    assert not found.quotable


def test_missing_folds_are_said(
    of_folds: list[Classifier], cv: Split, phantom_set: Manifest
) -> None:
    plan = folds.cross_validation(of_folds[:2], cv, phantom_set)
    assert plan.missing == ("fold 1",)
    found = evaluate(plan, phantom_set, sampling=FEW, with_controls=False)
    [warning] = found.warnings
    assert "fold 1" in warning.text


def test_bundles_of_no_fold_or_the_same_fold_are_refused(
    of_folds: list[Classifier], cv: Split, phantom_set: Manifest, trained: Trained
) -> None:
    with pytest.raises(EvaluationError, match="two bundles were trained with fold 2"):
        folds.cross_validation([of_folds[0], of_folds[0]], cv, phantom_set)
    stranger = trained("stranger", split={"name": "clean", "sha256": "0"})
    with pytest.raises(EvaluationError, match="stranger: was trained with the split clean"):
        folds.cross_validation([stranger], cv, phantom_set)
    with pytest.raises(EvaluationError, match="does not state its split"):
        folds.cross_validation([trained("silent")], cv, phantom_set)


def test_clean_is_the_first_fold_of_clean_cv(trained: Trained) -> None:
    info = splits.load("clean").info
    one = trained("clean", split={"name": "clean", "sha256": info.sha256})
    hashes = {splits.load(f"clean-cv:{k}").info.sha256: k for k in range(5)}
    assert hashes[one.bundle.info.training["split"]["sha256"]] == 0
    assert folds.fold_numbers(splits.load("clean-cv")) == list(range(5))
    assert folds.fold_numbers(splits.load("patient-cv")) == list(range(5))
    assert not folds.fold_numbers(splits.load("clean"))


@pytest.fixture(scope="module")
def sourced(phantom_set: Manifest) -> Manifest:
    """The phantoms, by patient from two sources; the second is of a family."""
    numbers = {g: i % 2 for i, g in enumerate(sorted({r.group for r in phantom_set}))}
    records = [
        dataclasses.replace(r, source="west", family="coast")
        if numbers[r.group]
        else dataclasses.replace(r, source="east")
        for r in phantom_set
    ]
    return Manifest(tuple(records), phantom_set.folder)


def test_each_source_is_scored_by_the_bundle_that_left_it_out(
    trained: Trained, sourced: Manifest
) -> None:
    bundles = [
        trained("no-coast", held_out_sources=["coast"]),
        trained("no-east", held_out_sources=["east"]),
    ]
    plan = folds.leave_one_source_out(bundles, sourced)
    found = evaluate(plan, sourced, sampling=FEW, with_controls=False)
    names = {(record.source, name) for record, name in zip(found.records, found.folds, strict=True)}
    assert names == {("west", "coast"), ("east", "east")}
    # Each distinct image once.
    pixels = [record.pixel_sha256 for record in found.records]
    assert len(set(pixels)) == len(pixels) < len(sourced)
    assert [b.field for b in found.breakdowns][:2] == ["fold", "source"]
    assert as_dict(found)["quotable"] is True
    assert found.protocol.name == "leave-one-source-out"


def test_a_copy_saved_again_is_not_scored_twice(
    classifier: Classifier, phantom_set: Manifest
) -> None:
    first, second = phantom_set.records[:2]
    copy = dataclasses.replace(second, pixel_sha256=first.pixel_sha256)
    plan = folds.external(classifier, Manifest((first, copy), phantom_set.folder))
    assert plan.folds[0].parts == ("test", "excluded")
    split = folds.every_image(Manifest((first, copy), phantom_set.folder))
    assert split.parts(Manifest((first, copy), phantom_set.folder)) == ["test", "excluded"]


def test_a_bundle_that_left_nothing_out_is_refused(trained: Trained, sourced: Manifest) -> None:
    with pytest.raises(EvaluationError, match="without a held-out source"):
        folds.leave_one_source_out([trained("all", held_out_sources=[])], sourced)
    with pytest.raises(EvaluationError, match="contains no image of north"):
        folds.leave_one_source_out([trained("n", held_out_sources=["north"])], sourced)
    with pytest.raises(EvaluationError, match="two bundles were trained without east"):
        folds.leave_one_source_out([trained("e", held_out_sources=["east"])] * 2, sourced)


def test_partial_labels_and_other_diseases(classifier: Classifier, phantom_set: Manifest) -> None:
    records = list(phantom_set.records[:12])
    tumors = [i for i, r in enumerate(records) if r.label != "notumor"]
    records[tumors[0]] = dataclasses.replace(records[tumors[0]], label="tumor")
    records[3 if tumors[0] != 3 else 4] = dataclasses.replace(records[5], label="other_pathology")
    manifest = Manifest(tuple(records), phantom_set.folder)
    plan = folds.external(classifier, manifest)
    found = evaluate(plan, manifest, sampling=FEW)
    assert len(found.others.records) == 1
    assert "other_pathology" not in {record.label for record in found.records}
    record = as_dict(found)
    assert sum(record["answers"]["other_pathology"].values()) == 1
    assert sum(record["answers"]["tumor"].values()) == 1
    assert len(found.decided.label) == len(found.records)
    assert record["n"] == len(found.records)
    row = next(i for i, r in enumerate(found.records) if r.label == "tumor")
    assert found.correct[row] == (found.predicted[row] != 2)
    only = Manifest((dataclasses.replace(records[0], label="other_pathology"),), manifest.folder)
    with pytest.raises(DatasetError, match="label that has a correct answer"):
        evaluate(folds.external(classifier, only), only)

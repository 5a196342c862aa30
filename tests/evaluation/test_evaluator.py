"""Scoring a real classifier on real files."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, log_loss
from tests.answers import told

from tumorlens import bundle
from tumorlens.bundle import DecisionRule, Thresholds
from tumorlens.datasets.importers import import_folder
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import Split, build
from tumorlens.errors import DatasetError
from tumorlens.evaluation import evaluator
from tumorlens.evaluation.evaluator import Evaluation
from tumorlens.evaluation.folds import EvaluationPlan, Fold
from tumorlens.evaluation.resampling import Sampling
from tumorlens.imaging import reader
from tumorlens.inference.classifier import Classifier
from tumorlens.labels import CLASSES

FEW = Sampling(100, 0)


def evaluate(
    classifier: Classifier, manifest: Manifest, parts: list[str], **settings: Any
) -> Evaluation:
    plan = EvaluationPlan(build("", "", [], False), (Fold(classifier, tuple(parts)),))
    return evaluator.evaluate(plan, manifest, **settings)


@pytest.fixture(scope="module")
def leaky(classifier: Classifier, phantom_set: Manifest, leaky_split: Split) -> Evaluation:
    return evaluate(classifier, phantom_set, leaky_split.parts(phantom_set), sampling=FEW)


def test_probabilities_are_those_that_users_get(
    leaky: Evaluation, classifier: Classifier, phantom_set: Manifest
) -> None:
    for i in (0, len(leaky.records) - 1):
        answer = classifier.predict(phantom_set.file(leaky.records[i]))
        assert leaky.probabilities[i] == pytest.approx(list(told(answer).values()))
        assert CLASSES[leaky.predicted[i]] == answer.label
        assert CLASSES[leaky.labels[i]] == leaky.records[i].label


def test_images_are_decided_as_they_are_answered(
    tiny_bundle: Path,
    head: NDArray[np.uint8],
    write_dicom: Callable[..., bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the thresholds of the sequence, which here only the header tells; it is read once."""
    made = bundle.load(tiny_bundle)
    never = Thresholds(tumor_threshold=1.0, notumor_threshold=1.0)
    rule = DecisionRule(by_sequence={"T1": never})
    made = dataclasses.replace(made, info=msgspec.structs.replace(made.info, decision=rule))
    for k, words in enumerate(("T1 axial", "FLAIR axial", "T1 coronal")):
        # The first is taken for an image until it is read.
        place = tmp_path / "glioma" / f"{k}.{'dcm' if k else 'png'}"
        place.parent.mkdir(exist_ok=True)
        one = head.astype(np.uint16) + k
        place.write_bytes(write_dicom(one, SeriesDescription=words, SOPInstanceUID=f"1.2.{k}"))
    manifest = import_folder(tmp_path, tmp_path / "manifest.csv", mapping={"glioma": "glioma"})
    opened: list[str] = []
    load = reader.load_file

    def counting(path: str | Path) -> bytes:
        opened.append(Path(path).name)
        return load(path)

    monkeypatch.setattr(reader, "load_file", counting)
    found = evaluate(
        Classifier(made, threads=1, answer_all=True), manifest, ["test"] * 3,
        with_controls=False, sampling=FEW,
    )  # fmt: skip
    assert sorted(opened) == ["0.png", "1.dcm", "2.dcm"]
    served = Classifier(made, threads=1)
    told = [served.predict(manifest.file(record)).decision for record in manifest]
    assert found.decided.names.tolist() == told == ["abstained", "classified", "abstained"]


def test_scores_the_part_and_nothing_else(
    leaky: Evaluation, phantom_set: Manifest, leaky_split: Split
) -> None:
    parts = leaky_split.parts(phantom_set)
    expected = [r for r, name in zip(phantom_set, parts, strict=True) if name == "test"]
    assert list(leaky.records) == expected
    assert leaky.measured[0].images == leaky_split.info.counts["test"]
    assert leaky.measured[0].groups == len({r.group for r in expected})


def test_metrics_are_of_the_probabilities(leaky: Evaluation) -> None:
    estimates = leaky.estimates
    assert estimates["accuracy"].value == accuracy_score(leaky.labels, leaky.predicted)
    assert estimates["log_loss"].value == pytest.approx(
        log_loss(leaky.labels, leaky.probabilities, labels=range(4))
    )
    for name in ("accuracy", "log_loss", "brier_score"):
        low, value, high = estimates[name].low, estimates[name].value, estimates[name].high
        assert low <= value <= high


def test_subsets_leave_out_twins_and_known_groups(
    leaky: Evaluation, phantom_set: Manifest, leaky_split: Split
) -> None:
    pairs = list(zip(phantom_set, leaky_split.parts(phantom_set), strict=True))
    pixels = {r.pixel_sha256 for r, name in pairs if name != "test"}
    groups = {r.group for r, name in pairs if name != "test"}
    by_name = {measured.subset.name: measured for measured in leaky.measured}
    assert list(by_name) == ["all", "without_duplicates", "unseen_groups"]
    alone = [r.pixel_sha256 not in pixels for r in leaky.records]
    new = [r.group not in groups for r in leaky.records]
    assert by_name["without_duplicates"].subset.member.tolist() == alone
    assert by_name["unseen_groups"].subset.member.tolist() == new
    right = leaky.predicted == leaky.labels
    assert (
        by_name["without_duplicates"].estimates["accuracy"].value == right[np.array(alone)].mean()
    )
    assert 0 < sum(new) < sum(alone) < len(alone)


def test_a_clean_split_has_no_subsets_and_excluded_images_are_not_scored(
    classifier: Classifier, phantom_set: Manifest, clean_split: Split
) -> None:
    parts = clean_split.parts(phantom_set)
    assert "excluded" in parts
    found = evaluate(classifier, phantom_set, parts, sampling=FEW, with_controls=False)
    assert [measured.subset.name for measured in found.measured] == ["all"]
    assert len(found.records) == parts.count("test")
    assert found.controls == ()


def test_controls_answer_for_the_same_images(
    leaky: Evaluation, phantom_set: Manifest, leaky_split: Split
) -> None:
    assert {control.name for control in leaky.controls} == {"hash_neighbour", "frame_classifier"}
    for control in leaky.controls:
        right = control.predicted == leaky.labels
        assert control.accuracy["all"].value == right.mean()
        for measured in leaky.measured:
            inside = right[measured.subset.member]
            assert control.accuracy[measured.subset.name].value == pytest.approx(inside.mean())
    pairs = zip(phantom_set, leaky_split.parts(phantom_set), strict=True)
    train = {r.pixel_sha256 for r, name in pairs if name == "train"}
    twins = np.array([r.pixel_sha256 in train for r in leaky.records])
    assert twins.any()
    assert (leaky.controls[0].predicted[twins] == leaky.labels[twins]).all()


def test_controls_need_images_to_be_fitted_on(
    classifier: Classifier, phantom_set: Manifest
) -> None:
    records = phantom_set.records[:6]
    few = Manifest(records, phantom_set.folder)
    assert evaluate(classifier, few, ["test"] * 6, sampling=FEW).controls == ()
    assert evaluate(classifier, few, ["train"] * 6, part="train", sampling=FEW).controls == ()


def test_mistakes_come_most_confident_first(leaky: Evaluation) -> None:
    found = leaky.mistakes(5)
    assert len(found) == 5
    assert (leaky.predicted[found] != leaky.labels[found]).all()
    confidence = leaky.probabilities.max(axis=1)
    assert (np.diff(confidence[found]) <= 0).all()
    assert len(leaky.mistakes(10_000)) == (leaky.predicted != leaky.labels).sum()


def test_same_seed_same_intervals(
    leaky: Evaluation, classifier: Classifier, phantom_set: Manifest, leaky_split: Split
) -> None:
    parts = leaky_split.parts(phantom_set)
    again = evaluate(classifier, phantom_set, parts, sampling=FEW, with_controls=False)
    for name, estimate in leaky.estimates.items():
        assert again.estimates[name] == pytest.approx(estimate, nan_ok=True)
    other = evaluate(classifier, phantom_set, parts, sampling=Sampling(100, 1), with_controls=False)
    assert other.estimates["log_loss"].low != leaky.estimates["log_loss"].low


def test_files_that_cannot_be_read_are_named(
    classifier: Classifier, phantom_set: Manifest, tmp_path: Path
) -> None:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    good = dataclasses.replace(
        phantom_set.records[0], path=str(phantom_set.file(phantom_set.records[0]))
    )
    bad = [dataclasses.replace(good, path=name) for name in ("torn.png", "gone.png")]
    manifest = Manifest((good, *bad), tmp_path)
    with pytest.raises(DatasetError, match=r"2 of 3 images cannot be scored.*torn\.png.*gone\.png"):
        evaluate(classifier, manifest, ["test"] * 3)


def test_a_file_that_cannot_be_read_outside_the_part_is_no_matter(
    classifier: Classifier, phantom_set: Manifest, tmp_path: Path
) -> None:
    good = dataclasses.replace(
        phantom_set.records[0], path=str(phantom_set.file(phantom_set.records[0]))
    )
    manifest = Manifest((good, dataclasses.replace(good, path="gone.png")), tmp_path)
    assert len(evaluate(classifier, manifest, ["test", "excluded"], sampling=FEW).records) == 1


def test_an_empty_part_is_an_error(classifier: Classifier, phantom_set: Manifest) -> None:
    with pytest.raises(DatasetError, match="no image of the manifest is in the part 'test'"):
        evaluate(classifier, phantom_set, ["train"] * len(phantom_set))


def test_progress_is_told(classifier: Classifier, phantom_set: Manifest) -> None:
    few = Manifest(phantom_set.records[:5], phantom_set.folder)
    told: list[tuple[int, int]] = []
    evaluate(classifier, few, ["test"] * 5, sampling=FEW, progress=lambda *step: told.append(step))
    assert told == [(i, 5) for i in range(1, 6)]

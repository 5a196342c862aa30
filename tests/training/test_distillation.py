"""Teachers: their answers beside the labels, and what they saw in the record."""

import dataclasses
import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from tumorlens import bundle
from tumorlens.config import TrainConfig
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import Split
from tumorlens.errors import CheckpointError, RecipeError
from tumorlens.evaluation import folds
from tumorlens.inference.classifier import Classifier
from tumorlens.training import optimization
from tumorlens.training.data import Extra, TrainingData
from tumorlens.training.distillation import Teachers
from tumorlens.training.runner import RunOptions, train

Data = tuple[Manifest, Split]


def _options(folder: Path, teacher: Path | None = None) -> RunOptions:
    return RunOptions("student", threads=1, cache_folder=folder / "cache", teacher=teacher)


@pytest.fixture
def teacher(finished: Path, tmp_path: Path) -> Path:
    """A finished run as the only teacher, one that knows all patients."""
    shutil.copytree(finished / "bundle", tmp_path / "teacher" / "part-0" / "bundle")
    return tmp_path / "teacher"


def test_a_teacher_answers_with_calibrated_probabilities(finished: Path) -> None:
    made = bundle.load(finished / "bundle")
    size = made.info.preprocess.image_size
    pixels = np.random.default_rng(0).integers(0, 255, (3, size, size), dtype=np.uint8)
    settings = made.info.preprocess
    images = (torch.from_numpy(pixels)[:, None].float() / 255 - settings.mean) / settings.std
    logits = Classifier(made).forward(pixels).logits
    expected = torch.softmax(torch.from_numpy(logits) / made.info.temperature, dim=1)
    probabilities = Teachers([made]).probabilities(images, 0)
    torch.testing.assert_close(probabilities, expected, rtol=1e-4, atol=1e-5)


def test_the_loss_is_none_where_the_student_agrees() -> None:
    logits = torch.randn(5, 4)
    probabilities = torch.softmax(logits, dim=1)
    agreed = optimization.distillation_losses(logits, probabilities)
    torch.testing.assert_close(agreed, torch.zeros(5), atol=1e-6, rtol=0)
    assert (optimization.distillation_losses(logits, probabilities.flip(1)) > 0).all()
    sure = torch.eye(4)[:1]  # zeros are no trouble
    expected = -torch.log_softmax(logits[:1], dim=1)[0, 0]
    torch.testing.assert_close(optimization.distillation_losses(logits[:1], sure)[0], expected)


def test_a_student_learns_what_its_labels_do_not_say(
    teacher: Path, square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    """All images but one of each class have one label; the other three come from the teacher."""
    manifest, split = square_set
    one = manifest.records[0].label
    parts = split.parts(manifest)
    labels = [r.label for r in manifest]
    training = [i for i, part in enumerate(parts) if part != "validation"]
    first = {labels[i]: i for i in reversed(training)}
    for i in set(training).difference(first.values()):
        labels[i] = one
    wrong = [dataclasses.replace(r, label=x) for r, x in zip(manifest, labels, strict=True)]
    rows = tuple(
        dataclasses.replace(row, label=x) for row, x in zip(split.rows, labels, strict=True)
    )
    mislabelled = (Manifest(tuple(wrong), manifest.folder), Split(split.info, rows))
    config = msgspec.structs.replace(tiny_config, distillation_weight=9.0, epochs=60)
    made = train(config, TrainingData(*mislabelled), tmp_path, _options(tmp_path, teacher))
    assert made is not None
    _, truth, _ = TrainingData(*square_set).load(tiny_config, tmp_path / "cache")
    answers = Classifier(bundle.load(made)).forward(truth.images).logits.argmax(axis=1)
    assert (answers == truth.labels).mean() > 0.7


def test_cross_fitted_teachers_teach_what_did_not_train_them(
    square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    manifest, split = square_set
    half = Manifest(manifest.records[:40], manifest.folder)
    config = msgspec.structs.replace(tiny_config, epochs=1, extra_share=0.25, cross_fit=2)
    data = TrainingData(manifest, split, [Extra(half)])
    folder = train(config, data, tmp_path / "teacher", _options(tmp_path))
    assert folder == tmp_path / "teacher"
    runs = [json.loads((folder / f"part-{k}" / "run.json").read_text()) for k in range(2)]
    trained = [sum(run["train_images"].values()) for run in runs]
    everything = sum(data.facts()["train_images"].values())
    assert sum(trained) == everything  # each image trains all teachers but one
    assert 0 < min(trained) < everything

    again = dataclasses.replace(_options(tmp_path), resume=True)
    assert train(config, data, folder, again) == folder
    assert [json.loads((folder / f"part-{k}" / "run.json").read_text()) for k in range(2)] == runs
    for other, seen in (
        (msgspec.structs.replace(config, seed=7), data),
        (config, TrainingData(manifest, split)),
    ):
        with pytest.raises(CheckpointError, match=r"part-0.* made with another recipe, data"):
            train(other, seen, folder, again)

    student = msgspec.structs.replace(tiny_config, epochs=1, distillation_weight=1.0)
    made = train(
        student, TrainingData(*square_set), tmp_path / "student", _options(tmp_path, folder)
    )
    assert made is not None
    training = bundle.load(made).info.training
    # What trained the teachers has trained the student.
    assert folds.data_hashes(training) == [manifest.sha256, half.sha256]
    named = [teacher["model_sha256"] for teacher in training["teachers"]]
    assert named == [run["bundle"]["model_sha256"] for run in runs]


def test_teachers_of_different_runs_are_refused(finished: Path, tmp_path: Path) -> None:
    for part in range(2):
        shutil.copytree(finished / "bundle", tmp_path / f"part-{part}" / "bundle")
    with pytest.raises(CheckpointError, match="not those of one run"):
        Teachers.load(tmp_path)


def test_a_folder_without_teachers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="contains no teachers"):
        Teachers.load(tmp_path)


def test_a_teacher_that_saw_the_test_images_is_refused(
    teacher: Path, square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    manifest, split = square_set
    rows = tuple(
        dataclasses.replace(row, part="test") if row.part == "train" and place % 4 == 0 else row
        for place, row in enumerate(split.rows)
    )
    config = msgspec.structs.replace(tiny_config, distillation_weight=1.0)
    options = _options(tmp_path, teacher)
    with pytest.raises(CheckpointError, match=r"was trained on \d+ of the \d+ test images"):
        train(config, TrainingData(manifest, Split(split.info, rows)), tmp_path, options)


def test_a_teacher_of_other_images_is_refused(
    teacher: Path, square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    preprocess = msgspec.structs.replace(tiny_config.preprocess, image_size=64)
    config = msgspec.structs.replace(tiny_config, distillation_weight=1.0, preprocess=preprocess)
    with pytest.raises(CheckpointError, match="preprocessed differently"):
        train(config, TrainingData(*square_set), tmp_path, _options(tmp_path, teacher))


def test_a_teacher_that_the_recipe_does_not_use_is_refused(
    teacher: Path, square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match="distillation_weight"):
        train(tiny_config, TrainingData(*square_set), tmp_path, _options(tmp_path, teacher))


def test_without_a_teacher_a_student_learns_from_labels_alone(
    square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    config = msgspec.structs.replace(tiny_config, distillation_weight=1.0, epochs=1)
    made = train(config, TrainingData(*square_set), tmp_path, _options(tmp_path))
    assert made is not None
    assert bundle.load(made).info.training["recipe"]["distillation_weight"] == 0

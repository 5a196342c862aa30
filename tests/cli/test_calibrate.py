"""``tumorlens calibrate BUNDLE --data``: from local cases to a bundle for the site."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from tumorlens import bundle
from tumorlens.cli.calibrate import command
from tumorlens.cli.evaluate import command as evaluate
from tumorlens.datasets.manifest import OWN_GROUP, Manifest
from tumorlens.demo import phantoms
from tumorlens.errors import BundleError, DatasetError, EvaluationError, OutputExistsError
from tumorlens.evaluation.drift import observe, summarize
from tumorlens.evaluation.training_images import TrainingImages
from tumorlens.imaging import reader
from tumorlens.inference.classifier import Classifier
from tumorlens.labels import RESEARCH_NOTICE


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Phantoms of a site, their split, and the bundled phantom network with a reference."""
    folder = tmp_path_factory.mktemp("site")
    manifest = Manifest.load(phantoms.write_phantoms(folder, 10, seed=77))
    phantoms.phantom_split(manifest).save(folder / "split.csv")
    made = bundle.load("phantom")
    classifier = Classifier(made)
    images = [classifier.preprocess(reader.read(manifest.file(r))) for r in manifest.records[:30]]
    reference = summarize(observe(classifier, np.stack(images)), "some phantoms")
    info = msgspec.structs.replace(made.info, name="known", reference=reference)
    bundle.save(folder / "known", info, made.model)
    return folder


def _run(box: Path, name: str, *more: str) -> Result:
    runner = CliRunner()
    return runner.invoke(command, [name, "--data", str(box / "manifest.csv"), *more])


@pytest.fixture(scope="module")
def site(box: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "known-here"
    result = _run(box, str(box / "known"), "--output", str(folder))
    assert result.exit_code == 0, result.output
    (folder / "stdout").write_text(result.stdout, "utf-8")
    return folder


def test_the_new_bundle_says_what_it_is(site: Path, box: Path) -> None:
    parent, made = bundle.load(box / "known"), bundle.load(site)
    manifest = Manifest.load(box / "manifest.csv")
    assert made.info.name == "known-here"
    assert made.sha256 == parent.sha256
    assert made.info.temperature != parent.info.temperature
    assert made.info.reference == parent.info.reference
    of_site = made.info.site
    assert of_site is not None
    assert of_site.parent_name == "known"
    assert of_site.parent_sha256 == parent.info_sha256
    assert of_site.data_sha256 == manifest.sha256
    assert of_site.images == len({record.sha256 for record in manifest})  # phantoms have copies
    assert sum(of_site.by_class.values()) == of_site.patients
    assert "one site, calibrated from known" in made.info.decision.chosen_on
    assert made.info.prediction_sets is not None
    assert made.info.prediction_sets.chosen_on == made.info.decision.chosen_on


def test_the_report(site: Path) -> None:
    found = json.loads((site / "calibration.json").read_text("utf-8"))
    page, stdout = (site / "calibration.html").read_text("utf-8"), (site / "stdout").read_text()
    assert found["notice"] == RESEARCH_NOTICE
    assert found["after_cross_validated"]["coverage"] >= 0.9
    assert {one["name"] for one in found["drift"]} >= {"brightness", "embedding_distance"}
    for line in (*found["fitted"], *found["kept"]):
        assert line.replace("'", "&#39;") in page
        assert line in stdout
    assert "Are the local images like the training images?" in page
    assert "nan" not in stdout


def test_testing_on_the_calibrated_cases_is_no_clean_result(
    site: Path, box: Path, tmp_path: Path
) -> None:
    words = [str(site), "--data", str(box / "manifest.csv"), "--split", str(box / "split.csv")]
    result = CliRunner().invoke(evaluate, [*words, "--report", str(tmp_path), "--resamples", "100"])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "evaluation.json").read_text("utf-8"))
    assert not found["quotable"]
    assert any("were fitted on" in text for text in found["warnings"])


def test_a_split_keeps_its_test_part_out(box: Path, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    result = _run(box, "phantom", "--split", str(box / "split.csv"), "--output", str(folder))
    assert result.exit_code == 0, result.output
    assert "No drift report" in result.stdout
    manifest = Manifest.load(box / "manifest.csv")
    parts = phantoms.phantom_split(manifest).parts(manifest)
    tested = {r.sha256 for r, part in zip(manifest, parts, strict=True) if part == "test"}
    of_site = bundle.load(folder).info.site
    assert of_site is not None
    assert tested
    seen = TrainingImages.from_list(of_site.seen_images)
    counted = sum(record in seen for record in manifest)
    assert counted >= of_site.images
    assert not any(record in seen for record in manifest if record.sha256 in tested)


def test_a_bundled_network_is_not_overwritten(box: Path) -> None:
    before = bundle.load("phantom").info_sha256
    result = _run(box, "phantom", "--split", str(box / "split.csv"))
    assert isinstance(result.exception, BundleError)
    assert "phantom is bundled with tumorlens" in str(result.exception)
    assert bundle.load("phantom").info_sha256 == before


def _parent(box: Path, folder: Path, training: dict[str, object]) -> str:
    """The bundle with a reference as one with another record of its training."""
    made = bundle.load(box / "known")
    info = msgspec.structs.replace(made.info, training=training)
    bundle.save(folder, info, made.model)
    return str(folder)


def test_what_no_list_shows_to_be_new_is_not_called_new(box: Path, tmp_path: Path) -> None:
    other = _parent(box, tmp_path / "other", {})
    made = _run(box, other, "--output", str(tmp_path / "here"))
    assert made.exit_code == 0, made.output
    said = "does not list the images that trained it, so it cannot be shown that"
    assert said in made.stdout
    assert said in (tmp_path / "here" / "calibration.html").read_text("utf-8")
    listed = _parent(box, tmp_path / "listed", {"seen_images": ""})
    assert said not in _run(box, listed, "--output", str(tmp_path / "there")).stdout


def test_a_second_calibration_remembers_the_images_of_the_first(
    site: Path, box: Path, tmp_path: Path
) -> None:
    other = phantoms.write_phantoms(tmp_path, 10, seed=5)
    words = [str(site), "--data", str(other), "--output", str(tmp_path / "again")]
    result = CliRunner().invoke(command, words)
    assert result.exit_code == 0, result.output
    of_site = bundle.load(tmp_path / "again").info.site
    assert of_site is not None
    assert of_site.images == len({record.sha256 for record in Manifest.load(other)})
    seen = TrainingImages.from_list(of_site.seen_images)
    for manifest in (other, box / "manifest.csv"):
        assert all(record in seen for record in Manifest.load(manifest))


def test_images_of_no_known_patient_are_said_to_count_as_one_each(
    box: Path, site: Path, tmp_path: Path
) -> None:
    manifest = Manifest.load(box / "manifest.csv")
    records = [
        dataclasses.replace(record, group=f"{OWN_GROUP}{k}" if k < 7 else record.group, patient="")
        for k, record in enumerate({one.sha256: one for one in manifest}.values())
    ]
    Manifest(tuple(records), manifest.folder).save(box / "unknown.csv")
    result = CliRunner().invoke(
        command,
        [str(box / "known"), "--data", str(box / "unknown.csv"), "--output", str(tmp_path / "x")],
    )
    assert result.exit_code == 0, result.output
    page = (tmp_path / "x" / "calibration.html").read_text("utf-8")
    said = f"The patient of 7 of {len(records)} images is not known"
    assert said in result.stdout
    assert said in page
    assert "is not known" not in (site / "stdout").read_text("utf-8")


@pytest.mark.parametrize("label", ["", "notumor"], ids=["same class", "other class"])
def test_a_copy_is_no_further_patient_and_must_be_of_the_same_class(
    box: Path, tmp_path: Path, label: str
) -> None:
    whole = Manifest.load(box / "manifest.csv")
    tumor = next(record for record in whole if record.label != "notumor")
    (tmp_path / "copy.png").write_bytes(whole.file(tumor).read_bytes())
    copy = dataclasses.replace(
        tumor, path="copy.png", group="copied", patient="copied", label=label or tumor.label
    )
    moved = [dataclasses.replace(one, path=str(whole.file(one))) for one in whole]
    Manifest((*moved, copy), tmp_path).save(tmp_path / "local.csv")
    result = CliRunner().invoke(
        command, ["phantom", "--data", str(tmp_path / "local.csv"), "--output", str(tmp_path / "x")]
    )
    if label:
        assert isinstance(result.exception, DatasetError)
        assert "copy.png are the same image" in str(result.exception)
    else:
        assert result.exit_code == 0, result.output
        once = len({one.sha256 for one in whole})
        assert f"{len({one.group for one in whole})} patients, {once} images" in result.stdout
        assert f"Not used: {len(whole) + 1 - once} rows with an image of" in result.stdout


def test_wrong_use(box: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    exists = _run(box, "phantom", "--output", str(tmp_path / "there"))
    assert isinstance(exists.exception, OutputExistsError)
    assert "exists already" in str(exists.exception)
    for_training = _run(box, "phantom", "--licence", "none")
    assert for_training.exit_code == 2
    untrained = _run(box, str(tiny_bundle), "--output", str(tmp_path / "new"))
    assert isinstance(untrained.exception, EvaluationError)
    assert "untrained or unsuitable" in str(untrained.exception)
    assert not (tmp_path / "new").exists()
    seen = TrainingImages.from_records(Manifest.load(box / "manifest.csv").records[:7])
    own = _parent(box, tmp_path / "own", {"seen_images": seen.listed})
    trained = _run(box, own, "--output", str(tmp_path / "new"))
    assert isinstance(trained.exception, EvaluationError)
    assert re.search(r"was trained on [78] of these", str(trained.exception))


def test_no_torch_is_needed() -> None:
    program = (
        "import sys; import tumorlens.cli.calibrate_site, tumorlens.reporting.site_report, "
        "tumorlens.training.calibration; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "False"

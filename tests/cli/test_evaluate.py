"""``tumorlens evaluate`` from files to report."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from tests.answers import OWN_WORDS

from tumorlens import bundle
from tumorlens.bundle import Bundle, ConformalThresholds
from tumorlens.cli.evaluate import command
from tumorlens.config import Device
from tumorlens.datasets import public_splits, splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import SplitRow
from tumorlens.demo import phantoms
from tumorlens.errors import BundleError, EvaluationError, SplitError
from tumorlens.evaluation import metrics
from tumorlens.evaluation.training_images import SEEN_IMAGES, SEEN_PARTS, TrainingImages
from tumorlens.inference.session import Session
from tumorlens.labels import CLASSES, RESEARCH_NOTICE

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Path:
    """A folder with a phantom set, a leaking and a clean split, and a bundle of each."""
    folder = tmp_path_factory.mktemp("box")
    manifest = Manifest.load(phantoms.write_phantoms(folder, 11, seed=2))
    tiny = bundle.load(tiny_bundle)
    for split in (public_splits.folder_split(manifest), phantoms.phantom_split(manifest)):
        name = split.info.name
        split.save(folder / f"{name}.csv")
        parts = zip(manifest, split.parts(manifest), strict=True)
        seen = TrainingImages.from_records([record for record, part in parts if part in SEEN_PARTS])
        training = {
            "split": {"name": name, "sha256": split.info.sha256},
            SEEN_IMAGES: seen.listed,
        }
        info = msgspec.structs.replace(tiny.info, name=f"on-{name}", training=training)
        bundle.save(folder / f"on-{name}", info, tiny.model)
    return folder


@pytest.fixture(scope="module")
def run(box: Path) -> Iterator[Run]:
    """Runs the bundled command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(box)
        yield _invoke


@pytest.fixture(scope="module")
def report(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a bundle on the part of its own clean split that was kept for testing."""
    folder = tmp_path_factory.mktemp("clean") / "report"
    result = run("./on-phantom", "phantom.csv", folder)
    assert result.exit_code == 0, result.output
    (folder / "stdout").write_text(result.stdout, "utf-8")
    return folder


def _invoke(bundle: str, split: str, report: Path, *more: str) -> Result:
    words = [bundle, "--data", "manifest.csv", "--split", split, "--report", str(report)]
    return CliRunner().invoke(command, [*words, "--resamples", "100", *more])


def read(report: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((report / "evaluation.json").read_text("utf-8"))
    return found


def test_a_clean_result(report: Path) -> None:
    found = read(report)
    page = (report / "index.html").read_text("utf-8")
    stdout = (report / "stdout").read_text("utf-8")
    shown = f"{100 * found['metrics']['accuracy']['value']:.2f}%"
    assert shown in page
    assert shown in stdout
    assert found["quotable"] is True
    assert found["trained_on_other_split"] is False
    assert found["warnings"] == []
    assert "Not a clean result" not in page
    assert RESEARCH_NOTICE in page
    assert RESEARCH_NOTICE in stdout
    # A set of one's own: nothing of the public set's literature stands beside it.
    for text in ("Ganguly", "98.44%", "0.2829", "comparable", "published folders"):
        assert text not in page, text
        assert text not in stdout, text
    assert str(report / "index.html") in stdout


def test_the_record_is_complete(report: Path, box: Path) -> None:
    found = read(report)
    split = splits.load(box / "phantom.csv").info
    assert found["split"]["sha256"] == split.sha256
    assert found["data_sha256"] == Manifest.load(box / "manifest.csv").sha256
    assert found["bundle"]["model_sha256"] == bundle.load(box / "on-phantom").sha256
    assert found["n"] == split.counts["test"]
    assert found["interval"]["resamples"] == 100
    assert sum(map(sum, found["confusion_matrix"])) == found["n"]
    assert set(found["metrics"]) == {*metrics.OVERALL, "per_class"}
    assert set(found["metrics"]["per_class"]) == set(CLASSES)
    for name in CLASSES:
        assert set(found["metrics"]["per_class"][name]) == set(metrics.PER_CLASS)
    assert set(found["metrics"]["accuracy"]) == {"value", "low", "high"}
    assert set(found["controls"]) == {"hash_neighbour", "frame_classifier"}
    assert found["paper"] is None
    assert found["command"].startswith("tumorlens evaluate ./on-phantom --data manifest.csv")
    assert found["command"].endswith("--report report --part test --resamples 100 --seed 0")


def test_predictions_hold_every_image(report: Path, box: Path) -> None:
    with (report / "predictions.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert list(rows[0]) == ["path", "sha256", "group", "label", "predicted", *CLASSES]
    found = read(report)
    assert len(rows) == found["n"]
    assert len({row["group"] for row in rows}) == found["n_groups"]
    right = sum(row["label"] == row["predicted"] for row in rows)
    assert right / len(rows) == pytest.approx(found["metrics"]["accuracy"]["value"], abs=1e-6)
    for row in rows:
        probabilities = {name: float(row[name]) for name in CLASSES}
        assert sum(probabilities.values()) == pytest.approx(1.0, abs=1e-5)
        assert probabilities[row["predicted"]] == max(probabilities.values())
        assert (box / row["path"]).is_file()


def test_a_leaking_split_is_also_scored_without_twins(run: Run, tmp_path: Path) -> None:
    result = run("./on-folder", "folder.csv", tmp_path)
    found = read(tmp_path)
    page = (tmp_path / "index.html").read_text("utf-8")
    assert found["quotable"] is True
    assert found["n_with_training_duplicate"] >= 4
    alone = found["subsets"]["without_duplicates"]
    assert alone["n"] == found["n"] - found["n_with_training_duplicate"]
    assert found["subsets"]["unseen_groups"]["n"] == found["n"] - found["n_of_training_groups"]
    assert "Groups are in several parts of this split" in page
    assert "without training duplicates" in result.stdout
    # A copy's perceptual hash is its original's, so the control gains from twins.
    neighbour = found["controls"]["hash_neighbour"]
    without = neighbour["subsets"]["without_duplicates"]["accuracy"]["value"]
    assert neighbour["accuracy"]["value"] >= without


def test_a_bundle_of_another_split_is_no_clean_result(run: Run, tmp_path: Path) -> None:
    result = run("./on-folder", "phantom.csv", tmp_path)
    found = read(tmp_path)
    page = (tmp_path / "index.html").read_text("utf-8")
    assert result.exit_code == 0
    assert found["trained_on_other_split"] is True
    assert found["quotable"] is False
    assert "Not a clean result. Do not quote these numbers." in page
    assert "NOT A CLEAN RESULT" in result.stdout
    assert "trained on another split, folder" in page


def test_every_image_is_scored_and_those_of_the_training_are_counted(
    run: Run, tmp_path: Path, box: Path
) -> None:
    result = run("./on-phantom", "all", tmp_path)
    assert result.exit_code == 0, result.output
    found = read(tmp_path)
    distinct = {record.pixel_sha256 for record in Manifest.load(box / "manifest.csv")}
    assert found["n"] == len(distinct)
    assert found["protocol"] == "other"
    assert "NOT A CLEAN RESULT" in result.stdout
    refused = run("./on-phantom", "all", tmp_path, "--part", "train")
    assert "no image of the manifest is in its part 'train'" in str(refused.exception)


def test_figures_are_files_and_in_the_page(report: Path) -> None:
    page = (report / "index.html").read_text("utf-8")
    for name in ("confusion.png", "reliability.png", "roc.png", "selective.png"):
        assert (report / name).read_bytes().startswith(b"\x89PNG")
    assert page.count("data:image/png;base64,") == 4
    assert page.count("data:image/jpeg;base64,") > 0
    assert "http://" not in page
    assert "https://" not in page


def test_two_runs_give_the_same_files(run: Run, report: Path, tmp_path: Path) -> None:
    run("./on-phantom", "phantom.csv", tmp_path / "report")
    for file in ("evaluation.json", "predictions.csv", "roc.png", "index.html"):
        assert (tmp_path / "report" / file).read_bytes() == (report / file).read_bytes(), file


def test_the_part_trained_on_is_no_clean_result(run: Run, tmp_path: Path) -> None:
    run("./on-phantom", "phantom.csv", tmp_path, "--part", "train")
    assert read(tmp_path)["part"] == "train"
    assert read(tmp_path)["quotable"] is False
    assert read(tmp_path)["controls"] == {}
    assert "controls were not run" in (tmp_path / "index.html").read_text("utf-8")


def test_errors_are_typed(run: Run, tmp_path: Path) -> None:
    assert isinstance(run("no-bundle", "phantom.csv", tmp_path).exception, BundleError)
    assert isinstance(run("./on-phantom", "no-split", tmp_path).exception, SplitError)
    # The phantoms are not images of the bundled split.
    assert isinstance(run("./on-phantom", "folder", tmp_path).exception, SplitError)
    assert run("./on-phantom", "phantom.csv", tmp_path, "--part", "excluded").exit_code == 2


@pytest.fixture(scope="module")
def folds(box: Path) -> list[str]:
    """Two bundles, trained by the two folds of a cross-validation that lies beside them."""
    manifest = Manifest.load(box / "manifest.csv")
    numbers = {g: i % 2 for i, g in enumerate(sorted({r.group for r in manifest}))}
    rows = [SplitRow(r.sha256, r.label, r.group, f"fold{numbers[r.group]}") for r in manifest]
    cv = splits.build("mine-cv", "for tests", rows, disjoint=True)
    cv.save(box / "mine-cv.csv")
    for k in range(2):
        info = cv.fold(k).info
        train_by(box, f"fold-{k}", split={"name": info.name, "sha256": info.sha256})
    return ["./fold-0", "./fold-1"]


def train_by(box: Path, name: str, **training: Any) -> str:
    """Write a bundle that says it was trained so."""
    like = bundle.load(box / "on-phantom")
    info = msgspec.structs.replace(like.info, name=name, training=training)
    bundle.save(box / name, info, like.model)
    return f"./{name}"


def invoke(*words: str) -> Result:
    return CliRunner().invoke(command, [*words, "--resamples", "100"])


def test_pooled_folds(run: Run, folds: list[str], tmp_path: Path, box: Path) -> None:
    words = ["--data", "manifest.csv", "--split", "mine-cv.csv", "--report", str(tmp_path)]
    result = invoke(*folds, *words)
    assert result.exit_code == 0, result.output
    found = read(tmp_path)
    assert found["n"] == len(Manifest.load(box / "manifest.csv"))
    assert [one["fold"] for one in found["folds"]] == ["fold 0", "fold 1"]
    assert found["quotable"] is True
    assert found["command"].startswith("tumorlens evaluate ./fold-0 ./fold-1 --data manifest.csv")
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "standard deviation" in page
    assert "2 bundles" in page
    assert "By fold" in result.stdout
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as handle:
        assert {row["fold"] for row in csv.DictReader(handle)} == {"fold 0", "fold 1"}


def test_a_split_takes_one_bundle(run: Run, folds: list[str], tmp_path: Path) -> None:
    result = invoke(
        *folds, "--data", "manifest.csv", "--split", "phantom.csv", "--report", str(tmp_path)
    )
    assert result.exit_code == 2
    assert "takes one bundle" in result.stderr


def test_a_source_that_was_left_out(run: Run, box: Path, tmp_path: Path) -> None:
    one = train_by(box, "stranger", held_out_sources=["phantom"])
    split = ["--split", "leave-one-source-out", "--report", str(tmp_path)]
    result = invoke(one, "--data", "manifest.csv", *split)
    assert result.exit_code == 0, result.output
    found = read(tmp_path)
    assert found["protocol"] == "leave-one-source-out"
    assert found["folds"][0]["fold"] == "phantom"
    assert found["quotable"] is True
    refused = invoke("./on-phantom", "--data", "manifest.csv", *split)
    assert isinstance(refused.exception, EvaluationError)


def test_an_external_set(run: Run, box: Path, tmp_path: Path) -> None:
    other = phantoms.write_phantoms(tmp_path / "other", 3, seed=91)
    one = train_by(box, "external", data_sha256=Manifest.load(box / "manifest.csv").sha256)
    words = ["--split", "external", "--report", str(tmp_path / "out")]
    against = ["--against", "manifest.csv"]
    result = invoke(one, "--data", str(other), *words, *against)
    assert result.exit_code == 0, result.output
    found = read(tmp_path / "out")
    assert (found["protocol"], found["quotable"]) == ("external", True)
    assert "--against manifest.csv" in found["command"]
    refused = invoke(one, "--data", "manifest.csv", *words, *against)
    assert isinstance(refused.exception, EvaluationError)
    assert "not an external set" in str(refused.exception)
    assert invoke(one, "--data", str(other), *words).exit_code == 2


def test_probes_and_corruptions(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = []
    begin = Session.__init__

    def opened(self: Session, bundle: Bundle, *, device: Device) -> None:
        devices.append(device)
        begin(self, bundle, device=device)

    monkeypatch.setattr(Session, "__init__", opened)
    further = ["--probes", "--corruptions", "--corruption-images", "4"]
    further += ["--probe-with", "manifest.csv", "folder.csv"]
    result = run("./on-phantom", "phantom.csv", tmp_path, *further, "--reference", "./on-folder")
    assert result.exit_code == 0, result.output
    assert devices == ["auto", "auto"]
    found = read(tmp_path)
    assert set(found["probes"]) == {"frame", "background", "erased", "pasted", "source"}
    assert "--probes --probe-with manifest.csv folder.csv --corruptions" in found["command"]
    assert found["corruptions"]["n"] == 4
    # The reference is the same network: where it errs at all, the ratio is one.
    assert found["corruptions"]["mean_corruption_error"] == 1.0
    page = (tmp_path / "index.html").read_text("utf-8")
    assert "Probes for shortcuts" in page
    assert "Mean corruption error relative to on-folder" in page
    assert "mean corruption error" in result.stdout
    for name in ("corruptions.png", "corruption_examples.png", "selective.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    for alone in (["--reference", "x"], ["--probe-with", "manifest.csv", "folder.csv"]):
        assert run("./on-phantom", "phantom.csv", tmp_path, *alone).exit_code == 2


def test_prediction_sets_are_measured(run: Run, box: Path, tmp_path: Path) -> None:
    made = bundle.load(box / "on-phantom")
    rule = ConformalThresholds(
        coverage=0.9, thresholds=(0.1, 0.2, 0.1, 0.2), chosen_on="phantom validation"
    )
    info = msgspec.structs.replace(made.info, prediction_sets=rule, classes=OWN_WORDS)
    bundle.save(tmp_path / "sets", info, made.model)
    result = run(str(tmp_path / "sets"), "phantom.csv", tmp_path / "report")
    assert result.exit_code == 0, result.output
    found = read(tmp_path / "report")["prediction_sets"]
    assert found["stated_coverage"] == 0.9
    assert set(found["by_label"]) == set(CLASSES)
    assert sum(one["n"] for one in found["by_label"].values()) == found["n"]
    low, high = found["binomial_interval"]
    assert low <= found["coverage"]["value"] <= high
    assert 1 <= found["mean_size"]["value"] <= 4
    assert "Prediction sets, stated coverage 90%" in result.stdout
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert "phantom validation" in page
    sets = page[page.index("<h2>Prediction sets") :]
    for shown in (sets[: sets.index("</table>")], result.stdout):
        assert "glial growth" in shown
        assert "glioma" not in shown
    assert "glioma" not in page[page.index("<h2>The most confident") :].replace("/glioma/", "")


def test_without_a_rule_no_sets_are_measured(report: Path) -> None:
    assert read(report)["prediction_sets"] is None
    assert "Prediction sets" not in (report / "index.html").read_text("utf-8")


def test_missed_tumours_stand_beside_accuracy(report: Path) -> None:
    page = (report / "index.html").read_text("utf-8")
    first_table = page[page.index("<table>") : page.index("</table>")]
    assert "Missed tumours" in first_table
    assert "False alarms" in first_table
    assert "Selective classification" in page
    assert set(read(report)["selective"]) == {"confidence", "aurc", "excess_aurc", "at"}

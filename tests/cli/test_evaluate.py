"""``tumorlens evaluate`` from files to report."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from tumorlens import bundle
from tumorlens.cli.evaluate import command
from tumorlens.datasets import phantoms, splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.errors import BundleError, SplitError
from tumorlens.evaluation import metrics
from tumorlens.labels import CLASSES, RESEARCH_NOTICE

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Path:
    """A folder with a phantom set, a leaking and a clean split, and a bundle of each."""
    folder = tmp_path_factory.mktemp("box")
    manifest = Manifest.load(phantoms.write_phantoms(folder, 11, seed=2))
    tiny = bundle.load(tiny_bundle)
    for split in (splits.folder_split(manifest), phantoms.phantom_split(manifest)):
        name = split.info.name
        split.save(folder / f"{name}.csv")
        training = {"split": {"name": name, "sha256": split.info.sha256}}
        info = msgspec.structs.replace(tiny.info, name=f"on-{name}", training=training)
        bundle.save(folder / f"on-{name}", info, tiny.model)
    return folder


@pytest.fixture(scope="module")
def run(box: Path) -> Iterator[Run]:
    """Runs the command in the box."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(box)
        patch.setenv("COLUMNS", "160")
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
    assert found["cautions"] == []
    assert "Not a clean result" not in page
    for text in (RESEARCH_NOTICE, "99.22%", "98.44%", "0.2829", "not comparable"):
        assert text in page, text
    assert RESEARCH_NOTICE in stdout
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
    assert found["paper"]["test_accuracy"] == 0.9844
    assert found["paper"]["comparable"] is False
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
        shares = {name: float(row[name]) for name in CLASSES}
        assert sum(shares.values()) == pytest.approx(1.0, abs=1e-5)
        assert shares[row["predicted"]] == max(shares.values())
        assert (box / row["path"]).is_file()


def test_a_leaking_split_is_also_scored_without_twins(run: Run, tmp_path: Path) -> None:
    result = run("./on-folder", "folder.csv", tmp_path)
    found = read(tmp_path)
    page = (tmp_path / "index.html").read_text("utf-8")
    assert found["quotable"] is True
    assert found["n_with_training_twin"] >= 4
    alone = found["subsets"]["without_twins"]
    assert alone["n"] == found["n"] - found["n_with_training_twin"]
    assert found["subsets"]["unseen_groups"]["n"] == found["n"] - found["n_of_training_groups"]
    assert "Groups cross in this split" in page
    assert "without training twins" in result.stdout
    # A copy's perceptual hash is its original's, so the control gains from twins.
    neighbour = found["controls"]["hash_neighbour"]
    without = neighbour["subsets"]["without_twins"]["accuracy"]["value"]
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


def test_figures_are_files_and_in_the_page(report: Path) -> None:
    page = (report / "index.html").read_text("utf-8")
    for name in ("confusion.png", "reliability.png", "roc.png"):
        assert (report / name).read_bytes().startswith(b"\x89PNG")
    assert page.count("data:image/png;base64,") == 3
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
    # The phantoms are not images of the split in the box.
    assert isinstance(run("./on-phantom", "folder", tmp_path).exception, SplitError)
    assert run("./on-phantom", "phantom.csv", tmp_path, "--part", "excluded").exit_code == 2

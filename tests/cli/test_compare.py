"""``tumorlens compare`` from files to report."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from tests.answers import OWN_WORDS

from tumorlens import bundle
from tumorlens.cli.compare import command
from tumorlens.datasets.manifest import Manifest
from tumorlens.demo import phantoms
from tumorlens.errors import SplitError
from tumorlens.labels import RESEARCH_NOTICE, ClassSet


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Path:
    """A folder with a phantom set, its split, and the folder of a run."""
    folder = tmp_path_factory.mktemp("box")
    listed = phantoms.write_phantoms(folder, 6, seed=2)
    phantoms.phantom_split(Manifest.load(listed)).save(folder / "split.csv")
    shutil.copytree(tiny_bundle, folder / "run" / "bundle")
    return folder


def _run(box: Path, bundles: list[str], *more: str) -> Result:
    words = [*bundles, "--data", str(box / "manifest.csv"), "--split", str(box / "split.csv")]
    runner = CliRunner()
    return runner.invoke(command, [*words, "--resamples", "100", *more])


def test_a_run_against_a_bundle(box: Path, tmp_path: Path) -> None:
    result = _run(box, ["phantom", str(box / "run")], "--report", str(tmp_path))
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "comparison.json").read_text("utf-8"))
    page = (tmp_path / "index.html").read_text("utf-8")
    assert [one["name"] for one in found["bundles"]] == ["phantom", "tiny"]
    assert found["command"] == (
        "tumorlens compare phantom run --data manifest.csv --split split.csv --part test "
        "--resamples 100 --seed 0"
    )
    accuracy = found["bundles"][1]["metrics"]["accuracy"]["value"]
    for text in (f"{100 * accuracy:.2f}%", "McNemar", "Difference from phantom", RESEARCH_NOTICE):
        assert text in result.stdout, text
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "Risk against coverage" in page
    assert "Ganguly" not in page
    for one in found["bundles"]:
        assert all(text in page for text in one["warnings"])


def test_every_image_is_compared(box: Path, tmp_path: Path) -> None:
    words = ["phantom", str(box / "run"), "--data", str(box / "manifest.csv"), "--split", "all"]
    result = CliRunner().invoke(command, [*words, "--resamples", "100", "--report", str(tmp_path)])
    assert result.exit_code == 0, result.output
    listed = Manifest.load(box / "manifest.csv")
    found = json.loads((tmp_path / "comparison.json").read_text("utf-8"))
    assert found["n"] == len({record.pixel_sha256 for record in listed})


def test_classes_are_called_as_their_bundle_calls_them(
    box: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    made = bundle.load(tiny_bundle)
    kinds = ClassSet(members=OWN_WORDS.members)
    for classes, shown in ((OWN_WORDS, True), (kinds, False)):
        names = [str(tmp_path / f"{one}-{shown}") for one in ("first", "second")]
        for name in names:
            info = msgspec.structs.replace(made.info, name=Path(name).name, classes=classes)
            bundle.save(name, info, made.model)
        result = _run(box, names, "--report", str(tmp_path / "report"))
        assert result.exit_code == 0, result.output
        page = (tmp_path / "report" / "index.html").read_text("utf-8")
        for text in (result.stdout, page):
            assert ("Missed growths" in text) == shown
            assert "Missed tumours" not in text
            assert "undefined" not in text


def test_wrong_usage(box: Path) -> None:
    for bundles in (["phantom"], ["phantom", "phantom"]):
        assert _run(box, bundles).exit_code == 2
    dash = _run(box, ["phantom", str(box / "run")], "--report", "-")
    assert (dash.exit_code, "cannot be written to standard output" in dash.stderr) == (2, True)
    refused = _run(box, ["phantom", "folder"], "--part", "train", "--split", "clean")
    assert isinstance(refused.exception, SplitError)

"""``tumorlens demo`` from end to end, with the network that ships for it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner, Result

from tumorlens import bundle
from tumorlens.cli.demo import command
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.demo.phantoms import make_phantom
from tumorlens.demo.walkthrough import INTENDED_USE, classify
from tumorlens.errors import EXIT_SOME_INPUTS_FAILED, EXIT_USAGE, install_command
from tumorlens.imaging.raster import encode
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.record import Failure
from tumorlens.labels import RESEARCH_NOTICE


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one image, beside a file that is none."""
    folder = tmp_path_factory.mktemp("images")
    phantom = make_phantom(np.random.default_rng(4), "meningioma")
    (folder / "good").mkdir()
    (folder / "good" / "slice.png").write_bytes(encode.png(phantom.pixels))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, images: Path) -> tuple[Result, Path]:
    """A small demonstration with a good and a broken image of the user."""
    output = tmp_path_factory.mktemp("demo") / "out"
    result = run(
        images / "good", images / "broken.png",
        "--output", output, "--patients", "5", "--bundle", "phantom",
    )  # fmt: skip
    return result, output


def test_a_broken_image_does_not_stop_the_rest(finished: tuple[Result, Path]) -> None:
    result, output = finished
    assert result.exit_code == EXIT_SOME_INPUTS_FAILED, result.output
    good, broken = json.loads((output / "demo.json").read_text())["pictures"]
    assert sum(good["probabilities"].values()) == pytest.approx(1.0)
    assert broken["error"]["kind"] == "corrupt"
    assert f"slice.png: {good['decision']}: {good['summary']}" in result.stdout
    assert "broken.png" in result.stderr


def test_it_says_what_it_does_where_the_report_is_and_what_is_synthetic(
    finished: tuple[Result, Path],
) -> None:
    result, output = finished
    assert "1/5 Making phantoms" in result.stderr
    assert "5/5" in result.stderr
    assert f"Report: {output / 'index.html'}" in result.stdout
    assert "do not apply to patients" in result.stdout
    assert RESEARCH_NOTICE in result.stdout


def test_the_report_shows_images_answers_and_findings(finished: tuple[Result, Path]) -> None:
    page = (finished[1] / "index.html").read_text("utf-8")
    assert "Synthetic." in page
    assert RESEARCH_NOTICE in page
    assert page.count("data:image/") >= 4 + 1 + 1  # a phantom of each class, an image, the matrix
    assert "slice.png" in page
    assert "not for pictures of people" in page
    assert "Not usable" in page
    for link in ("audit/index.html", "evaluation/index.html", "demo.json"):
        assert f'href="{link}"' in page
        assert (finished[1] / link).is_file()


def test_the_network_in_the_box_says_what_it_is_for() -> None:
    info = bundle.load("phantom").info
    assert info.intended_use == INTENDED_USE
    assert info.training["split"]["sha256"] == splits.load("phantom").info.sha256


def test_the_network_in_the_box_has_learned_its_phantoms(finished: tuple[Result, Path]) -> None:
    found = json.loads((finished[1] / "demo.json").read_text())
    assert found["accuracy"]["this bundle"]["value"] > 0.6  # of few images: chance is 0.25
    assert found["audit"]["test_with_known_patient_elsewhere"] > 0
    evaluation = json.loads((finished[1] / "evaluation" / "evaluation.json").read_text())
    assert evaluation["quotable"], evaluation["warnings"]


def test_a_second_run_reuses_the_folder_and_leaves_other_files(
    finished: tuple[Result, Path],
) -> None:
    output = finished[1]
    (output / "notes.txt").write_text("mine")
    before = Manifest.load(output / "phantoms" / "manifest.csv").sha256
    result = run("--output", output, "--patients", "5", "--seed", "1")
    assert result.exit_code == 0, result.output
    assert (output / "notes.txt").read_text() == "mine"
    assert Manifest.load(output / "phantoms" / "manifest.csv").sha256 != before


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("my page")
    result = run("--output", tmp_path)
    assert result.exit_code == EXIT_USAGE
    assert "contains other files" in result.output
    assert [file.name for file in tmp_path.iterdir()] == ["index.html"]
    assert (tmp_path / "index.html").read_text() == "my page"


def test_training_anew_makes_a_bundle_and_scores_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    recipe = tmp_path / "short.toml"
    recipe.write_text('model = "nano"\nepochs = 1\n[preprocess]\nimage_size = 32\n')
    monkeypatch.setattr("tumorlens.config.recipe_path", lambda name: recipe)
    result = run("--output", tmp_path / "out", "--patients", "5", "--train")
    assert result.exit_code == 0, result.output
    assert "Training" in result.stderr
    made = bundle.load(tmp_path / "out" / "training" / "bundle")
    assert made.info.intended_use == INTENDED_USE
    assert json.loads((tmp_path / "out" / "demo.json").read_text())["bundle"]["trained_anew"]


@pytest.mark.parametrize("missing", ["torch", "onnx", "safetensors"])
def test_a_part_of_the_extra_is_not_enough_to_train(missing: str, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from tumorlens.cli.main import main\n"
        f"sys.argv = ['tumorlens', 'demo', '--train', '--output', {str(tmp_path / 'out')!r}]\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert install_command("train") in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_volume_is_sent_to_predict(tmp_path: Path) -> None:
    path = tmp_path / "head.nii.gz"
    voxels = np.random.default_rng(0).integers(0, 255, (40, 40, 5), dtype=np.uint8)
    nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(path)
    (shown,) = classify(Classifier.load("phantom", threads=1), [str(path)])
    assert isinstance(shown.answer, Failure)
    assert shown.answer.error.kind == "volume"
    assert f"{path}: " in shown.answer.error.message
    assert "use `tumorlens predict`" in shown.answer.error.message


def test_a_series_is_sent_to_predict(
    tmp_path: Path, write_series: Callable[..., list[bytes]]
) -> None:
    """The gallery is for images; a series is neither dropped in silence nor half shown."""
    (tmp_path / "study").mkdir()
    for index, data in enumerate(write_series(3)):
        (tmp_path / "study" / str(index)).write_bytes(data)
    (shown,) = classify(Classifier.load("phantom", threads=1), [str(tmp_path / "study")])
    assert isinstance(shown.answer, Failure)
    assert shown.answer.error.kind == "volume"
    assert "use `tumorlens predict`" in shown.answer.error.message

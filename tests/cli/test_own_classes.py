"""From a folder of any classes to an evaluated bundle and its answers, on the command line."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tumorlens import bundle
from tumorlens.cli.main import cli
from tumorlens.imaging.raster import encode

RECIPE = """
epochs = 50
batch_size = 8
[model]
name = "tiny"
widths = [4, 8]
depths = [1, 2]
strides = [2, 2]
kernel_size = 3
dropout = 0.1
[preprocess]
image_size = 48
[augment]
rotation_degrees = 5.0
scale = 0.05
shift = 0.02
horizontal_flip = 0.0
erase = 0.0
[augment.lesions]
erase = 0.5
paste = 0.5
[optimizer]
learning_rate = 2e-2
warmup_epochs = 1.0
ema_decay = 0.9
"""


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, [str(one) for one in arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def draw(rng: np.random.Generator, place: int) -> bytes:
    """A gray disc on black; the class decides the quadrant of a bright square on it."""
    y, x = np.mgrid[:48, :48]
    image = np.where((y - 24) ** 2 + (x - 24) ** 2 < 20**2, 90.0, 0.0)
    top, left = 14 + 12 * (place // 2), 14 + 12 * (place % 2)
    image[top : top + 8, left : left + 8] = 220.0
    return encode.png(np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8))


def evaluated(folder: Path, names: list[str]) -> Path:
    """Draw 16 images of each class and go all the way; the bundle's folder."""
    rng = np.random.default_rng(5)
    for place, name in enumerate(names):
        (folder / "set" / name).mkdir(parents=True)
        for number in range(16):
            (folder / "set" / name / f"{number:02d}.png").write_bytes(draw(rng, place))
    (folder / "tiny.toml").write_text(RECIPE)
    data, out = folder / "own.csv", folder / "run"
    run("data", "import", "folder", "--from", folder / "set", "--output", data)
    split = folder / "own-split.csv"
    run("data", "split", data, "--ratio", "50/25/25", "--no-near-duplicates", "--output", split)
    use = ("--data", data, "--split", split)
    run("train", folder / "tiny.toml", *use, "--out", out, "--threads", 1, "--cache", folder / "c")
    told = run("calibrate", out / "bundle", *use, "--coverage", 0.7, "--cache", folder / "c").output
    at_limit = bundle.load(out / "bundle").info.temperature < 0.0501
    assert ("the temperature is at its lower limit, 0.05," in told) == at_limit
    # Of two classes, one of which means that nothing is found, the kind is no question.
    assert ("the kind" in told or "its kind" in told) == (len(names) > 2)
    run("evaluate", out / "bundle", *use, "--report", folder / "report", "--resamples", 100)
    return out / "bundle"


def answers(made: Path, folder: Path) -> list[dict[str, object]]:
    """Records of the images, which also go through the table, CSV and HTML report."""
    text = run("predict", folder / "set", "--bundle", made, "--format", "jsonl").stdout
    table = run("predict", folder / "set", "--bundle", made, "--html", folder / "r.html").stdout
    assert table.count(".png") >= len(text.splitlines())
    report = (folder / "r.html").read_text("utf-8")
    assert "The network has" in report
    return [json.loads(line) for line in text.splitlines()]


def test_two_classes(tmp_path: Path) -> None:
    made = evaluated(tmp_path, ["no", "yes"])
    classes = bundle.load(made).info.classes
    assert (classes.names, classes.no_finding) == (("no", "yes"), "no")
    found = json.loads((tmp_path / "report/evaluation.json").read_text())
    assert found["classes"] == ["no", "yes"]
    assert found["paper"] is None
    assert found["metrics"]["macro_f1"]["value"] > 0.7
    assert found["metrics"]["missed_tumor_rate"]["value"] < 0.5
    assert "tumour" not in str(found["definitions"])
    page = (tmp_path / "report/index.html").read_text("utf-8")
    for word in ("Ganguly", "tumour", "pituitary"):
        assert word not in page
    records = answers(made, tmp_path)
    one = next(record for record in records if record["label"] == "yes")
    assert one["summary"].startswith("Yes likely")  # type: ignore[attr-defined]
    assert one["tumor_probability"] == pytest.approx(one["probabilities"]["yes"])  # type: ignore[index]
    line = run("predict", tmp_path / "set/no/00.png", "--bundle", made, "--format", "csv").stdout
    (row,) = csv.DictReader(line.splitlines())
    assert {"no", "yes"} <= set(row)


def test_kinds_without_no_finding(tmp_path: Path) -> None:
    made = evaluated(tmp_path, ["glioma", "meningioma", "pituitary"])
    info = bundle.load(made).info
    assert (info.classes.names, info.classes.no_finding) == (
        ("glioma", "meningioma", "pituitary"), None,
    )  # fmt: skip
    assert info.prediction_sets is not None
    assert len(info.prediction_sets.thresholds) == 3
    found = json.loads((tmp_path / "report/evaluation.json").read_text())
    assert found["metrics"]["macro_f1"]["value"] > 0.7
    assert found["metrics"]["missed_tumor_rate"]["value"] is None
    assert "missed_tumor_rate" not in found["definitions"]
    assert "Missed" not in (tmp_path / "report/index.html").read_text("utf-8")
    for record in answers(made, tmp_path):
        assert record["tumor_probability"] is None
        assert record["decision"] in ("classified", "abstained")


def test_a_class_without_an_image_to_learn_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    for part, names in (("train", "ab"), ("val", "ab"), ("test", "abc")):
        for place, name in enumerate(names):
            for number in range(3):
                file = tmp_path / "set" / part / f"kind {name}" / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(draw(rng, place))
    (tmp_path / "tiny.toml").write_text(RECIPE)
    data, split = tmp_path / "own.csv", tmp_path / "own-split.csv"
    run("data", "import", "folder", "--from", tmp_path / "set", "--output", data)
    run("data", "split", data, "--folders", "--output", split)
    arguments = ("train", tmp_path / "tiny.toml", "--data", data, "--split", split)
    result = CliRunner().invoke(cli, [*map(str, arguments), "--out", str(tmp_path / "run")])
    assert "has no image for train of the class kind_c: add some" in str(result.exception)

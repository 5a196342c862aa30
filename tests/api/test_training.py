"""``tumorlens.train``, ``evaluate``, ``split`` and ``audit``: what the commands do, in Python."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.answers import OWN_WORDS

import tumorlens
from tumorlens import bundle
from tumorlens.bundle import Bundle
from tumorlens.config import Device
from tumorlens.datasets.manifest import Manifest
from tumorlens.demo.phantoms import write_phantoms
from tumorlens.errors import (
    LeakError,
    OutputExistsError,
    RecipeError,
    SplitError,
    install_command,
)
from tumorlens.inference.classifier import Classifier
from tumorlens.labels import CLASSES


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("phantoms"), 5, seed=0)


def test_split_and_audit(phantoms: Path, tmp_path: Path) -> None:
    leaky = tumorlens.audit(phantoms, report=tmp_path / "audit")
    assert leaky.leaks.any
    assert (tmp_path / "audit" / "index.html").is_file()
    split = tumorlens.split(phantoms)
    assert split.info.disjoint
    assert set(split.info.counts) == {"train", "validation", "test"}
    assert not tumorlens.audit(phantoms, split).leaks.any
    with pytest.raises(LeakError):
        tumorlens.split(phantoms, folders=True)


def test_evaluate(phantoms: Path, tmp_path: Path) -> None:
    split = tumorlens.split(phantoms, near_duplicates=False)
    scores = tumorlens.evaluate("phantom", phantoms, split, resamples=100, report=tmp_path)
    assert scores.estimates["accuracy"].value > 0.5
    assert "macro f1" in repr(scores)
    page = scores._repr_html_()
    assert "Macro F1" in page
    assert "control" in page
    assert scores.to_dict()["n"] == scores.evaluation.measured[0].images
    assert (tmp_path / "index.html").is_file()
    with pytest.raises(SplitError):
        tumorlens.evaluate("phantom", phantoms, split, part="nothing")
    whole = tumorlens.evaluate("phantom", phantoms, "all", resamples=100)
    assert whole.to_dict()["n"] > scores.to_dict()["n"]


def test_scores_in_the_words_of_the_bundle(
    phantoms: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    made = bundle.load(tiny_bundle)
    bundle.save(tmp_path, msgspec.structs.replace(made.info, classes=OWN_WORDS), made.model)
    split = tumorlens.split(phantoms, near_duplicates=False)
    page = tumorlens.evaluate(
        tmp_path, phantoms, split, resamples=100, controls=False
    )._repr_html_()
    assert "Missed growths" in page
    assert "Missed tumours" not in page


def test_evaluate_keeps_device_and_threads(phantoms: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tumorlens.load("phantom", threads=1, device="auto")
    kept: list[tuple[int, str]] = []
    begin = Classifier.__init__

    def opened(
        self: Classifier, bundle: Bundle, threads: int, *, answer_all: bool, device: Device
    ) -> None:
        kept.append((threads, device))
        begin(self, bundle, threads, answer_all=answer_all, device=device)

    monkeypatch.setattr(Classifier, "__init__", opened)
    split = tumorlens.split(phantoms, near_duplicates=False)
    tumorlens.evaluate(model, phantoms, split, resamples=100, controls=False)
    assert kept == [(1, "auto")]


def test_teachers_are_no_model(phantoms: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    with pytest.raises(RecipeError, match=r"teachers .* train them with `tumorlens train`"):
        tumorlens.train(phantoms, out=tmp_path / "run", recipe="teacher")
    assert not (tmp_path / "run").exists()


def test_train_from_a_folder(phantoms: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the train extra")
    made = Manifest.load(phantoms)
    for record in made:
        if "copy" not in record.path:
            place = tmp_path / "set" / record.label / Path(record.path).name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(made.file(record).read_bytes())
    out = tmp_path / "run"

    def train(resume: bool = False) -> tumorlens.Model:
        return tumorlens.train(
            tmp_path / "set", out=out, recipe="phantom", epochs=1, threads=1, resume=resume,
            group_from=r"(phantom-\d+-\d+)", settings={"preprocess.image_size": 32},
            progress=False,
        )  # fmt: skip

    model = train()
    assert set(model.classes) == set(CLASSES)
    assert model.info.preprocess.image_size == 32
    groups = {record.group for record in Manifest.load(out / "manifest.csv")}
    assert len(groups) == 20
    scores = tumorlens.evaluate(
        model, out / "manifest.csv", out / "split.csv", controls=False, resamples=100
    )
    assert 0 <= scores.estimates["macro_f1"].value <= 1
    answer = model.predict(next((tmp_path / "set" / "glioma").iterdir()))
    assert isinstance(answer, tumorlens.Answer)
    with pytest.raises(OutputExistsError, match="already contains a run"):
        train()
    assert train(resume=True).info.files == model.info.files


def test_training_without_a_part_of_the_extra_names_it(phantoms: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "import tumorlens\n"
        f"tumorlens.train({str(phantoms)!r}, out={str(out)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"MissingExtraError: training needs an optional part: {install_command('train')}" in (
        done.stderr
    )
    assert not out.exists()

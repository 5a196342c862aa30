"""Wrong arguments of the Python API: one clear error, before anything is done."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tumorlens
from tumorlens.demo.phantoms import write_phantoms
from tumorlens.errors import LeakError, ManifestError, MissingInputError, RecipeError, SplitError
from tumorlens.inference.classifier import Classifier

_WRONG: Mapping[str, tuple[Any, ...]] = {
    "path": (3, b"x", math.nan, [], ""),
    "flag": ("no", None, 2, math.nan, []),
    "count": (0, -1, 1.5, True, "2", math.nan, []),
    "choice": ("x", "", None, 3, []),
    "text": ("", None, 3, []),
    "seed": (-1, 1.5, "x", True, math.nan, 2**40),
    "numbers": ("abc", "70/15/15", 3, {}, (70, "a", 15), [True, True, True]),
}
"""Values that are wrong for each kind of argument."""
_KINDS: Mapping[str, Mapping[str, str]] = {
    "load": {"name_or_path": "path", "threads": "count", "device": "choice"},
    "predict": {"volume": "flag", "study": "flag", "plane": "choice"},
    "iterate": {"study": "flag", "plane": "choice"},
    "plot": {"columns": "count"},
    "manifest": {"data": "path", "folder": "path"},
    "split": {
        "data": "path", "ratio": "numbers", "near_duplicates": "flag", "folders": "flag",
        "seed": "seed", "name": "text",
    },
    "audit": {"data": "path", "split": "path", "report": "path"},
    "evaluate": {
        "model": "path", "data": "path", "split": "path", "part": "text", "report": "path",
        "controls": "flag", "resamples": "count", "seed": "seed",
    },
    "write": {"folder": "path"},
    "train": {
        "data": "path", "split": "path", "out": "path", "recipe": "path", "epochs": "count",
        "seed": "seed", "name": "text", "threads": "count", "device": "choice", "init": "path",
        "resume": "flag", "progress": "flag",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> tumorlens.Model:
    return tumorlens.load(tiny_bundle, threads=1)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("phantoms"), 5, seed=0)


@pytest.fixture(scope="module")
def calls(
    model: tumorlens.Model, phantoms: Path, head: NDArray[np.uint8],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:  # fmt: skip
    """Each public function with arguments that are right."""
    split = tumorlens.split(phantoms, near_duplicates=False)
    scores = tumorlens.evaluate("phantom", phantoms, split, resamples=100, controls=False)
    out = tmp_path_factory.mktemp("out")
    return {
        "load": (tumorlens.load, {"name_or_path": "phantom"}),
        "predict": (model.predict, {"source": head}),
        "iterate": (model.iterate, {"source": [head]}),
        "plot": (tumorlens.Answers([]).plot, {}),
        "manifest": (tumorlens.manifest, {"data": phantoms}),
        "split": (tumorlens.split, {"data": phantoms}),
        "audit": (tumorlens.audit, {"data": phantoms}),
        "evaluate": (
            tumorlens.evaluate, {"model": "phantom", "data": phantoms, "split": split},
        ),
        "write": (scores.write, {}),
        "train": (tumorlens.train, {"data": phantoms, "out": out / "run", "recipe": "phantom"}),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("function", "argument"), [(f, argument) for f, kinds in _KINDS.items() for argument in kinds]
)
def test_a_wrong_argument_is_named(
    calls: dict[str, tuple[Callable[..., Any], dict[str, Any]]],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, argument: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    call, right = calls[function]
    for wrong in _WRONG[_KINDS[function][argument]]:
        with pytest.raises((TypeError, ValueError), match=f"^{argument} (must be|is empty)"):
            call(**right | {argument: wrong})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("device", "tpu", r"device must be one of auto, cpu, cuda, not 'tpu'"),
        ("device", "", r"device must be one of auto, cpu, cuda, not ''"),
        ("threads", 0, r"threads must be a whole number from 1 to 1024 or None, not 0"),
    ],
)
def test_the_choices_are_listed(name: str, value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tumorlens.load("phantom", **{name: value})  # type: ignore[arg-type]


def test_the_nearest_choice_is_suggested(model: tumorlens.Model, head: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match=r"sagittal, coronal, axial, not 'Axial'; did you mean"):
        model.predict(head, plane="Axial")  # type: ignore[arg-type]


def test_a_classifier_refuses_a_device_too(tiny_bundle: Path) -> None:
    with pytest.raises(ValueError, match=r"device must be one of auto, cpu, cuda, not 'tpu'"):
        Classifier.load(tiny_bundle, device="tpu")  # type: ignore[arg-type]


def test_a_model_is_made_of_a_classifier() -> None:
    with pytest.raises(TypeError, match="classifier must be a Classifier, not 'default'"):
        tumorlens.Model("default")  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers(phantoms: Path) -> None:
    ratio = np.array([70, 15, 15])
    made = tumorlens.split(phantoms, ratio, seed=np.int64(1), near_duplicates=np.bool_(False))  # type: ignore[arg-type]
    assert made.info.description == tumorlens.split(
        phantoms, (70, 15, 15), seed=1, near_duplicates=False
    ).info.description  # fmt: skip


def test_numbers_of_numpy_are_settings(tmp_path: Path, phantoms: Path) -> None:
    rate = {"optimizer.learning_rate": np.float64(1e-3)}
    # The recipe is read before the images are split, which these cannot be.
    with pytest.raises(LeakError, match="more than one part"):
        tumorlens.train(phantoms, out=tmp_path / "run", epochs=np.int64(3), settings=rate)  # type: ignore[arg-type]


def test_a_missing_argument_names_the_function() -> None:
    with pytest.raises(TypeError, match=r"split\(\) missing 1 required"):
        tumorlens.split()  # type: ignore[call-arg]


def test_a_number_is_no_ratio(phantoms: Path) -> None:
    with pytest.raises(TypeError, match="ratio must be a sequence of numbers"):
        tumorlens.split(phantoms, np.array(3))  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0, -1, math.nan, math.inf])
def test_a_ratio_is_of_positive_numbers(phantoms: Path, share: float) -> None:
    with pytest.raises(SplitError, match="three positive numbers"):
        tumorlens.split(phantoms, (70, share, 15))


def test_what_would_be_ignored_is_refused(phantoms: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="group_from is for a folder"):
        tumorlens.split(phantoms, group_from="(x)")
    with pytest.raises(ValueError, match="group_from is for a folder"):
        tumorlens.train(phantoms, out=tmp_path / "run", group_from="(x)")
    with pytest.raises(ManifestError, match="imagse: cannot be read"):
        tumorlens.split("imagse", group_from="folder:1")
    with pytest.raises(ValueError, match="ratio and folders exclude each other"):
        tumorlens.split(phantoms, (60, 20, 20), folders=True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"optimizer.learning_rate": math.nan}, r"learning_rate=nan: Expected `float` > 0.0"),
        ({3: 1}, "3 is not a key"),
        ({"epochs=1\nseed": 1}, "is not a key"),
        ({"epochs": None}, "epochs cannot be None"),
        ({"epochs": object()}, "epochs cannot be <object"),
    ],
)
def test_settings(
    phantoms: Path, tmp_path: Path, settings: dict[str, Any], words: str
) -> None:  # fmt: skip
    with pytest.raises(RecipeError, match=words):
        tumorlens.train(phantoms, out=tmp_path / "run", recipe="phantom", settings=settings)


def test_an_empty_path_is_no_folder(model: tumorlens.Model) -> None:
    with pytest.raises(MissingInputError, match="the path is empty"):
        model.predict("")
    answers = model.predict([""])
    assert isinstance(answers, tumorlens.Answers)
    assert answers[0].error == "the path is empty"


def test_a_volume_in_a_list_is_a_volume(model: tumorlens.Model, head: NDArray[np.uint8]) -> None:
    stack = np.stack([head // 2 + 10 * k for k in range(5)])
    alone = model.predict(stack, volume=True)
    assert isinstance(alone, tumorlens.Answer)
    listed = model.predict([stack], volume=True)
    assert isinstance(listed, tumorlens.Answers)
    assert listed[0].to_dict() == alone.to_dict()

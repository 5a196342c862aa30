"""``tumorlens.load``: predict anything, and show it."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import nibabel
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from tests.answers import OWN_WORDS

import tumorlens
from tumorlens import bundle
from tumorlens.bundle import ConformalThresholds, DecisionRule
from tumorlens.errors import InputError, MissingInputError
from tumorlens.imaging import reader
from tumorlens.imaging.array import from_array
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.raster import encode
from tumorlens.inference.record import StudyPrediction, VolumePrediction
from tumorlens.labels import CLASSES, RESEARCH_NOTICE, ClassSet


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> tumorlens.Model:
    return tumorlens.load(tiny_bundle, threads=1)


@pytest.fixture
def image(tmp_path: Path, head: NDArray[np.uint8]) -> Path:
    path = tmp_path / "scan.png"
    path.write_bytes(encode.png(head))
    return path


@pytest.fixture
def study(tmp_path: Path, write_series: Callable[..., list[bytes]]) -> Path:
    folder = tmp_path / "study"
    folder.mkdir()
    for series in ("1.2.3", "1.2.4"):
        for number, data in enumerate(write_series(6, series=series)):
            (folder / f"{series}-{number}.dcm").write_bytes(data)
    return folder


def one(found: tumorlens.Answer | tumorlens.Answers) -> tumorlens.Answer:
    assert isinstance(found, tumorlens.Answer)
    return found


def several(found: tumorlens.Answer | tumorlens.Answers) -> tumorlens.Answers:
    assert isinstance(found, tumorlens.Answers)
    return found


def test_import_is_light_and_complete() -> None:
    script = """
import sys, tumorlens
heavy = {"numpy", "torch", "onnxruntime", "matplotlib", "rich", "scipy", "sklearn"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
print(*dir(tumorlens))
for name in tumorlens.__all__:
    getattr(tumorlens, name)
assert "torch" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {"load", "train", "evaluate", "audit"} <= set(done.stdout.split())
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        tumorlens.trian  # noqa: B018 - to see the error


def test_one_thing_gives_one_answer(
    model: tumorlens.Model, image: Path, head: NDArray[np.uint8]
) -> None:
    expected = one(model.predict(image))
    assert expected.probabilities is not None
    assert tuple(expected.probabilities) == model.classes == CLASSES
    assert expected.path == str(image)
    for source in (str(image), head, np.stack([head] * 3, axis=-1), reader.read(image)):
        found = one(model.predict(source))
        assert found.probabilities == expected.probabilities
        assert (found.decision, found.label, found.error) == (
            expected.decision,
            expected.label,
            None,
        )
    assert json.loads(json.dumps(expected.to_dict()))["decision"] == expected.decision


def test_several_things_give_several_answers(
    model: tumorlens.Model, image: Path, head: NDArray[np.uint8]
) -> None:
    (image.parent / "damaged.png").write_bytes(encode.png(head)[:300])
    expected = one(model.predict(image)).probabilities
    in_folder = several(model.predict(image.parent))
    assert [Path(each.path).name for each in in_folder] == ["damaged.png", "scan.png"]
    assert in_folder[1].probabilities == expected
    (failed,) = in_folder.failed
    assert failed.decision == "failed"
    assert failed.error is not None
    assert failed.image is None
    assert failed.label is None
    assert failed.png() is None
    assert [a.path for a in several(model.predict(image.parent / "*.png"))] == [
        each.path for each in in_folder
    ]
    for stack in (
        np.stack([head] * 4),
        np.stack([np.stack([head] * 3, axis=-1)] * 4),
        np.stack([head[..., None]] * 4),
    ):
        assert [each.probabilities for each in several(model.predict(stack))] == [expected] * 4
    assert one(model.predict(head[..., None])).probabilities == expected
    assert repr(several(model.predict([image]))).startswith("<1 answer\n")
    mixed = several(model.predict([image, head, np.zeros((40, 40)), "gone.png"]))
    assert [each.error is None for each in mixed] == [True, True, False, False]
    assert len(mixed.to_dicts()) == 4
    assert len(mixed[1:3]) == 2
    assert len(several(model.predict([]))) == 0


def test_what_cannot_be_used_alone_is_an_error(model: tumorlens.Model) -> None:
    with pytest.raises(MissingInputError, match=r"gone\.png: no such file"):
        model.predict("gone.png")
    with pytest.raises(MissingInputError, match="is a URL"):
        model.predict("https://host/scan.png")
    with pytest.raises(InputError):
        model.predict(np.zeros((40, 40)))
    with pytest.raises(InputError, match="must be"):
        model.predict(np.ones((5, 50, 50, 50, 50)), volume=True)


def test_what_numpy_can_read_is_an_array(model: tumorlens.Model, head: NDArray[np.uint8]) -> None:
    expected = one(model.predict(head)).probabilities
    tensor = torch.from_numpy(head)
    assert one(model.predict(tensor)).probabilities == expected
    found = several(model.predict(torch.stack([tensor] * 2)))
    assert [each.probabilities for each in found] == [expected] * 2
    assert [each.error for each in several(model.predict([tensor, head]))] == [None, None]
    volume = one(model.predict(torch.stack([tensor] * 5), volume=True))
    assert isinstance(volume.result, VolumePrediction)
    with pytest.raises(TypeError, match=r"torch\.Tensor cannot be read as an array: .*grad"):
        model.predict(tensor.float().requires_grad_())


def test_masked_samples_are_not_read(model: tumorlens.Model, head: NDArray[np.uint8]) -> None:
    outside = head <= np.median(head)
    dark = np.where(outside, head[~outside].min(), head)
    masked = np.ma.MaskedArray(np.where(outside, 255, head), outside)
    assert one(model.predict(masked)).probabilities == one(model.predict(dark)).probabilities
    with pytest.raises(InputError, match="every pixel is masked"):
        model.predict(np.ma.MaskedArray(np.ones((64, 64)), True))


@pytest.mark.parametrize("channels", [2, 4])
def test_an_array_with_opacity_is_one_error(
    model: tumorlens.Model, head: NDArray[np.uint8], channels: int
) -> None:
    with pytest.raises(InputError, match=rf"{channels}\); must be \(H, W\), or \(H, W, 3\)"):
        model.predict(np.dstack([head] * channels))


def test_a_damaged_pillow_image_is_an_error_and_the_rest_is_answered(
    model: tumorlens.Model, head: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / "cut.png"
    Image.fromarray(head).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with Image.open(path) as cut, pytest.raises(InputError, match="Pillow image cannot be read"):
        model.predict(cut)
    with Image.open(path) as cut:
        found = several(model.predict([cut, head]))
    assert [each.error is None for each in found] == [False, True]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_pillow_image_is_turned_as_its_file_is(
    model: tumorlens.Model, head: NDArray[np.uint8], tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"turned.{suffix}"
    turned = Image.fromarray(head).rotate(90, expand=True)
    exif = turned.getexif()
    exif[274] = 6
    turned.save(path, exif=exif, lossless=True)
    of_path = one(model.predict(path))
    with Image.open(path) as opened:
        assert one(model.predict(opened)).probabilities == of_path.probabilities


@pytest.mark.parametrize("suffix", ["gif", "tif"])
def test_a_pillow_image_of_several_is_noted(
    model: tumorlens.Model, head: NDArray[np.uint8], tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"several.{suffix}"
    first, *others = (Image.fromarray(head // part) for part in (1, 2, 3))
    first.save(path, save_all=True, append_images=others)
    with Image.open(path) as opened:
        found = one(model.predict(opened))
    assert "one of 3 images of the file is read; give its path instead to read all" in found.notes
    with Image.open(path) as opened:
        opened.load()
    assert one(model.predict(opened)).probabilities == found.probabilities, "a closed file will do"


@pytest.mark.parametrize("orientation", ["6", 0, 9])
def test_an_orientation_that_is_none_is_not_used(
    model: tumorlens.Model, head: NDArray[np.uint8], tmp_path: Path, orientation: str | int
) -> None:
    image = Image.fromarray(head)
    image.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        opened.getexif()[274] = orientation
        found = one(model.predict(opened))
    assert found.probabilities == one(model.predict(head)).probabilities


def test_a_pillow_image_that_was_turned_is_not_turned_again(
    model: tumorlens.Model, head: NDArray[np.uint8], tmp_path: Path
) -> None:
    stored = Image.fromarray(head).rotate(90, expand=True)
    exif = stored.getexif()
    exif[274] = 6
    stored.save(tmp_path / "stored.png", exif=exif)
    with Image.open(tmp_path / "stored.png") as opened:
        upright = opened.transpose(Image.Transpose.ROTATE_270)
    assert one(model.predict(upright)).probabilities == one(model.predict(head)).probabilities


def test_a_path_of_bytes_or_too_long(model: tumorlens.Model, image: Path) -> None:
    class OfBytes:
        def __fspath__(self) -> bytes:
            return os.fsencode(image)

    assert one(model.predict(OfBytes())).error is None  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cannot be opened"):
        model.predict("a" * 5000)


def test_several_paths_may_come_in_any_collection(model: tumorlens.Model, image: Path) -> None:
    paths = np.array([str(image), "gone.png"], dtype=object)
    for source in (paths, iter(paths), tuple(paths)):
        assert [each.error is None for each in several(model.predict(source))] == [True, False]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1", "I;16", "I", "F", "CMYK"])
def test_a_pillow_image_is_read_as_its_file(
    model: tumorlens.Model, head: NDArray[np.uint8], tmp_path: Path, mode: str
) -> None:
    image = Image.fromarray(head)
    image = image.convert("I").convert(mode) if mode == "I;16" else image.convert(mode)
    path = tmp_path / "scan.tif"
    image.save(path)
    found = one(model.predict(image))
    assert found.probabilities == one(model.predict(path)).probabilities
    assert found.path == "<array>"
    (again,) = several(model.predict([image]))
    assert again.probabilities == found.probabilities


def test_transparent_pixels_of_a_pillow_image_are_black(
    model: tumorlens.Model, head: NDArray[np.uint8]
) -> None:
    opaque = Image.fromarray(head)
    white = Image.new("L", opaque.size, 255)
    layered = Image.merge("LA", (white, opaque))
    expected = one(model.predict(opaque)).probabilities
    assert one(model.predict(layered)).probabilities == expected


def test_a_small_pillow_image_among_several_is_an_answer_with_an_error(
    model: tumorlens.Model, head: NDArray[np.uint8]
) -> None:
    found = several(model.predict([Image.new("L", (3, 3)), head]))
    assert [each.error is None for each in found] == [False, True]


def test_what_is_nothing_of_all_that_is_a_type_error(
    model: tumorlens.Model, image: Path, head: NDArray[np.uint8]
) -> None:
    data = image.read_bytes()
    with image.open("rb") as file:
        for source in (
            None,
            3,
            data,
            bytearray(data),
            memoryview(data),
            file,
            {"a": head},
            Dataset(),
        ):
            for given in (source, [source]):
                with pytest.raises(TypeError, match=r"cannot be classified; accepted are a path"):
                    model.predict(given)  # type: ignore[arg-type]
                with pytest.raises(TypeError, match=r"cannot be classified; accepted are a path"):
                    list(model.iterate(given))  # type: ignore[arg-type]
    nifti = nibabel.Nifti1Image(np.zeros((40, 40, 5)), np.eye(4))
    with pytest.raises(TypeError, match=r"Nifti1Image cannot be classified: give the path"):
        model.predict(nifti)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="mode HSV cannot be read"):
        model.predict(Image.fromarray(head).convert("RGB").convert("HSV"))


def test_answers_of_a_bundle_without_thresholds_say_so(
    model: tumorlens.Model, head: NDArray[np.uint8], tiny_bundle: Path, tmp_path: Path
) -> None:
    answer = one(model.predict(head))
    assert "not calibrated" in answer.notes[-1]
    assert "not calibrated" in answer._repr_html_()
    made = bundle.load(tiny_bundle)
    info = msgspec.structs.replace(made.info, decision=DecisionRule(kind_threshold=0.1))
    bundle.save(tmp_path / "held", info, made.model)
    assert one(tumorlens.load(tmp_path / "held").predict(head)).notes == ()


def test_volumes(model: tumorlens.Model, head: NDArray[np.uint8], tmp_path: Path) -> None:
    stack = np.stack([head // 2 + 10 * k for k in range(5)])
    whole = one(model.predict(stack, volume=True))
    assert isinstance(whole.result, VolumePrediction)
    assert len(whole.result.slices) == 5
    assert whole.image is not None
    np.testing.assert_array_equal(whole.image, stack[whole.result.decisive_slice])
    file = tmp_path / "head.nii"
    nibabel.save(nibabel.Nifti1Image(stack.transpose(2, 1, 0).copy(), np.eye(4)), file)
    assert isinstance(one(model.predict(file)).result, VolumePrediction)


def test_a_study(model: tumorlens.Model, study: Path) -> None:
    answers = several(model.predict(study))
    (together,) = answers.studies
    assert isinstance(together.result, StudyPrediction)
    assert together.image is None
    series = [each for each in answers if isinstance(each.result, VolumePrediction)]
    assert len(series) == 2
    for each in series:  # read again from its files, only now
        assert each.image is not None
        assert each.png()
    assert several(model.predict(study, study=True))[0].decision == together.decision


def test_pickling_says_how_to_use_other_processes(model: tumorlens.Model, image: Path) -> None:
    answer = one(model.predict(image))
    for what in (model, model.predict, answer, [answer], tumorlens.Answers([answer])):
        with pytest.raises(TypeError, match=r"load the network in each process .*\(to_dict\)"):
            pickle.dumps(what)
    assert pickle.loads(pickle.dumps(answer.to_dict())) == answer.to_dict()


def test_iterate_tells_progress_and_is_lazy(model: tumorlens.Model, image: Path) -> None:
    told: list[tuple[int, int]] = []
    answers = model.iterate([image, image], progress=lambda *now: told.append(now))
    next(answers)
    assert told == [(1, 2)]
    assert len(list(answers)) == 1
    assert told == [(1, 2), (2, 2)]


def test_iterate_decodes_each_array_in_its_turn(
    model: tumorlens.Model, head: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []

    def counted(pixels: NDArray[np.generic]) -> MedicalImage:
        decoded.append(len(decoded))
        return from_array(pixels)

    monkeypatch.setattr("tumorlens.api.model.from_array", counted)
    answers = model.iterate([head, head[:1], head])
    for number in range(1, 4):
        assert (next(answers).error is not None) == (number == 2)
        assert len(decoded) == number


def test_iterate_tells_each_count_once(model: tumorlens.Model, study: Path, image: Path) -> None:
    (study / "no-image.png").write_bytes(b"no image")
    told: list[tuple[int, int]] = []
    answers = list(model.iterate([study, image], progress=lambda *now: told.append(now)))
    assert sum(isinstance(one.result, StudyPrediction) for one in answers) == 1
    assert told == [(k, 4) for k in range(1, 5)]
    assert len(answers) == 5


def test_iterate_writes_a_line(
    model: tumorlens.Model, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    list(model.iterate(image, progress=True))
    assert capsys.readouterr().err.endswith("classified 1 of 1\n")
    list(model.iterate(image))  # no terminal looks
    assert capsys.readouterr().err == ""


def test_shown_in_a_notebook(
    tmp_path: Path, head: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("<b>.png").write_bytes(encode.png(head))
    phantom = tumorlens.load("phantom", threads=1)
    answer = several(phantom.predict(["<b>.png"]))[0]
    page = answer._repr_html_()
    assert "&lt;b&gt;.png" in page
    assert "<b>" not in page
    assert RESEARCH_NOTICE in page
    assert answer.headline in page
    assert answer.summary in repr(answer)
    assert page.count("<img ") == (1 if answer.heatmap is None else 2)
    assert answer.image is not None
    Path("<b>.png").unlink()
    gone = several(phantom.predict([head, "gone.png"]))
    assert "no such file" in gone._repr_html_()
    assert repr(gone).startswith("<2 answers\n")
    assert f"{phantom.info.network.parameters:,}" in phantom._repr_html_()
    assert "phantom" in repr(phantom)


def test_a_notebook_shows_classes_and_shares_as_reports_do(
    tiny_bundle: Path, image: Path, tmp_path: Path
) -> None:
    made = bundle.load(tiny_bundle)
    sets = ConformalThresholds(coverage=0.9, thresholds=(0.0,) * 4)
    info = msgspec.structs.replace(
        made.info, classes=OWN_WORDS, prediction_sets=sets, temperature=1e-4
    )
    bundle.save(tmp_path / "own", info, made.model)
    page = one(tumorlens.load(tmp_path / "own").predict(image))._repr_html_()
    assert all(words in page.partition("not excluded:")[2] for words in _shown(OWN_WORDS))
    assert "&gt;99.9%" in page
    assert "100.0%" not in page


def _shown(classes: ClassSet) -> list[str]:
    return list(classes.display_names.values())


def test_a_file_that_went_away_is_shown_without_image(model: tumorlens.Model, image: Path) -> None:
    (answer,) = several(model.predict(image.parent))
    image.unlink()
    assert "img" not in answer._repr_html_()
    with pytest.raises(MissingInputError):
        answer.png()


def test_map_and_plot(head: NDArray[np.uint8]) -> None:
    from tumorlens.demo.phantoms import make_phantom

    phantom = tumorlens.load("phantom", threads=1)
    drawn = make_phantom(np.random.default_rng(5), "glioma")
    answer = one(phantom.predict(drawn.pixels))
    assert answer.heatmap is not None
    assert answer.heatmap.shape == drawn.pixels.shape
    assert answer.heatmap[drawn.mask].mean() > answer.heatmap[~drawn.mask].mean()
    axes = answer.plot()
    assert axes.get_title() == answer.headline
    assert RESEARCH_NOTICE in axes.get_xlabel().replace("\n", " ")
    assert len(axes.images) == 2
    import matplotlib.pyplot as plt

    figure = several(phantom.predict([drawn.pixels, head, "gone.png"])).plot(columns=3)
    assert sum(bool(axes.images) for axes in figure.axes) == 2
    plt.close("all")

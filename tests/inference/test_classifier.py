"""Files, arrays and decoded images in, predictions out: single, in batches, in streams."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.answers import predict_inputs, told

from tumorlens import bundle
from tumorlens.errors import BlankImageError, InputError, MissingInputError
from tumorlens.imaging import reader
from tumorlens.imaging.array import from_array
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.raster import encode
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.postprocessing import softmax
from tumorlens.inference.record import Failure, Prediction
from tumorlens.inference.stream import outcomes
from tumorlens.labels import CLASSES

Gray = NDArray[np.uint8]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, head: Gray) -> list[Path]:
    """Twenty different files."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    paths = []
    for index in range(20):
        noisy = np.clip(head + random.normal(0, 25, head.shape), 0, 255).astype(np.uint8)
        path = folder / f"{index:02d}.png"
        path.write_bytes(encode.png(np.roll(noisy, index * 3, axis=1)))
        paths.append(path)
    return paths


def test_prediction(classifier: Classifier, images: list[Path]) -> None:
    found = classifier.predict(images[0])
    assert found.path == str(images[0])
    probabilities = told(found)
    assert tuple(probabilities) == CLASSES
    assert sum(probabilities.values()) == pytest.approx(1)
    assert found.label == max(probabilities, key=probabilities.__getitem__)
    assert found.tumor_probability == pytest.approx(1 - probabilities["notumor"])
    assert found.sequence is None
    assert (found.model.name, found.model.version) == ("tiny", "1.2.3")
    assert found.model.sha256 == classifier.bundle.sha256


def test_every_way_in_gives_the_same_answer(
    classifier: Classifier, head: Gray, tmp_path: Path
) -> None:
    path = tmp_path / "head.png"
    color = np.stack([head, head // 2, 255 - head], axis=-1)
    path.write_bytes(encode.png(color))
    expected = classifier.predict(path).probabilities
    assert classifier.predict(str(path)).probabilities == expected
    assert classifier.predict(color).probabilities == expected
    assert classifier.predict(reader.read(path)).probabilities == expected
    assert classifier.predict(color).path == "<array>"


def test_bit_depth_does_not_change_the_answer(
    classifier: Classifier, head: Gray, tmp_path: Path
) -> None:
    wide = head.astype(np.uint16)
    files = {
        "8.png": encode.png(head),
        "16.png": encode.png(wide * 257),
        "plain16.png": encode.png(wide),
        "16.tif": encode.tiff(wide * 257),
        "float.tif": encode.tiff((head / 255).astype(np.float32)),
    }
    answers = []
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        answers.append(list(told(classifier.predict(tmp_path / name)).values()))
    np.testing.assert_allclose(answers, [answers[0]] * len(files), atol=2e-3)


def test_temperature_is_applied(classifier: Classifier, head: Gray) -> None:
    image = MedicalImage(head.astype(np.float32), "x", 8, "L")
    logits = classifier.forward(classifier.preprocess(image)[np.newaxis]).logits
    expected = softmax(logits, classifier.bundle.info.temperature)[0]
    np.testing.assert_allclose(list(told(classifier.predict(image)).values()), expected)
    assert classifier.bundle.info.temperature == 1.5


def test_an_unsure_answer_is_held_back_unless_all_are_wanted(
    classifier: Classifier, head: Gray
) -> None:
    strict = bundle.DecisionRule(tumor_threshold=1.0, notumor_threshold=1.0)
    info = msgspec.structs.replace(classifier.bundle.info, decision=strict)
    careful = Classifier(bundle.Bundle(info, classifier.bundle.model))
    held = careful.predict(head)
    assert (held.decision, held.label) == ("abstained", None)
    assert held.reason.startswith("tumour ")
    assert held.summary.startswith("Uncertain whether")
    everything = Classifier(careful.bundle, answer_all=True).predict(head)
    assert everything.decision == "classified"
    assert everything.reason == ""
    assert everything.probabilities == held.probabilities


def test_what_is_not_excluded(classifier: Classifier, head: Gray) -> None:
    rule = bundle.ConformalThresholds(
        coverage=0.9,
        thresholds=(1.0, 1.0, 1.0, 1.0),
        by_decision={"abstained": (0.0, 1.0, 1.0, 1.0)},
    )
    strict = bundle.DecisionRule(tumor_threshold=1.0, notumor_threshold=1.0)
    info = msgspec.structs.replace(classifier.bundle.info, prediction_sets=rule, decision=strict)
    held = Classifier(bundle.Bundle(info, classifier.bundle.model)).predict(head)
    assert held.decision == "abstained"
    likely = {name for name, share in told(held).items() if share >= 0.1}
    assert set(held.prediction_set or ()) == likely | {"glioma"}
    assert classifier.predict(head).prediction_set is None


def test_batch(classifier: Classifier, images: list[Path], head: Gray) -> None:
    decoded = [reader.read(images[0]), from_array(head), reader.read(images[1])]
    found = classifier.answer([classifier.prepare(image) for image in decoded])
    alone = [classifier.predict(image) for image in (images[0], head, images[1])]
    for one, other in zip(found, alone, strict=True):
        assert one.prediction.path == other.path
        assert one.prediction.probabilities == pytest.approx(other.probabilities, abs=1e-6)
    assert classifier.answer([]) == []


def test_unusable_images_raise(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(MissingInputError):
        classifier.predict(tmp_path / "nothing.png")
    with pytest.raises(BlankImageError):
        classifier.predict(np.zeros((50, 50)))
    with pytest.raises(InputError, match="a volume of 3 slices"):
        classifier.predict(MedicalImage(np.zeros((3, 40, 40), np.float32), "v.nii", 16, "I;16"))


def test_extreme_floats_are_clipped_in_silence(classifier: Classifier, head: Gray) -> None:
    tiny = head.astype(np.float32) * np.float32(1e-38)
    tiny[0, 0] = 1e30
    expected = classifier.predict(head).probabilities
    assert classifier.predict(tiny).probabilities == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 64])
def test_stream_keeps_order_and_goes_on_after_failures(
    classifier: Classifier, images: list[Path], tmp_path: Path, batch_size: int
) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    paths = [*images[:5], tmp_path / "bad.png", tmp_path / "none.png", *images[5:]]
    found = list(predict_inputs(classifier, paths, batch_size=batch_size))
    assert [one.path for one in found] == [str(path) for path in paths]
    failures = [one for one in found if isinstance(one, Failure)]
    assert [one.error.kind for one in failures] == ["corrupt", "missing"]
    assert all(str(one.path) in one.error.message for one in failures)
    last = found[-1]
    assert isinstance(last, Prediction)
    alone = classifier.predict(paths[-1]).probabilities
    assert last.probabilities == pytest.approx(alone, abs=1e-6)


def test_stream_of_nothing_and_of_failures(classifier: Classifier) -> None:
    assert list(predict_inputs(classifier, [])) == []
    found = list(predict_inputs(classifier, ["/a", "/b", "/c"], batch_size=2))
    assert [isinstance(one, Failure) for one in found] == [True] * 3


def _noted(paths: list[Path], taken: list[Path]) -> Iterator[Path]:
    """The paths, each added to ``taken`` when it is asked for."""
    for path in paths:
        taken.append(path)
        yield path


def test_stream_reads_only_two_batches_ahead(tiny_bundle: Path, images: list[Path]) -> None:
    classifier = Classifier.load(tiny_bundle, threads=2)
    taken: list[Path] = []
    stream = outcomes(classifier, _noted(images, taken), batch_size=3)
    next(stream)
    assert len(taken) == 6
    next(stream)
    next(stream)
    next(stream)
    assert len(taken) == 9
    stream.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


def test_stream_on_one_core_starts_no_thread(
    classifier: Classifier, tiny_bundle: Path, images: list[Path]
) -> None:
    assert classifier.decoders == 1
    taken: list[Path] = []
    stream = predict_inputs(classifier, _noted(images, taken), batch_size=3)
    first = next(stream)
    assert len(taken) == 3
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]
    several = predict_inputs(Classifier.load(tiny_bundle, threads=2), images, batch_size=3)
    assert [first, *stream] == list(several)


def test_batch_size_must_be_positive(classifier: Classifier) -> None:
    with pytest.raises(ValueError, match="batch_size"):
        next(predict_inputs(classifier, ["a"], batch_size=0))


def test_threads_may_share_a_classifier(classifier: Classifier, images: list[Path]) -> None:
    expected = [classifier.predict(path) for path in images]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(classifier.predict, images)) == expected


@pytest.mark.realdata
@pytest.mark.parametrize("name", bundle.SHIPPED)
def test_real_images_at_every_bit_depth(name: str, data_dir: Path, tmp_path: Path) -> None:
    """The same answer, and nearly the same probabilities, from 8, 16 and 32 bits a sample."""
    if not (Path(bundle.__file__).parent / "weights" / name).is_dir():
        pytest.skip(f"the bundle {name} is not in this checkout")
    shipped = Classifier.load(name, threads=1)
    originals = [
        path
        for label in CLASSES
        for path in sorted((data_dir / "nickparvar" / "Testing" / label).iterdir())[:2]
    ]
    for path in originals:
        gray = reader.read(path).pixels
        expected = shipped.predict(path)
        for data in stored_at_every_depth(gray):
            (tmp_path / "again").write_bytes(data)
            found = shipped.predict(tmp_path / "again")
            assert found.label == expected.label, path.name
            assert found.probabilities == pytest.approx(expected.probabilities, abs=0.02)


def stored_at_every_depth(gray: NDArray[np.float32]) -> list[bytes]:
    wide = gray.astype(np.uint16)
    share: NDArray[np.float32] = (gray / 255).astype(np.float32)
    encoders: list[Callable[[], bytes]] = [
        lambda: encode.png(gray.astype(np.uint8)),
        lambda: encode.png(wide * 257),
        lambda: encode.png(wide),
        lambda: encode.tiff(wide * 257),
        lambda: encode.tiff(share),
    ]
    return [encoder() for encoder in encoders]

"""The map lands where the evidence is, in pixels of the original image."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.answers import predict_inputs

from tumorlens.config import PreprocessConfig
from tumorlens.imaging import reader
from tumorlens.imaging.array import from_array
from tumorlens.imaging.raster import encode
from tumorlens.inference import heatmap
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.record import REJECTED, Prediction
from tumorlens.labels import CLASSES, NO_TUMOR
from tumorlens.preprocessing import Square, Windowed, resize

Gray = NDArray[np.uint8]


def test_upsample_is_the_inverse_of_the_geometry(head: Gray) -> None:
    """A blob, located by its preprocessed image's cells, is found again where it was."""
    config = PreprocessConfig(image_size=96)
    for shift in ((0, 0), (120, 40), (15, 200)):
        canvas = np.zeros((400, 420), np.float32)
        canvas[shift[0] : shift[0] + 200, shift[1] : shift[1] + 180] = head
        row, column = shift[0] + 130, shift[1] + 60
        blob = canvas.copy()
        blob[row - 6 : row + 7, column - 6 : column + 7] = 255
        plain, square = Windowed(canvas, config).fit(config)
        marked, same = Windowed(blob, config).fit(config)
        assert same == square
        difference = np.abs(marked.astype(np.float32) - plain)
        cells = resize(difference, 24)
        found = heatmap.explain(cells, "glioma", square, (400, 420))
        assert abs(found.peak.row - row) <= 5
        assert abs(found.peak.column - column) <= 5
        assert found.box is not None
        assert found.box.top <= row < found.box.bottom
        assert found.box.left <= column < found.box.right


def test_the_box_holds_the_peaks_part_only() -> None:
    cam = np.zeros((8, 8), np.float32)
    cam[1, 1], cam[6, 6] = 2.0, 1.8
    found = heatmap.explain(cam, "glioma", Square(0, 0, 80), (80, 80))
    assert (found.peak.row, found.peak.column) in {(r, c) for r in (14, 15) for c in (14, 15)}
    assert found.box is not None
    assert (found.box.top, found.box.bottom) == (found.box.left, found.box.right)
    assert 0 < found.box.top < 15 < found.box.bottom < 30


def test_no_evidence_has_a_place_but_no_box() -> None:
    cam = np.full((4, 4), -3.0, np.float32)
    cam[3, 0] = -1.0
    found = heatmap.explain(cam, "glioma", Square(0, 0, 40), (40, 40))
    assert found.box is None
    assert np.max(found.grid) == 0
    assert found.peak.row >= 35
    assert found.peak.column < 5
    assert heatmap.render(found, (40, 40)).max() == 0


def test_nothing_outside_of_what_the_network_saw() -> None:
    cam = np.ones((4, 4), np.float32)
    found = heatmap.explain(cam, "glioma", Square(-10, 20, 60), (100, 100))
    drawn = heatmap.render(found, (100, 100))
    assert drawn[:50, 20:80].min() == 1
    assert drawn.sum() == 50 * 60


@given(
    top=st.integers(-40, 40), left=st.integers(-40, 40), side=st.integers(8, 120),
    seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_any_square(top: int, left: int, side: int, seed: int) -> None:
    cam = np.random.default_rng(seed).normal(0, 1, (5, 5)).astype(np.float32)
    found = heatmap.explain(cam, "glioma", Square(top, left, side), (64, 48))
    drawn = heatmap.render(found, (64, 48))
    assert drawn.shape == (64, 48)
    assert 0 <= drawn.min() <= drawn.max() <= 1
    assert 0 <= found.peak.row < 64
    assert 0 <= found.peak.column < 48


def test_explained_predictions(classifier: Classifier, head: Gray, tmp_path: Path) -> None:
    """Asking for heatmaps changes no answer, and the map is that of the answered class."""
    path = tmp_path / "head.png"
    path.write_bytes(encode.png(head))
    (plain,) = predict_inputs(classifier, [path])
    (explained,) = predict_inputs(classifier, [path], explain=True)
    assert isinstance(plain, Prediction)
    assert isinstance(explained, Prediction)
    assert plain.heatmap is None
    assert explained.heatmap is not None
    assert explained.heatmap.label == explained.label
    assert explained.probabilities == plain.probabilities
    batch = classifier.preprocess(reader.read(path))[np.newaxis]
    cam = classifier.forward(batch).cam[0, CLASSES.index(explained.label)]
    np.testing.assert_allclose(
        explained.heatmap.grid, np.clip(cam, 0, None) / max(cam.max(), 1e-9), atol=1e-4
    )


@pytest.mark.parametrize("label", CLASSES)
def test_the_map_of_a_class_that_is_asked_for(
    classifier: Classifier, head: Gray, label: str
) -> None:
    (answer,) = classifier.answer([classifier.prepare(from_array(head))])
    found = answer.heatmap(label)
    if label == NO_TUMOR:
        assert found is None
        return
    assert found is not None
    cam = np.clip(answer.cam[CLASSES.index(label)], 0, None)
    np.testing.assert_allclose(found.grid, cam / max(cam.max(), 1e-9), atol=1e-4)


def test_no_heatmap_of_a_rejected_image(classifier: Classifier, head: Gray) -> None:
    (answer,) = classifier.answer([classifier.prepare(from_array(head))])
    rejected = msgspec.structs.replace(answer.prediction, decision=REJECTED, label=None)
    assert answer._replace(prediction=rejected).explained().heatmap is None


def test_no_heatmap_of_an_unread_file(classifier: Classifier, tmp_path: Path) -> None:
    (found,) = predict_inputs(classifier, [tmp_path / "gone.png"], explain=True)
    assert not isinstance(found, Prediction)


@pytest.mark.parametrize("shape", [(200, 180), (64, 300), (300, 64)])
def test_square_covers_the_crop(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).random(shape, dtype=np.float32)
    whole = PreprocessConfig(image_size=64, crop=False)
    _, square = Windowed(noise, whole).fit(whole)
    assert square.side == max(shape)
    assert 0 <= -square.top <= square.side
    assert square.top + square.side >= shape[0]
    assert square.left + square.side >= shape[1]

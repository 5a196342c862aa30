"""A screenshot is judged as the image in it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.demo.phantoms import make_phantom
from tumorlens.imaging.image import MedicalImage
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.gate import REFUSAL
from tumorlens.labels import CLASSES

Gray = NDArray[np.uint8]
MARGIN = ((40, 30), (60, 25))


@pytest.fixture(scope="module")
def knows_phantoms() -> Classifier:
    return Classifier.load("phantom", threads=1)


@pytest.mark.parametrize("label", CLASSES)
def test_the_answer_is_that_of_the_image(knows_phantoms: Classifier, label: str) -> None:
    head = make_phantom(np.random.default_rng([7, 1]), label).pixels
    white, black = (np.pad(head, MARGIN, constant_values=value) for value in (255, 0))
    plain, on_white, on_black = (knows_phantoms.predict(one) for one in (head, white, black))
    assert plain.label == on_white.label == on_black.label == label
    assert on_white.probabilities == plain.probabilities
    inverted = knows_phantoms.predict(np.pad(255 - head, MARGIN, constant_values=255))
    assert inverted.decision == "rejected"
    assert REFUSAL not in inverted.reason


def test_the_map_lies_where_the_image_lies(knows_phantoms: Classifier) -> None:
    head = make_phantom(np.random.default_rng([7, 1]), "glioma").pixels
    page = np.pad(head, MARGIN, constant_values=255)
    found = [
        answer.heatmap()
        for answer in knows_phantoms.answer(
            [
                knows_phantoms.prepare(MedicalImage(pixels.astype(np.float32), "x", 8, "L"))
                for pixels in (head, page)
            ]
        )
    ]
    here, there = found
    assert here is not None
    assert there is not None
    assert (there.peak.row, there.peak.column) == (here.peak.row + 40, here.peak.column + 60)
    assert there.grid == here.grid

"""What the gate refuses has no answer; what it lets pass has the answer it had."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.answers import predict_inputs

from tumorlens import bundle
from tumorlens.config import PreprocessConfig
from tumorlens.imaging import encode
from tumorlens.imaging.layout import INVERTED, PANELS
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.gate import REFUSAL
from tumorlens.inference.record import Prediction

Gray = NDArray[np.uint8]


@pytest.fixture(scope="module")
def gated(
    tiny_bundle: Path, brightness_gate: bytes, tmp_path_factory: pytest.TempPathFactory
) -> bundle.Bundle:
    made = bundle.load(tiny_bundle)
    facts = bundle.GateFacts(
        preprocess=PreprocessConfig(image_size=48, crop=False), threshold=0.2, chosen_on="a test"
    )
    info = msgspec.structs.replace(made.info, gate=facts)
    return bundle.save(tmp_path_factory.mktemp("gated") / "b", info, made.model, brightness_gate)


@pytest.fixture(scope="module")
def bright_and_dark(head: Gray, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("lights")
    grain = np.random.default_rng(0).integers(0, 3, head.shape)
    dark = np.where(head > 200, head - grain, head // 40)
    for name, pixels in (
        ("bright.png", np.where(head > 50, 200 + head // 8, 0)),
        ("dark.png", dark),
    ):
        (folder / name).write_bytes(encode.png(pixels.astype(np.uint8)))
    return [folder / "bright.png", folder / "dark.png", folder / "bright.png"]


def test_refused_images_among_others(
    gated: bundle.Bundle, bright_and_dark: list[Path], classifier: Classifier
) -> None:
    answers = list(predict_inputs(Classifier(gated, 1), bright_and_dark, explain=True))
    plain = list(predict_inputs(classifier, bright_and_dark))
    for answer, without in zip(answers, plain, strict=True):
        assert isinstance(answer, Prediction)
        assert isinstance(without, Prediction)
        if "dark" in answer.path:
            assert (answer.decision, answer.label) == ("rejected", None)
            assert (answer.reason, answer.heatmap) == (REFUSAL, None)
        else:
            assert (answer.decision, answer.label) == ("classified", without.label)
            assert answer.probabilities == without.probabilities
            assert answer.heatmap is not None


def test_inverted_images_and_panels_are_refused_with_or_without_a_gate(
    gated: bundle.Bundle, classifier: Classifier, head: Gray
) -> None:
    for one in (classifier, Classifier(gated, 1)):
        for pixels, reason in ((255 - head, INVERTED), (np.hstack([head, head]), PANELS)):
            answer = one.predict(pixels)
            assert (answer.decision, answer.label, answer.reason) == ("rejected", None, reason)
    measured = Classifier(classifier.bundle, 1, answer_all=True).predict(255 - head)
    assert measured.decision == "classified"


def test_to_measure_the_network_all_are_answered(
    gated: bundle.Bundle, bright_and_dark: list[Path]
) -> None:
    measuring = Classifier(gated, 1, answer_all=True)
    answers = [measuring.predict(path) for path in bright_and_dark]
    assert {answer.decision for answer in answers} == {"classified"}

"""What the gate refuses has no answer; what it lets pass has the answer it had."""

import io
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from PIL import Image
from tests.answers import predict_inputs

from tumorlens import bundle
from tumorlens.config import PreprocessConfig
from tumorlens.imaging import reader
from tumorlens.imaging.array import from_array
from tumorlens.imaging.image import TINTED, MedicalImage
from tumorlens.imaging.raster import encode
from tumorlens.imaging.samples.layout import INVERTED, PANELS, VIVID
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.gate import REFUSAL
from tumorlens.inference.record import Prediction
from tumorlens.inference.volume import answer_image

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


@pytest.mark.parametrize("stored", ["array", "png", "dicom", "volume"])
def test_images_in_vivid_colours_are_rejected(
    classifier: Classifier, head: Gray, write_dicom: Callable[..., bytes], stored: str
) -> None:
    """Photographs and computed maps, also as the slices of a volume. A tint is only noted."""
    for part, decision in ((0, "rejected"), (3, "classified")):
        colors = np.stack([head, head, head // 4 * np.uint8(part)], axis=-1)
        image = colored_image(colors, stored, write_dicom)
        answer = answer_image(classifier, image).answer
        assert answer.decision == decision
        assert answer.reason == (VIVID if part == 0 else "")
        assert answer.notes.count(TINTED) == (part == 3)
        assert VIVID not in answer.notes  # it is the reason


def colored_image(colors: Gray, stored: str, write_dicom: Callable[..., bytes]) -> MedicalImage:
    """(H, W, 3) in each form in which colours can be given."""
    if stored == "array":
        return from_array(colors)
    if stored == "png":
        return reader.read_bytes(png_of(colors))
    if stored == "volume":
        kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
        voxels = np.stack([colors[::-1].swapaxes(0, 1)] * 9, axis=2)
        rgb = np.ascontiguousarray(voxels).view(kind)[..., 0]
        return reader.read_bytes(Nifti1Image(rgb, np.diag([1, 1, 5, 1])).to_bytes())
    return reader.read_bytes(write_dicom(colors))


@pytest.mark.parametrize(
    ("vivid", "is_rejected"), [((0, 1, 2), True), ((0,), False), ((2,), False)]
)
@pytest.mark.parametrize("stored", ["dicom", "tiff"])
def test_frames_in_vivid_colours_reject_a_file_if_all_are(
    classifier: Classifier,
    head: Gray,
    write_dicom: Callable[..., bytes],
    stored: str,
    vivid: tuple[int, ...],
    is_rejected: bool,
) -> None:
    frames = np.stack([np.repeat(head[..., None], 3, axis=-1)] * 3)
    frames[list(vivid), ..., 0] = 0
    data = pages_of(frames)
    if stored == "dicom":
        data = write_dicom(
            frames[..., 0], SamplesPerPixel=3, PhotometricInterpretation="RGB",
            PlanarConfiguration=0, PixelData=frames.tobytes(),
        )  # fmt: skip
    answer = answer_image(classifier, reader.read_bytes(data)).answer
    assert (answer.decision == "rejected") is (answer.reason == VIVID) is is_rejected
    assert [note for note in answer.notes if note in {TINTED, VIVID}] == [TINTED] * (
        not is_rejected
    )


def pages_of(colors: Gray) -> bytes:
    """TIFF of (D, H, W, 3)."""
    out = io.BytesIO()
    first, *others = [Image.fromarray(page) for page in colors]
    first.save(out, "TIFF", save_all=True, append_images=others)
    return out.getvalue()


def png_of(colors: Gray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(colors).save(out, "PNG")
    return out.getvalue()


def test_to_measure_the_network_all_are_answered(
    gated: bundle.Bundle, bright_and_dark: list[Path]
) -> None:
    measuring = Classifier(gated, 1, answer_all=True)
    answers = [measuring.predict(path) for path in bright_and_dark]
    assert {answer.decision for answer in answers} == {"classified"}

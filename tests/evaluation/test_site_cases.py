"""Which images of a site are used to calibrate to it, and which are only counted."""

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.evaluated import record

from tumorlens import bundle
from tumorlens.config import PreprocessConfig
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.errors import DatasetError
from tumorlens.evaluation.site import LocalCases, read_cases
from tumorlens.imaging.raster import encode
from tumorlens.inference.classifier import Classifier

BRIGHT = [record("1.png", "glioma", group="P1"), record("2.png", "notumor")]
DARK = [record("dark1.png", "glioma"), record("dark2.png", "glioma")]
SICK = record("stroke.png", "other_pathology")


@pytest.fixture(scope="module")
def gated(tiny_bundle: Path, brightness_gate: bytes) -> Classifier:
    """Random weights behind a gate that lets bright images pass."""
    facts = bundle.GateFacts(
        preprocess=PreprocessConfig(image_size=48, crop=False), threshold=0.2, chosen_on="a test"
    )
    made = bundle.load(tiny_bundle)
    info = msgspec.structs.replace(made.info, gate=facts)
    return Classifier(dataclasses.replace(made, info=info, gate=brightness_gate), threads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("site")
    ramp = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    for image in BRIGHT:
        (made / image.path).write_bytes(encode.png(120 + ramp))
    for image in DARK:
        spot = np.zeros((64, 64), np.uint8)
        spot[:4, :4] = 255
        (made / image.path).write_bytes(encode.png(spot))
    return made


def cases(classifier: Classifier, folder: Path, *records: Record) -> LocalCases:
    return read_cases(classifier, Manifest(records, folder))


def test_only_accepted_images_are_used_and_the_others_counted(
    gated: Classifier, folder: Path
) -> None:
    again = dataclasses.replace(BRIGHT[0], path="2.png")
    found = cases(gated, folder, DARK[0], BRIGHT[0], SICK, again, BRIGHT[1], DARK[1])
    assert [r.path for r in found.records] == ["1.png", "2.png"]
    assert (found.rejected, found.no_class, found.repeated) == (2, 1, 1)
    assert found.groups == ("P1", f"image_{BRIGHT[1].sha256}")
    assert len(found.observed.logits) == len(found.sequences) == 2
    alone = cases(gated, folder, *BRIGHT)
    assert (alone.rejected, alone.no_class, alone.repeated) == (0, 0, 0)
    np.testing.assert_allclose(found.observed.logits, alone.observed.logits, atol=1e-6)
    np.testing.assert_allclose(
        found.observed.quantities["gate_score"], alone.observed.quantities["gate_score"], atol=1e-6
    )


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (DARK, "bundle tiny rejects all 2 images as not head MRI"),
        ([SICK], "the manifest contains no labelled image to calibrate on"),
        ([record("gone.png", "glioma")], "cannot calibrate on .*gone.png"),
        (
            [BRIGHT[0], dataclasses.replace(BRIGHT[0], path="2.png", label="pituitary")],
            "1.png and 2.png are the same image, but labelled glioma and pituitary",
        ),
    ],
)
def test_what_cannot_be_calibrated_on_says_why(
    gated: Classifier, folder: Path, records: list[Record], said: str
) -> None:
    with pytest.raises(DatasetError, match=said):
        cases(gated, folder, *records)

"""Zip archives on the page: the rows and answers are those of the same folder, and of `predict`."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import BrowserContext, Page, expect
from tests.answers import predict_inputs
from tests.server.browser.dropping import drop, headline, open_page, wait_for_answers
from tests.server.browser.test_page import exported

from tumorlens.imaging.finder import find
from tumorlens.imaging.raster import encode
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.record import Failure, Prediction, VolumePrediction

Slices = NDArray[np.uint8]


@pytest.fixture
def archive(
    write_dicom: Callable[..., bytes], head_slices: Slices, heads: list[Slices], tmp_path: Path
) -> Path:
    """A series of which a slice is cut off, images, an archive within, and what is no image."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as zipped:
        zipped.writestr("healthy.png", encode.png(heads[2]))
    path = tmp_path / "patient.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for index, pixels in enumerate(head_slices):
            data = write_dicom(
                pixels.astype(np.uint16), SeriesInstanceUID="1.2.3",
                SOPInstanceUID=f"1.2.3.{index}", ImagePositionPatient=[-90, -100, 6.0 * index],
                InstanceNumber=index + 1,
            )  # fmt: skip
            zipped.writestr(f"series/{index}", data[: -200 if index == 2 else None])
        zipped.writestr("images/pituitary.png", encode.png(heads[3]))
        zipped.writestr("inner.zip", inner.getvalue())
        zipped.writestr("readme.txt", "no image")
        zipped.writestr("__MACOSX/images/._pituitary.png", "no image")
    return path


def answers(page: Page) -> list[dict[str, Any]]:
    """Without those of the slices of volumes."""
    return sorted(
        (one for one in exported(page) if "slice" not in one), key=lambda one: str(one["path"])
    )


@pytest.mark.parametrize("private", [False, True])
def test_an_archive_is_answered_as_by_predict(
    context: BrowserContext, phantom_url: str, archive: Path, private: bool
) -> None:
    classifier = Classifier.load("phantom", threads=1)
    found = find(str(archive))
    expected = list(predict_inputs(classifier, found.inputs))
    page = open_page(context, phantom_url, private=private)
    page.set_input_files("#file-input", str(archive))
    wait_for_answers(page, 4)
    names = page.locator(".entry-name").all_inner_texts()
    assert names == [
        "patient.zip/images/pituitary.png", "patient.zip/inner.zip/healthy.png",
        "patient.zip/series (6 files)", "patient.zip/series/2",
    ]  # fmt: skip
    expect(page.locator("#progress")).to_contain_text("Skipped 1 file that is not an image.")
    *records, series, failed = answers(page)
    *images, failure = expected
    assert isinstance(failure, Failure)
    assert failed["error"]["kind"] == failure.error.kind
    for record, answer in zip([*records, series], images, strict=True):
        assert isinstance(answer, Prediction | VolumePrediction)
        assert (record["decision"], record["label"]) == (answer.decision, answer.label)
        assert record["summary"] == answer.summary
        assert record["notes"] == list(answer.notes)
        assert record["probabilities"] == pytest.approx(answer.probabilities, abs=1e-3)
    assert "1 of 6 slices could not be read and are left out" in series["notes"]
    page.close()


@pytest.mark.parametrize("private", [False, True])
def test_an_archive_that_cannot_be_opened_says_why(
    context: BrowserContext, phantom_url: str, archive: Path, private: bool
) -> None:
    page = open_page(context, phantom_url, private=private)
    data = archive.read_bytes()
    drop(page, "cut.zip", data[: len(data) // 2], "application/zip")
    wait_for_answers(page, 1)
    assert headline(page) == "Failed"
    expect(page.locator("#answer .reason")).to_contain_text("cut.zip: damaged zip")
    expect(page.get_by_role("status")).to_have_text("cut.zip: Failed.")
    page.close()

"""A study of several series has one answer, first on the page; volumes are cut in three planes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import BrowserContext, Page, expect
from tests.answers import predict_inputs
from tests.server.browser.dropping import choose, open_page, shown, wait_for_answers
from tests.server.browser.test_page import exported
from tests.server.made import dicom, nifti
from tests.server.wire import Start

from tumorlens.imaging.finder import find
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.record import Prediction, StudyPrediction, VolumePrediction

Slices = NDArray[np.uint8]


@pytest.fixture
def study(write_dicom: Callable[..., bytes], head_slices: Slices, tmp_path: Path) -> list[Path]:
    """Two series of one study."""
    made = []
    for number, (description, scale) in enumerate((("t1 se", 3), ("t2 flair", 7)), 1):
        for index, pixels in enumerate(head_slices):
            path = tmp_path / f"{description[:2]}-{index}.dcm"
            data = write_dicom(
                pixels.astype(np.uint16) * np.uint16(scale), SeriesInstanceUID=f"1.2.{number}",
                SOPInstanceUID=f"1.2.{number}.{index}", SeriesDescription=description,
                ImagePositionPatient=[-90, -100, 6.0 * index], InstanceNumber=index + 1,
            )  # fmt: skip
            path.write_bytes(data)
            made.append(path)
    return made


@pytest.mark.parametrize("private", [False, True])
def test_the_study_is_answered_first(
    page: Page, study: list[Path], private: bool, tmp_path: Path
) -> None:
    expected = next(
        one
        for one in predict_inputs(Classifier.load("phantom", threads=1), find(str(tmp_path)).inputs)
        if isinstance(one, StudyPrediction)
    )
    if private:
        page.get_by_role("switch").click()
    page.set_input_files("#file-input", [str(path) for path in study])
    expect(page.get_by_test_id("study")).to_have_text("Glioma", timeout=60_000)
    panel = page.locator("#answer > *")
    expect(panel.nth(0)).to_contain_text("Joint answer for the study, 2 series")
    expect(panel.nth(1)).to_contain_text("This series as a whole")
    expect(page.locator(".study-line")).to_contain_text("Glioma")
    first, *rest = exported(page)
    assert first["label"] == expected.label
    assert first["tumor_probability"] == pytest.approx(expected.tumor_probability, abs=2e-3)
    assert [one["sequence"] for one in first["members"]] == ["T1", "FLAIR"]
    assert [one["weight"] for one in first["members"]] == [m.weight for m in expected.members]
    assert [one["series_instance_uid"] for one in first["members"]] == ["1.2.1", "1.2.2"]
    assert first["decisive_member"] == expected.decisive_member
    decisive = page.locator(".entry").nth(expected.decisive_member)
    expect(decisive).to_have_attribute("aria-current", "true")
    assert len([one for one in rest if "slices" in one]) == 2
    page.emulate_media(media="print")
    page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    assert "Study of 2 series" in page.locator(".report-entry").nth(0).inner_text()


@pytest.mark.parametrize("private", [False, True])
def test_a_header_that_the_image_contradicts_is_noted(
    context: BrowserContext, start: Start, heads: list[Slices], write_dicom: Callable[..., bytes],
    tmp_path: Path, private: bool,
) -> None:  # fmt: skip
    """The network takes the image and the volume for T1CE."""
    for series, depth in enumerate((1, 3)):
        for index in range(depth):
            data = write_dicom(
                heads[0].astype(np.uint16) + np.uint16(index), SeriesDescription="t1 se",
                SeriesInstanceUID=f"1.2.{series}", StudyInstanceUID=f"1.3.{series}",
                SOPInstanceUID=f"1.2.{series}.{index}", ImagePositionPatient=[0, 0, 6.0 * index],
            )  # fmt: skip
            (tmp_path / f"{series}-{index}.dcm").write_bytes(data)
    image, volume = predict_inputs(
        Classifier.load("default", threads=1), find(str(tmp_path)).inputs
    )
    assert isinstance(image, Prediction)
    assert isinstance(volume, VolumePrediction)
    with start(bundle="default") as url:
        page = open_page(context, url, private=private)
        page.set_input_files("#file-input", sorted(tmp_path.iterdir()))
        wait_for_answers(page, 2)
        found = exported(page)
    for expected, one in ((image, found[0]), (volume, found[1])):
        assert "the header says T1, the image looks like T1CE" in expected.notes
        assert tuple(one["notes"]) == expected.notes
        assert one["summary"] == expected.summary
        assert one["sequence"]["name"] == "T1CE"


def test_a_volume_is_cut_along_three_planes(
    page: Page, head_slices: Slices, tmp_path: Path
) -> None:
    path = tmp_path / "head.nii"
    path.write_bytes(nifti(np.repeat(head_slices, 12, axis=0)[::2], "RAS"))
    page.get_by_role("switch").click()
    choose(page, [path])
    axial = shown(page)
    buttons = page.get_by_role("group", name="Plane").get_by_role("button")
    expect(buttons).to_have_text(["Axial", "Coronal", "Sagittal"])
    told = {}
    images = [axial]
    for name in ("Coronal", "Sagittal"):
        buttons.filter(has_text=name).click()
        expect(page.locator(".hud-slice")).to_contain_text(name.lower())
        label = page.locator(".stage").get_attribute("aria-label") or ""
        told[name] = label[label.index("Left is") : label.index(" Arrow")]
        images.append(shown(page))
    assert told == {
        "Coronal": "Left is R, right L, top H, bottom F.",
        "Sagittal": "Left is A, right P, top H, bottom F.",
    }
    assert images[0] != images[1] != images[2]
    before = page.locator(".hud-slice").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator(".hud-slice").inner_text() != before
    page.keyboard.press("v")
    expect(page.locator(".hud-slice")).to_contain_text("slice")
    assert shown(page) == axial


def test_window_and_level_are_in_the_files_units(
    page: Page, head_slices: Slices, tmp_path: Path
) -> None:
    path = tmp_path / "windowed.dcm"
    path.write_bytes(dicom(head_slices[2].astype(np.uint16) * np.uint16(5), window=(500, 1001)))
    page.get_by_role("switch").click()
    choose(page, [path])
    words = page.locator(".hud-window").inner_text().split()
    assert 300 < float(words[1]) <= 1000
    assert 100 < float(words[3]) < 600


def test_slices_with_several_windows_have_no_common_unit(
    page: Page, head_slices: Slices, tmp_path: Path
) -> None:
    paths = []
    for number, window in enumerate(((500, 1001), (400, 801), (450, 901))):
        pixels = head_slices[number].astype(np.uint16) * np.uint16(5)
        paths.append(tmp_path / f"{number}.dcm")
        paths[-1].write_bytes(dicom(pixels, position=4.0 * number, window=window))
    page.get_by_role("switch").click()
    page.set_input_files("#file-input", [str(path) for path in paths])
    wait_for_answers(page, 1)
    words = page.locator(".hud-window").inner_text().split()
    assert [words[1][-1], words[3][-1]] == ["%", "%"]
    assert 0 < float(words[1][:-1]) <= 100

"""NIfTI and DICOM on the page: slices in the order and orientation of a reading room."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect
from tests.answers import predict_inputs
from tests.server.browser.dropping import choose, headline, shown, wait_for_answers
from tests.server.browser.test_page import exported
from tests.server.made import dicom, nifti

from tumorlens.imaging.raster import encode
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.record import Prediction

Slices = NDArray[np.uint8]


def by_slice(page: Page) -> list[dict[str, Any]]:
    """Probabilities of the slices; volumes as a whole left out."""
    return [record["probabilities"] for record in exported(page) if "slices" not in record]


def test_scrolling_moves_through_a_volume(page: Page, head_slices: Slices, tmp_path: Path) -> None:
    path = tmp_path / "head.nii.gz"
    path.write_bytes(nifti(head_slices, "LPS", compressed=True))
    choose(page, [path])
    expect(page.locator(".hud-slice")).to_have_text("slice 4 of 6")
    middle = shown(page)
    page.locator(".stage").hover()
    page.mouse.wheel(0, 100)
    expect(page.locator(".hud-slice")).to_have_text("slice 5 of 6")
    assert shown(page) != middle
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".hud-slice")).to_have_text("slice 4 of 6")
    page.get_by_role("slider", name="Slice").fill("1")
    expect(page.locator(".hud-slice")).to_have_text("slice 1 of 6")
    expect(page.locator("#answer")).to_contain_text("6 slices")
    assert len(by_slice(page)) == 6


def test_a_volume_is_answered_as_a_whole_by_the_server(
    page: Page, head_slices: Slices, tmp_path: Path
) -> None:
    path = tmp_path / "head.nii"
    path.write_bytes(nifti(head_slices, "RAS"))
    choose(page, [path])
    expect(page.get_by_test_id("whole")).to_have_text("Glioma")
    expect(page.locator(".entry-answer")).to_contain_text("Glioma")
    (whole,) = [record for record in exported(page) if "slices" in record]
    assert (whole["path"], whole["label"]) == ("head.nii", "glioma")
    for place, one in enumerate(by_slice(page)):
        assert whole["slices"][place]["probabilities"] == pytest.approx(one, abs=2e-3)
    page.click("#go-to-finding")
    middle = whole["finding"]["middle"] + 1
    expect(page.locator(".hud-slice")).to_have_text(f"slice {middle} of 6")


@pytest.mark.parametrize("private", [False, True])
def test_one_head_in_any_orientation_gives_the_same_answers(
    page: Page, head_slices: Slices, tmp_path: Path, private: bool
) -> None:
    if private:
        page.get_by_role("switch").click()
    codes = ("LPS", "RAS", "LAS", "PSR", "ILA")
    paths = [tmp_path / f"{code}.nii" for code in codes]
    for path in paths:
        path.write_bytes(nifti(head_slices, path.stem))
    choose(page, paths)
    found = by_slice(page)
    assert len(found) == 6 * len(codes)
    first = found[:6]
    for start in range(6, len(found), 6):
        for one, other in zip(first, found[start : start + 6], strict=True):
            assert other == pytest.approx(one, abs=1e-3)
    assert first[0] != pytest.approx(first[5], abs=1e-3)


def test_the_patients_sides_stand_at_the_edges(
    page: Page, head_slices: Slices, tmp_path: Path
) -> None:
    """Of files that state them only; what is drawn is in the saved image too."""
    stored = head_slices[3].astype(np.uint16)
    (tmp_path / "sagittal.dcm").write_bytes(dicom(stored, directions="0\\1\\0\\0\\0\\-1"))
    (tmp_path / "axial.nii").write_bytes(nifti(head_slices, "LAS"))
    (tmp_path / "image.png").write_bytes(encode.png(head_slices[3]))
    page.get_by_role("switch").click()
    choose(page, sorted(tmp_path.iterdir()))
    told = {}
    for name in ("axial.nii", "sagittal.dcm", "image.png"):
        page.locator(".entry", has_text=name).click()
        label = page.locator(".stage").get_attribute("aria-label") or ""
        told[name] = (
            re.findall(r"Left is .*?bottom \w+", label),
            _brightest_at_the_left(page) > 200,
        )
    assert told == {
        "axial.nii": (["Left is R, right L, top A, bottom P"], True),
        "sagittal.dcm": (["Left is A, right P, top H, bottom F"], True),
        "image.png": ([], False),
    }


def test_oblong_pixels_are_printed_as_high_as_they_are(
    page: Page, head_slices: Slices, tmp_path: Path
) -> None:
    path = tmp_path / "oblong.dcm"
    path.write_bytes(dicom(head_slices[3][::2].astype(np.uint16), spacing=(2.0, 1.0)))
    page.evaluate("() => { window.print = () => window.dispatchEvent(new Event('beforeprint')); }")
    page.get_by_role("switch").click()
    choose(page, [path])
    page.click("#print")
    canvas = page.locator("#report canvas").first
    assert [canvas.get_attribute(side) for side in ("width", "height")] == ["192", "192"]


def _brightest_at_the_left(page: Page) -> int:
    """Of the pixels half-way down, where the image begins; a head's surroundings are dark."""
    brightest: int = page.evaluate(
        """() => {
          const canvas = document.querySelector(".stage-canvas");
          const side = Math.min(canvas.width, canvas.height);
          const context = new OffscreenCanvas(20, 20).getContext("2d");
          context.drawImage(canvas, (side - canvas.width) / 2, 10 - canvas.height / 2);
          const { data } = context.getImageData(0, 0, 20, 20);
          return Math.max(...data.filter((_, i) => i % 4 === 0));
        }"""
    )
    return brightest


def test_dicom_files_of_a_series_become_one_volume(
    page: Page, head_slices: Slices, tmp_path: Path
) -> None:
    """Named and numbered in a wrong order: the place along the normal decides."""
    folder = tmp_path / "study"
    folder.mkdir()
    for place, name in enumerate(("f", "b", "d", "a", "e", "c")):
        data = dicom(head_slices[place].astype(np.uint16) * np.uint16(100), position=5.0 * place)
        (folder / name).write_bytes(data)
    page.set_input_files("#folder-input", str(folder))
    wait_for_answers(page, 1)
    expect(page.locator(".entry-name")).to_have_text("study (6 files)")
    expect(page.locator(".hud-facts")).to_contain_text("DICOM, 16 bits · MR")
    from_dicom = by_slice(page)
    path = tmp_path / "head.nii"
    path.write_bytes(nifti(head_slices, "LPS"))
    page.click("#clear")
    choose(page, [path])
    for one, other in zip(from_dicom, by_slice(page), strict=True):
        assert other == pytest.approx(one, abs=2e-3)


def test_dicom_is_read_in_the_browser_as_python_reads_it(
    page: Page, head_slices: Slices, tmp_path: Path
) -> None:
    """Window, rescale, padding and polarity, each alone and together."""
    stored = head_slices[3].astype(np.uint16) * np.uint16(10)
    framed = stored.copy()
    framed[:20] = 4000
    files = {
        "plain": dicom(stored, series="1.1"),
        "window": dicom(stored, series="1.2", window=(900, 700)),
        "narrow": dicom(stored, series="1.3", window=(1200, 300), slope=0.5),
        "inverted": dicom(
            2550 - stored, series="1.4", photometric="MONOCHROME1", window=(1200, 1500)
        ),
        "padded": dicom(framed, series="1.5", padding=4000),
        "hidden": dicom(stored, series="1.6", window=(30000, 10)),
    }
    paths = []
    for name, data in files.items():
        paths.append(tmp_path / f"{name}.dcm")
        paths[-1].write_bytes(data)
    page.get_by_role("switch").click()
    choose(page, paths)
    answers = list(predict_inputs(Classifier.load("phantom", threads=1), paths))
    for record, answer in zip(exported(page), answers, strict=True):
        assert isinstance(answer, Prediction), answer
        assert record["path"] == Path(answer.path).name
        assert record["probabilities"] == pytest.approx(answer.probabilities, abs=1e-3)


def test_monochrome1_is_turned_the_right_way(
    page: Page, head_slices: Slices, tmp_path: Path
) -> None:
    plain, inverted = tmp_path / "plain.dcm", tmp_path / "inverted.dcm"
    plain.write_bytes(dicom(head_slices[3].astype(np.uint16), series="1.1"))
    negative = (255 - head_slices[3]).astype(np.uint16)
    inverted.write_bytes(dicom(negative, series="1.2", photometric="MONOCHROME1"))
    page.get_by_role("switch").click()
    choose(page, [plain, inverted])
    one, other = by_slice(page)
    assert other == pytest.approx(one, abs=1e-6)


@pytest.mark.parametrize("private", [False, True])
def test_a_slice_that_came_twice_is_told(
    page: Page, head_slices: Slices, tmp_path: Path, private: bool
) -> None:
    """What is left of two copies is an image, answered as one file or as PNG."""
    for name in ("a.dcm", "b.dcm"):
        (tmp_path / name).write_bytes(dicom(head_slices[3].astype(np.uint16)))
    if private:
        page.get_by_role("switch").click()
    page.set_input_files("#file-input", [str(tmp_path / name) for name in ("a.dcm", "b.dcm")])
    wait_for_answers(page, 1)
    expect(page.locator("#answer")).to_contain_text("1 slice repeats the position of another")
    assert exported(page)[0]["notes"]


def test_ct_is_refused_in_words(page: Page, head_slices: Slices, tmp_path: Path) -> None:
    path = tmp_path / "ct.dcm"
    path.write_bytes(dicom(head_slices[3].astype(np.uint16), modality="CT"))
    page.get_by_role("switch").click()
    choose(page, [path])
    assert headline(page) == "Failed"
    expect(page.locator("#answer .reason")).to_contain_text("modality CT; only MR is classified")

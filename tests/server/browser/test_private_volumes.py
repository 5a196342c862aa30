"""Volumes that stay: the whole's answer in the browser is the server's, and nothing is sent."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import msgspec
import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import BrowserContext, Page, Request, expect
from tests.server.browser.dropping import drop, wait_for_answers
from tests.server.browser.test_page import exported
from tests.server.browser.test_private import is_static
from tests.server.made import dicom
from tests.server.wire import Start

from tumorlens import bundle
from tumorlens.config import PreprocessConfig
from tumorlens.demo.phantoms import Patient

Slices = NDArray[np.uint8]


def head(label: str, depth: int = 9) -> Slices:
    """(D, H, W) from the feet up, each as it is looked at."""
    rng = np.random.default_rng([3, 0])
    patient = Patient.draw(rng, label)
    return np.stack([patient.slice(rng, z).pixels for z in np.linspace(-0.5, 0.5, depth)])


def nifti(
    slices: NDArray[np.generic], spacing: tuple[float, float, float], *, oriented: bool = True
) -> bytes:
    """A file with voxels of ``spacing`` millimetres along columns, rows and slices.

    With ``oriented`` it states by a qform alone that axes run to the left, the back and the head;
    else the usual orientation is to be assumed, in which the first and last voxel mean the same.
    """
    affine = np.diag([*(np.array([-1, -1, 1]) * spacing), 1])
    turned = slices if oriented else np.flip(slices, 1)
    voxels = np.moveaxis(turned, (0, 1, 2), (2, 1, 0))
    image = nibabel.Nifti1Image(voxels, affine if oriented else np.diag([-1, 1, 1, 1]))
    image.header.set_zooms(spacing + (1,) * (voxels.ndim - 3))
    image.set_qform(affine if oriented else None, code=int(oriented))
    image.set_sform(None, code=0)
    return image.to_bytes()


class Seen(NamedTuple):
    """What a mode answers and shows."""

    record: dict[str, Any]
    entry: str
    card: str
    strip: NDArray[np.int16]


def seen(page: Page, where: str) -> Seen:
    """Look at the only item, once it is answered."""
    wait_for_answers(page, 1)
    expect(page.locator(".details")).to_contain_text(where)
    (record,) = [record for record in exported(page) if "slices" in record]
    strip = page.evaluate(
        """() => {
          const canvas = document.querySelector(".timeline");
          const { width, height } = canvas;
          const copy = new OffscreenCanvas(width, height);
          const context = copy.getContext("2d", { willReadFrequently: true });
          context.fillRect(0, 0, width, height);
          context.drawImage(canvas, 0, 0);
          return [...context.getImageData(0, 0, width, height).data];
        }"""
    )
    return Seen(
        record,
        page.locator(".entry-answer").inner_text(),
        page.locator("#answer .card").first.inner_text(),
        np.array(strip, dtype=np.int16),
    )


def both(page: Page) -> tuple[Seen, Seen]:
    """The server's answer, and the browser's after the switch."""
    server = seen(page, "by the server")
    page.get_by_role("switch").click()
    return server, seen(page, "in this browser")


def assert_same(server: Seen, browser: Seen) -> None:
    """But for what only the server looks up in the files."""
    assert list(browser.record) == list(server.record)
    kept = (
        "decision", "label", "notes", "prediction_set", "model", "path", "sequence",
        "decisive_slice", "is_upright_axial",
    )  # fmt: skip
    for field in kept:
        assert browser.record[field] == server.record[field], field
    assert (browser.record["reason"] == "") == (server.record["reason"] == "")
    assert_shares(server.record["probabilities"], browser.record["probabilities"])
    places = [
        one.record["finding"]
        and [one.record["finding"][key] for key in ("first", "middle", "last")]
        for one in (server, browser)
    ]
    assert places[0] == places[1]
    for one, other in zip(server.record["slices"], browser.record["slices"], strict=True):
        assert (one["index"], one["decision"]) == (other["index"], other["decision"])
        assert one["along_mm"] == pytest.approx(other["along_mm"], abs=2e-4)
        assert_shares(one["probabilities"], other["probabilities"])
        assert (one["error"] is None) == (other["error"] is None)
    schema = files("tumorlens").joinpath("schemas/record.schema.json").read_text("utf-8")
    jsonschema.validate(browser.record, json.loads(schema))
    assert browser.entry.split("%")[0][:-2] == server.entry.split("%")[0][:-2]
    assert browser.card.splitlines()[:2] == server.card.splitlines()[:2]
    assert np.abs(browser.strip - server.strip).max() <= 2


def assert_shares(one: dict[str, float] | None, other: dict[str, float] | None) -> None:
    assert one == other or one == pytest.approx(other, abs=1e-3)


@contextmanager
def opened(context: BrowserContext, url: str) -> Iterator[Page]:
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("html[data-ready]")
    yield page
    page.close()


@pytest.mark.parametrize("label", ["glioma", "meningioma", "notumor", "pituitary"])
def test_the_whole_is_answered_as_by_the_server(page: Page, label: str) -> None:
    drop(page, "head.nii", nifti(head(label), (1.0, 1.0, 4.0)))
    server, browser = both(page)
    assert_same(server, browser)
    assert browser.record["label"] == label
    if label == "notumor":
        assert browser.record["finding"] is None
        return
    page.click("#go-to-finding")
    middle = browser.record["finding"]["middle"] + 1
    expect(page.locator(".hud-slice")).to_have_text(f"slice {middle} of 9")
    expect(page.locator(".legend")).to_contain_text("where the network sees tumour")
    expect(page.get_by_role("slider", name="Heatmap")).to_be_enabled()


@pytest.mark.parametrize("kind", ["oblong", "thin", "blank", "unoriented", "timed"])
def test_odd_volumes_are_read_as_by_the_server(page: Page, kind: str) -> None:
    slices = head("glioma")
    made = {
        "oblong": lambda: nifti(slices[:, :, ::2], (2.0, 1.0, 3.0)),
        "thin": lambda: nifti(slices[:, ::3], (0.5, 1.5, 0.5)),
        "blank": lambda: nifti(np.pad(slices, ((2, 1), (0, 0), (0, 0))), (1.0, 1.0, 6.0)),
        "unoriented": lambda: nifti(slices, (1.0, 1.0, 5.0), oriented=False),
        "timed": lambda: nifti(np.stack([slices, 255 - slices], -1), (1.0, 1.0, 5.0)),
    }
    drop(page, "head.nii", made[kind]())
    server, browser = both(page)
    assert_same(server, browser)
    assert browser.record["label"] == "glioma"
    notes = " ".join(browser.record["notes"])
    assert notes
    extents = {"oblong": "over 27 mm", "thin": "over 4 mm", "blank": "9 slices over 54 mm"}
    assert kind not in extents or f"{extents[kind]} show only part" in notes


def test_a_series_with_a_gap_a_repeat_and_a_localizer(page: Page, tmp_path: Path) -> None:
    """Two stacks of one series: seven slices of one direction, one of another."""
    slices = head("glioma").astype(np.uint16) * np.uint16(100)
    places = [(8, 40.0), (0, 0.0), (1, 5.0), (3, 15.0), (2, 10.0), (4, 20.0), (7, 35.0), (3, 15.0)]
    folder = tmp_path / "study"
    folder.mkdir()
    for number, (slice_, at) in enumerate(places):
        (folder / f"{number}").write_bytes(dicom(slices[slice_], position=at))
    sagittal = dicom(slices[4][:, ::-1], directions="0\\1\\0\\0\\0\\-1")
    (folder / "localizer").write_bytes(sagittal)
    page.set_input_files("#folder-input", str(folder))
    wait_for_answers(page, 2)
    expect(page.locator(".entry-name").first).to_have_text("study (8 files)")
    expect(page.locator(".entry-name").last).to_have_text("study/localizer")
    (server,) = [record for record in exported(page) if "slices" in record]
    page.get_by_role("switch").click()
    wait_for_answers(page, 2)
    expect(page.locator(".details")).to_contain_text("in this browser")
    (browser,) = [record for record in exported(page) if "slices" in record]
    assert browser["notes"] == server["notes"]
    assert len(browser["notes"]) == 3
    assert "over 45 mm show only part of the head" in browser["notes"][-1]
    assert [one["along_mm"] for one in browser["slices"]] == [0, 5, 10, 15, 20, 35, 40]
    assert browser["label"] == server["label"]
    assert_shares(browser["probabilities"], server["probabilities"])
    for key in ("first", "middle", "last"):
        assert browser["finding"][key] == server["finding"][key]
    assert browser["finding"]["path"].startswith("study/")


def test_no_volume_leaves_the_browser(
    context: BrowserContext, page: Page, phantom_url: str
) -> None:
    requests: list[Request] = []
    context.on("request", lambda request: requests.append(request))
    page.reload()
    page.wait_for_selector("html[data-ready]")
    page.get_by_role("switch").click()
    drop(page, "head.nii", nifti(head("pituitary"), (1.0, 1.0, 4.0)))
    browser = seen(page, "in this browser (the image did not leave it)")
    assert browser.record["label"] == "pituitary"
    page.evaluate("() => { window.print = () => window.dispatchEvent(new Event('beforeprint')); }")
    page.click("#print")
    first = browser.record["finding"]["first"] + 1
    expect(page.locator("#report")).to_contain_text("As a whole: Pituitary tumour")
    expect(page.locator("#report")).to_contain_text(f"Slices {first} to ")
    assert any(request.url.endswith("model/model.onnx") for request in requests)
    assert [request.url for request in requests if not is_static(request, phantom_url)] == []


@pytest.mark.parametrize("decision", ["abstained", "rejected"])
def test_what_is_held_back_is_held_back_of_the_whole(
    context: BrowserContext, start: Start, brightness_gate: bytes, tmp_path: Path, decision: str
) -> None:
    """A bar that no answer passes, and a gate that no slice does."""
    made = bundle.load("phantom")
    rule = bundle.DecisionRule(tumor_threshold=1.0, notumor_threshold=1.0)
    sets = bundle.ConformalThresholds(coverage=0.9, thresholds=(0.0, 0.2, 0.0, 0.2))
    info = msgspec.structs.replace(made.info, decision=rule, prediction_sets=sets)
    gate = None
    if decision == "rejected":
        facts = bundle.GateFacts(
            preprocess=PreprocessConfig(image_size=48), threshold=100.0, chosen_on="a test"
        )
        info, gate = msgspec.structs.replace(info, gate=facts), brightness_gate
    bundle.save(tmp_path / "strict", info, made.model, gate)
    with start(bundle=str(tmp_path / "strict")) as url, opened(context, url) as page:
        drop(page, "head.nii", nifti(head("notumor"), (1.0, 1.0, 4.0)))
        server, browser = both(page)
        assert_same(server, browser)
        assert (browser.record["decision"], browser.record["label"]) == (decision, None)
        assert browser.record["reason"]
        assert page.locator("#go-to-finding").count() == 0
        assert page.locator(".chosen").count() == 0
        page.click("#history-open")
        assert "no tumour" not in page.get_by_role("dialog").inner_text()

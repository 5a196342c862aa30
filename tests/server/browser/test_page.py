"""A person uses the page: files in, answers, heatmap, windowing, keys, exports."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import BrowserContext, Page, Route, expect
from tests.server.browser.dropping import choose, drop, headline, open_page, shown, wait_for_answers
from tests.server.wire import Start

from tumorlens import bundle
from tumorlens.config import PreprocessConfig
from tumorlens.imaging.raster import encode
from tumorlens.inference.gate import REFUSAL
from tumorlens.labels import CLASSES
from tumorlens.reporting.records import csv_columns


def exported(page: Page) -> list[dict[str, Any]]:
    with page.expect_download() as waiting:
        page.click("#export-json")
    text = Path(waiting.value.path()).read_text("utf-8")
    assert "not a medical device" in text
    records: list[dict[str, Any]] = json.loads(text)["predictions"]
    return records


def test_files_are_answered_as_the_server_answers(
    page: Page, files: list[Path], phantom_url: str
) -> None:
    choose(page, files)
    assert headline(page) == "Glioma"
    sent = [("files", (path.name, path.read_bytes())) for path in files]
    expected = httpx.post(f"{phantom_url}/v1/predictions?heatmap=grid", files=sent).json()
    found = exported(page)
    assert [one | {"preview": None} for one in found] == expected["predictions"]
    assert [record["label"] for record in found] == list(CLASSES)


@pytest.mark.parametrize("private", [False, True])
def test_examples_are_answered_by_the_network_that_they_were_drawn_for(
    context: BrowserContext, start: Start, private: bool
) -> None:
    with start(bundle="default") as url:
        page = open_page(context, url, private=private)
        page.click("#examples")
        wait_for_answers(page, 4)
        found = exported(page)
    assert [record["label"] for record in found] == list(CLASSES)
    assert {record["model"]["name"] for record in found} == {"phantom"}


def test_a_dropped_file(page: Page, heads: list[NDArray[np.uint8]]) -> None:
    drop(page, "dropped.png", encode.png(heads[1]))
    wait_for_answers(page, 1)
    assert headline(page) == "Meningioma"


def test_the_notice_is_always_in_view(page: Page, files: list[Path]) -> None:
    for _ in range(2):
        notice = page.get_by_role("region", name="Intended use")
        expect(notice).to_be_in_viewport()
        expect(notice).to_contain_text("not a medical device")
        choose(page, files[:1])
    page.set_viewport_size({"width": 390, "height": 700})
    page.mouse.wheel(0, 2000)
    expect(page.get_by_role("region", name="Intended use")).to_be_in_viewport()


def test_a_file_that_cannot_be_used_says_why_and_stops_no_other(
    page: Page, files: list[Path], tmp_path: Path
) -> None:
    bad = tmp_path / "<img src=x onerror=alert(1)>.png"
    bad.write_bytes(files[0].read_bytes()[:500])
    notes = tmp_path / "notes.txt"
    notes.write_text("no image")
    choose(page, [bad, files[2], notes])
    expect(page.get_by_text("no tumour", exact=False).first).to_be_visible()
    for name in (bad.name, notes.name):
        page.locator(".entry", has_text=name).click()
        assert headline(page) == "Failed"
        expect(page.locator("#answer .reason")).to_contain_text(name)


def test_tiff_is_shown_by_the_servers_eyes(
    page: Page, heads: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    path = tmp_path / "deep.tif"
    path.write_bytes(encode.tiff(heads[0].astype(np.uint16) * np.uint16(250)))
    choose(page, [path])
    assert headline(page) == "Glioma"
    expect(page.locator(".hud-facts")).to_contain_text("192 × 192 · decoded by the server")
    assert len(set(shown(page))) > 50


def test_the_slider_fades_the_heatmap(page: Page, files: list[Path]) -> None:
    choose(page, files[:1])
    slider = page.get_by_role("slider", name="Heatmap")
    strong = shown(page)
    slider.fill("20")
    weak = shown(page)
    slider.fill("0")
    without = shown(page)
    assert strong != weak
    assert weak != without
    difference = [np.abs(np.subtract(one, without)).sum() for one in (weak, strong)]
    assert 0 < difference[0] < difference[1]


def test_dragging_changes_window_and_level(page: Page, files: list[Path]) -> None:
    choose(page, files[1:2])
    page.get_by_role("slider", name="Heatmap").fill("0")
    label = page.locator(".hud-window")
    before, pixels = label.inner_text(), shown(page)
    box = page.locator(".stage").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 120, y + 60, steps=4)
    page.mouse.up()
    assert label.inner_text() != before
    assert shown(page) != pixels
    page.mouse.dblclick(x, y)
    assert label.inner_text() == before
    assert shown(page) == pixels


def test_keys(page: Page, files: list[Path]) -> None:
    choose(page, files)
    current = page.locator(".entry[aria-current]")
    page.keyboard.press("ArrowDown")
    expect(current).to_contain_text("meningioma-16.png")
    page.keyboard.press("j")
    expect(current).to_contain_text("healthy.jpg")
    page.keyboard.press("k")
    expect(current).to_contain_text("meningioma-16.png")
    with_heat = shown(page)
    page.keyboard.press("h")
    expect(page.get_by_role("slider", name="Heatmap")).to_have_value("0")
    assert shown(page) != with_heat
    page.keyboard.press("h")
    assert shown(page) == with_heat
    page.keyboard.press("[")
    expect(page.get_by_role("slider", name="Heatmap")).to_have_value("50")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_label("Use single-key shortcuts").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("h")
    expect(page.get_by_role("slider", name="Heatmap")).to_have_value("50")


def test_everything_is_reached_with_the_tab_key(page: Page, files: list[Path]) -> None:
    choose(page, files[:2])
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("() => document.activeElement.id || document.activeElement.className")
        )
    wanted = {"private", "history-open", "theme", "help-open", "more", "clear", "entry", "stage",
              "heat-slider", "width-slider", "level-slider", "tool", "export-json", "export-csv",
              "print"}  # fmt: skip
    assert wanted <= reached


def test_csv(page: Page, files: list[Path], tmp_path: Path) -> None:
    formula = tmp_path / "=cmd,1.png"
    formula.write_bytes(files[0].read_bytes())
    choose(page, [files[0], formula])
    with page.expect_download() as waiting:
        page.click("#export-csv")
    rows = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text("utf-8"))))
    assert [name for name in rows[0] if name != "slice"] == list(csv_columns())
    assert [row["path"] for row in rows] == ["glioma.png", "'=cmd,1.png"]
    assert rows[0]["label"] == "glioma"
    assert float(rows[0]["glioma"]) > 0.5


def test_history_lives_in_the_browser_only(page: Page, files: list[Path]) -> None:
    choose(page, files[:2])
    page.click("#history-open")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("meningioma-16.png")
    assert page.evaluate("() => localStorage.getItem('tumorlens.history')") is None
    page.get_by_label("Keep it after the tab is closed").check()
    assert page.evaluate("() => localStorage.getItem('tumorlens.history')") is not None
    page.get_by_text("Clear history").click()
    expect(dialog).to_contain_text("Nothing yet")


def test_the_printed_report_has_every_answer(page: Page, files: list[Path]) -> None:
    # The browser announces a printout; a replaced print() does not.
    page.evaluate(
        "() => { window.print = () => { window.printed = true;"
        " window.dispatchEvent(new Event('beforeprint')); }; }"
    )
    choose(page, files[:2])
    page.click("#print")
    assert page.evaluate("() => window.printed")
    page.emulate_media(media="print")
    report = page.locator("#report")
    expect(report).to_contain_text("not for diagnosis")
    expect(report).to_contain_text("meningioma-16.png")
    expect(page.locator("#desk")).to_be_hidden()
    assert len(page.pdf()) > 10_000


@pytest.mark.parametrize("private", [False, True])
def test_an_abstained_answer_is_never_shown_as_no_tumour(
    context: BrowserContext, start: Start, files: list[Path], tmp_path: Path, private: bool
) -> None:
    """A bundle whose bar no answer passes, asked about a healthy head."""
    made = bundle.load("phantom")
    rule = bundle.DecisionRule(tumor_threshold=1.0, notumor_threshold=1.0)
    bundle.save(tmp_path / "strict", msgspec.structs.replace(made.info, decision=rule), made.model)
    with start(bundle=str(tmp_path / "strict")) as url:
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector("html[data-ready]")
        if private:
            page.get_by_role("switch").click()
        choose(page, files[2:3])
        assert headline(page) == "Abstained"
        expect(page.locator("#answer .reason")).to_contain_text(
            "Uncertain whether there is a tumour"
        )
        assert page.locator(".chosen").count() == 0
        assert page.locator(".entry-answer").inner_text() == "Abstained"
        (record,) = exported(page)
        assert (record["decision"], record["label"]) == ("abstained", None)
        page.click("#history-open")
        assert "no tumour" not in page.get_by_role("dialog").inner_text()
        page.close()


@pytest.mark.parametrize("private", [False, True])
def test_a_rejected_input_is_never_shown_as_no_tumour(
    context: BrowserContext,
    start: Start,
    files: list[Path],
    brightness_gate: bytes,
    tmp_path: Path,
    private: bool,
) -> None:
    """A bundle whose gate lets nothing pass, asked about a healthy head."""
    made = bundle.load("phantom")
    facts = bundle.GateFacts(
        preprocess=PreprocessConfig(image_size=48), threshold=100.0, chosen_on="a test"
    )
    info = msgspec.structs.replace(made.info, gate=facts)
    bundle.save(tmp_path / "gated", info, made.model, brightness_gate)
    with start(bundle=str(tmp_path / "gated")) as url:
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector("html[data-ready]")
        if private:
            page.get_by_role("switch").click()
        choose(page, files[2:3])
        assert headline(page) == "Rejected"
        expect(page.locator("#answer .reason")).to_have_text(f"Rejected: {REFUSAL}.")
        assert page.locator(".bars").count() == 0
        assert page.get_by_role("slider", name="Heatmap").is_disabled()
        assert "no tumour" not in page.locator("#desk").inner_text()
        (record,) = exported(page)
        assert (record["label"], record["probabilities"]) == (None, None)
        page.close()


def test_a_server_with_tokens_asks_for_one(
    context: BrowserContext, start: Start, files: list[Path]
) -> None:
    token = "a-token-that-is-long-enough"
    with start(bundle="phantom", tokens=(token,)) as url:
        page = context.new_page()
        page.goto(url)
        page.get_by_label("This server requires a token").fill(token)
        page.get_by_role("button", name="Use it").click()
        page.wait_for_selector("html[data-ready]")
        choose(page, files[:1])
        assert headline(page) == "Glioma"
        assert token not in page.evaluate("() => JSON.stringify(localStorage)")
        page.close()


def test_a_busy_server_is_asked_again(page: Page, files: list[Path]) -> None:
    """Two refusals, as a full queue gives them, then the real answer."""
    refusals = 0

    def refuse(route: Route) -> None:
        nonlocal refusals
        refusals += 1
        if refusals > 2:
            route.continue_()
        else:
            headers = {"retry-after": "0", "content-type": "application/problem+json"}
            route.fulfill(status=503, headers=headers, body='{"detail": "busy"}')

    page.route("**/v1/predictions*", refuse)
    choose(page, files[:1])
    assert headline(page) == "Glioma"
    assert refusals == 3

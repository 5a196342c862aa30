"""Images that stay: the network in the browser, every request on record."""

import http.server
import json
import threading
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from playwright.sync_api import BrowserContext, Page, Request, expect
from tests.answers import predict_inputs
from tests.server.browser.dropping import choose, headline
from tests.server.browser.test_page import exported

from tumorlens.cli.web import command
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.record import Prediction

STATIC = {"", "main.js", "worker.js", "style.css", "favicon.svg", "v1/models", "model/model.onnx",
          "model/bundle.json", "ort-wasm-simd-threaded.wasm"}  # fmt: skip


def is_static(request: Request, url: str) -> bool:
    """A GET of one of the page's own files, with nothing added to its address."""
    path = request.url.removeprefix(url).removeprefix("/")
    known = path in STATIC or (path.startswith("chunk-") and path.endswith(".js"))
    return (
        request.url.startswith(url)
        and known
        and request.method == "GET"
        and (request.post_data_buffer is None)
    )


def agree(page: Page, files: list[Path], bundle: str) -> None:
    """The page's answers are Python's, within 0.001."""
    expected = list(predict_inputs(Classifier.load(bundle, threads=1), files))
    for record, answer in zip(exported(page), expected, strict=True):
        assert isinstance(answer, Prediction)
        assert record["path"] == Path(answer.path).name
        assert record["label"] == answer.label
        assert record["probabilities"] == pytest.approx(answer.probabilities, abs=1e-3)
        assert record["model"]["sha256"] == answer.model.sha256


def test_no_image_leaves_the_browser(
    context: BrowserContext, page: Page, files: list[Path], phantom_url: str
) -> None:
    requests: list[Request] = []
    context.on("request", lambda request: requests.append(request))
    page.reload()
    page.wait_for_selector("html[data-ready]")
    page.get_by_role("switch").click()
    expect(page.locator("#where")).to_contain_text("stay on this computer")
    choose(page, files)
    assert headline(page) == "Glioma"
    expect(page.locator(".details")).to_contain_text("did not leave it")
    agree(page, files, "phantom")
    page.keyboard.press("ArrowDown")
    page.click("#export-csv")
    assert any(request.url.endswith("model/model.onnx") for request in requests)
    assert [request.url for request in requests if not is_static(request, phantom_url)] == []


def test_switching_asks_again(page: Page, files: list[Path]) -> None:
    choose(page, files[:2])
    expect(page.locator(".details")).to_contain_text("by the server")
    page.get_by_role("switch").click()
    expect(page.locator(".details")).to_contain_text("in this browser")
    page.get_by_role("switch").click()
    expect(page.locator(".details")).to_contain_text("by the server")


def test_it_works_from_any_static_host(
    context: BrowserContext, files: list[Path], tmp_path: Path
) -> None:
    """``tumorlens web build`` below a path of a host that knows nothing but files."""
    folder = tmp_path / "host" / "some" / "place"
    built = CliRunner().invoke(command, ["build", str(folder)])
    assert built.exit_code == 0, built.output
    assert json.loads((folder / "model" / "bundle.json").read_text("utf-8"))["name"] == "default"
    handler = partial(_Quiet, directory=str(tmp_path / "host"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = context.new_page()
        requests: list[Request] = []
        page.on("request", lambda request: requests.append(request))
        page.goto(f"http://127.0.0.1:{server.server_port}/some/place/")
        page.wait_for_selector("html[data-ready]")
        expect(page.get_by_role("switch")).to_be_disabled()
        choose(page, files)
        agree(page, files, "default")
        page.close()
        server.shutdown()
    assert {urlsplit(request.url).port for request in requests} == {server.server_port}
    assert {request.method for request in requests} == {"GET"}


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

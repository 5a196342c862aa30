"""The report of a study in Chromium: it asks for nothing, axe finds nothing, it prints."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser
from tests.server.browser.test_accessible import violations

from tumorlens.cli.predict import command
from tumorlens.demo.phantoms import make_phantom
from tumorlens.imaging.raster import encode


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory, write_series: Callable[..., list[bytes]]
) -> Path:
    import numpy as np

    folder = tmp_path_factory.mktemp("study")
    head = encode.png(make_phantom(np.random.default_rng([0, 0]), "glioma").pixels)
    (folder / "a.png").write_bytes(head)
    (folder / "broken.png").write_bytes(head[:300])
    for index, data in enumerate(write_series(8)):
        (folder / f"{index}.dcm").write_bytes(data)
    words = [str(folder), "--bundle", "phantom", "--html", str(folder / "report.html")]
    assert CliRunner().invoke(command, words).exit_code == 3
    return folder / "report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_asked_for_and_axe_is_content(
    browser: Browser, report: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=False
    )
    page = context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(report.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    assert complaints == []
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert violations(page) == []
    context.close()


def test_it_prints(browser: Browser, report: Path) -> None:
    page = browser.new_page()
    page.goto(report.as_uri())
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()

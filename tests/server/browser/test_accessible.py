"""axe finds nothing serious: both themes, every state, desk and phone."""

from pathlib import Path

import pytest
from playwright.sync_api import Page
from tests.server.browser.dropping import choose

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the dev extra")


def violations(page: Page) -> list[str]:
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {[node['html'][:120] for node in one['nodes']][:3]}"
        for one in found
        if one["impact"] in {"serious", "critical", "moderate"}
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe(page: Page, files: list[Path], tmp_path: Path, theme: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    assert violations(page) == []
    broken = tmp_path / "broken.png"
    broken.write_bytes(files[0].read_bytes()[:400])
    choose(page, [files[0], broken])
    assert violations(page) == []
    page.locator(".entry", has_text="broken.png").click()
    assert violations(page) == []
    for button in ("#help-open", "#history-open"):
        page.click(button)
        assert violations(page) == []
        page.keyboard.press("Escape")


def test_docs(page: Page, phantom_url: str) -> None:
    page.goto(f"{phantom_url}/docs")
    assert violations(page) == []

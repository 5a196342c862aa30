"""The page in a real Chromium, with a real server and the network that knows phantoms."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("playwright", reason="needs the dev extra")

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from tests.server.wire import Start

from tumorlens.demo.phantoms import Patient, make_phantom
from tumorlens.imaging.raster import encode
from tumorlens.labels import CLASSES

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Closed with its module: while it is open, no test of this thread can run a loop."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def phantom_url(start: Start) -> Iterator[str]:
    with start(bundle="phantom") as address:
        yield address


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, phantom_url: str) -> Iterator[Page]:
    """The page, opened; a test fails where the browser complains of anything."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(phantom_url)
    page.wait_for_selector("html[data-ready]")
    yield page
    # Refusals are a 4xx or 503, which Chromium notes by itself.
    noted = ("status of 422", "status of 503")
    assert [text for text in complaints if not any(one in text for one in noted)] == []


@pytest.fixture(scope="session")
def heads() -> list[NDArray[np.uint8]]:
    """A phantom of each class."""
    return [
        make_phantom(np.random.default_rng([0, place]), label).pixels
        for place, label in enumerate(CLASSES)
    ]


@pytest.fixture(scope="session")
def head_slices() -> NDArray[np.uint8]:
    """(6, H, W) from the feet up, each as it is looked at."""
    rng = np.random.default_rng([3, 0])
    patient = Patient.draw(rng, "glioma")
    return np.stack([patient.slice(rng, z).pixels for z in np.linspace(-0.3, 0.3, 6)])


@pytest.fixture(scope="session")
def files(heads: list[NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One image a class: PNG of 8 and 16 bits, gray and colour JPEG."""
    folder = tmp_path_factory.mktemp("page")
    tinted = np.stack([heads[3], heads[3] - heads[3] // 8, heads[3] - heads[3] // 4], axis=-1)
    made = {
        "glioma.png": encode.png(heads[0]),
        "meningioma-16.png": encode.png(heads[1].astype(np.uint16) * np.uint16(180)),
        "healthy.jpg": encode.jpeg(heads[2], 95),
        "pituitary-colour.jpg": encode.jpeg(tinted, 95),
    }
    for name, data in made.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in made]

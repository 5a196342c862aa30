"""A network of forty classes on the page, answered by the server and in the browser."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect
from tests.server.wire import Start

from tumorlens.imaging.raster import encode


@pytest.fixture(scope="module")
def phantom_url(start: Start, forty_bundle: Path) -> Iterator[str]:
    """Instead of the network that knows phantoms."""
    with start(bundle=str(forty_bundle)) as address:
        yield address


@pytest.mark.parametrize("private", [False, True])
def test_forty_classes(
    page: Page, head: NDArray[np.uint8], tmp_path: Path, *, private: bool
) -> None:
    if private:
        page.locator("#private").click()
    path = tmp_path / "a.png"
    path.write_bytes(encode.png(head))
    page.set_input_files("#file-input", path)
    headline = page.get_by_test_id("headline")
    expect(headline).to_have_text(re.compile(r"^(Kind \d+|Haemorrhage)$"), timeout=60_000)
    expect(page.locator(".bars .bar-row")).to_have_count(8)
    expect(page.locator(".bars")).to_contain_text("32 less probable classes")

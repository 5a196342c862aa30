"""What a person does with the page, in steps."""

from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import BrowserContext, Page


def choose(page: Page, files: Sequence[Path]) -> None:
    """Choose files and wait until each is answered."""
    before = page.locator(".entry").count()
    page.set_input_files("#file-input", [str(file) for file in files])
    wait_for_answers(page, before + len(files))


def open_page(context: BrowserContext, url: str, *, private: bool) -> Page:
    """The page, ready for files; with ``private`` they stay on this computer."""
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("html[data-ready]")
    if private:
        page.get_by_role("switch").click()
    return page


def wait_for_answers(page: Page, count: int) -> None:
    page.wait_for_function(
        "count => document.querySelectorAll('.entry').length === count"
        " && !document.querySelector('.tone-waiting')",
        arg=count,
    )


def drop(page: Page, name: str, data: bytes, kind: str = "image/png") -> None:
    """Drop one file onto the page, as from a file manager."""
    page.evaluate(
        """([name, bytes, kind]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], name, { type: kind }));
          const event = (type) => new DragEvent(type, {
            dataTransfer: transfer, bubbles: true, cancelable: true });
          document.body.dispatchEvent(event("dragenter"));
          document.body.dispatchEvent(event("drop"));
        }""",
        [name, list(data), kind],
    )


def headline(page: Page) -> str:
    return page.get_by_test_id("headline").inner_text()


def shown(page: Page) -> list[int]:
    """The large image's pixels, coarsely."""
    pixels: list[int] = page.evaluate(
        """() => {
          const canvas = document.querySelector(".stage-canvas");
          const { width, height } = canvas;
          const copy = new OffscreenCanvas(width, height);
          const context = copy.getContext("2d", { willReadFrequently: true });
          context.drawImage(canvas, 0, 0);
          const all = context.getImageData(0, 0, width, height).data;
          return Array.from({ length: 4000 }, (_, i) => all[Math.floor(i * all.length / 4000)]);
        }"""
    )
    return pixels

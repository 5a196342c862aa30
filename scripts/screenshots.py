"""Take the documentation's screenshots of page and demo, in Chromium, with synthetic heads only.

    python scripts/screenshots.py            # writes docs/figures/{page-*,demo}.png

Needs the dev and serve extras, and Chromium (`apt-get install chromium`, or $CHROMIUM).
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from nibabel.nifti1 import Nifti1Image
from playwright.sync_api import Browser, Page, sync_playwright

from tumorlens.demo.phantoms import Patient

FIGURES: Final = Path(__file__).resolve().parent.parent / "docs" / "figures"
FLAGS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
_ANSWERED: Final = (
    "count => document.querySelectorAll('.entry').length === count"
    " && !document.querySelector('.tone-waiting')"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the screenshots."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=FIGURES)
    output = parser.parse_args(arguments).output
    output.mkdir(parents=True, exist_ok=True)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with served() as url, sync_playwright() as play, tempfile.TemporaryDirectory() as scratch:
        browser = play.chromium.launch(executable_path=chromium, args=list(FLAGS))
        shoot(browser, url, Path(scratch), output)
        demo(browser, Path(scratch), output)
        browser.close()


@contextmanager
def served() -> Iterator[str]:
    """A server with the network that knows phantoms."""
    command = [sys.executable, "-m", "tumorlens", "serve", "--port", "0", "--bundle", "phantom"]
    with subprocess.Popen(  # noqa: S603
        command, stderr=subprocess.PIPE, text=True
    ) as process:
        if process.stderr is None:
            raise RuntimeError("no output")
        for line in process.stderr:
            if match := re.search(r"listening on (\S+)", line):
                yield match.group(1)
                break
        process.terminate()


def shoot(browser: Browser, url: str, scratch: Path, output: Path) -> None:
    """One screenshot of each look: start, light, dark, phone, volume."""
    for name, theme, width, height in (
        ("page-start", "light", 1280, 800),
        ("page-light", "light", 1280, 800),
        ("page-dark", "dark", 1280, 800),
        ("page-phone", "light", 390, 844),
    ):
        page = open_page(browser, url, theme, width, height)
        if name != "page-start":
            page.click("#examples")
            page.wait_for_function(_ANSWERED, arg=4)
            page.wait_for_timeout(400)
        page.screenshot(path=output / f"{name}.png", full_page=name == "page-phone")
        page.close()
    page = open_page(browser, url, "dark", 1280, 800)
    page.set_input_files("#file-input", volume(scratch))
    page.wait_for_function(_ANSWERED, arg=1)
    page.wait_for_timeout(400)
    page.screenshot(path=output / "page-volume.png")
    page.close()


def demo(browser: Browser, scratch: Path, output: Path) -> None:
    """The first screen of the demo's report."""
    command = [sys.executable, "-m", "tumorlens", "demo", "--output", str(scratch / "demo")]
    subprocess.run(  # noqa: S603
        command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    page = browser.new_page(viewport={"width": 1000, "height": 1510})
    page.goto((scratch / "demo" / "index.html").as_uri())
    page.screenshot(path=output / "demo.png")
    page.close()


def open_page(browser: Browser, url: str, theme: str, width: int, height: int) -> Page:
    """A fresh page in the theme asked for."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.add_init_script(f"localStorage.setItem('tumorlens.theme', '{theme}')")
    page.goto(url)
    page.wait_for_selector("html[data-ready]")
    return page


def volume(folder: Path) -> Path:
    """A phantom patient's head as a NIfTI file of 24 slices."""
    rng = np.random.default_rng([3, 0])
    patient = Patient.draw(rng, "glioma")
    slices = np.stack([patient.slice(rng, z).pixels for z in np.linspace(-0.35, 0.35, 24)])
    path = folder / "phantom-head.nii"
    # As slices are looked at: right is left, front is up.
    image: Any = Nifti1Image(slices.T, np.diag([-1.0, -1.0, 5.0, 1.0]))
    path.write_bytes(image.to_bytes())
    return path


if __name__ == "__main__":
    main()

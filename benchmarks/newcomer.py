"""The time from a clone to the first answer, on the page and in a PACS.

    python -m benchmarks.newcomer --output newcomer.json

Follows the README and docs/clinical.md: clone, make a virtual environment, install. Then it starts
a server, opens the page in Chromium, drops an image and waits for its answer. And it starts a DICOM
node, sends it a study of 24 images and waits until report and overlay are in an archive, with the
node's usual wait for more images. Of this checkout's environment it uses only git, Chromium and the
simulated hospital. pip starts without a cache, so that its downloads count. Heads are synthetic;
the network is `phantom`.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from benchmarks import hospital
from benchmarks import options as shared
from playwright.sync_api import Page, sync_playwright

from tumorlens.cores import processor
from tumorlens.demo.phantoms import make_phantom
from tumorlens.imaging.raster import encode

_ROOT: Final = Path(__file__).resolve().parents[1]
_FLAGS: Final = ("--no-sandbox", "--disable-gpu")
TARGETS: Final = {"page": 180.0, "node": 600.0}
"""Seconds from clone to the first answer."""
_PATIENCE_MS: Final = 60_000
_ENVIRONMENT: Final = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
"""Without the variable that leads back to this checkout."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Walk each path once and print how long its steps took."""
    parser = shared.parser(__doc__)
    parser.add_argument("--python", default=sys.executable, help="makes the environment")
    parser.add_argument("--pip-cache", action="store_true", help="let pip use what it has")
    options = parser.parse_args(arguments)
    paths = {"page": to_page, "node": to_node}
    reports = {}
    for name, walk in paths.items():
        with tempfile.TemporaryDirectory() as scratch:
            reports[name] = report(name, *walk(Path(scratch), options.python, options.pip_cache))
    record = {
        "benchmark": "newcomer",
        **reports,
        "pip_cache": options.pip_cache,
        "processor": processor(),
        "cores": os.cpu_count(),
    }
    shared.save(options.output, record)


def report(path: str, steps: dict[str, float], answer: str) -> dict[str, Any]:
    """Print a path's steps; return them in the form of the record."""
    total = sum(steps.values())
    for name, seconds in steps.items():
        print(f"{seconds:7.1f} s  {name}")
    print(f"{total:7.1f} s  to the {path}, at most {TARGETS[path]:.0f} wanted; it says: {answer}")
    return {
        "steps": {name: round(seconds, 1) for name, seconds in steps.items()},
        "total_seconds": round(total, 1),
        "target_seconds": TARGETS[path],
        "answer": answer,
    }


def to_page(scratch: Path, python: str, pip_cache: bool) -> tuple[dict[str, float], str]:
    """Seconds of each step, and the answer that the page shows."""
    image = scratch / "head.png"
    head = make_phantom(np.random.default_rng([0, 0]), "glioma").pixels
    image.write_bytes(encode.png(head))
    steps: dict[str, float] = {}
    program = install(steps, scratch, python, "serve", pip_cache)
    started = time.perf_counter()
    serve = [str(program), "serve", "--port", "0", "--bundle", "phantom"]
    with running(serve, scratch) as address, sync_playwright() as play:
        steps["tumorlens serve, until it listens"] = time.perf_counter() - started
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
        with timed(steps, "start Chromium and open the page"):
            browser = play.chromium.launch(executable_path=chromium, args=list(_FLAGS))
            page = browser.new_page()
            page.goto(address)
            page.wait_for_selector("html[data-ready]", timeout=_PATIENCE_MS)
        with timed(steps, "drop a picture, until its answer is shown"):
            answer = _drop(page, image)
        browser.close()
    return steps, answer


def to_node(scratch: Path, python: str, pip_cache: bool) -> tuple[dict[str, float], str]:
    """Seconds of each step, and what the archive was sent."""
    study = hospital.study(scratch)
    steps: dict[str, float] = {}
    program = install(steps, scratch, python, "pacs,dicom", pip_cache)
    with hospital.archive() as (address, received):
        started = time.perf_counter()
        listen = [str(program), "pacs", "listen", "--port", "0", "--allow", hospital.TITLE]
        listen += ["--send-to", address, "--spool", str(scratch / "spool"), "--bundle", "phantom"]
        with running(listen, scratch) as node:
            steps["tumorlens pacs listen, until it listens"] = time.perf_counter() - started
            port = int(node.rpartition(":")[2])
            with timed(steps, f"C-ECHO, and C-STORE of {len(study)} images"):
                hospital.send(study, port)
            with timed(steps, "until report and overlay are in the archive"):
                hospital.wait(lambda: len(received) == 2)
    return steps, " and ".join(sorted(received))


def install(
    steps: dict[str, float],
    scratch: Path,
    python: str,
    extras: str,
    pip_cache: bool,
) -> Path:
    """Clone and install as the README says; return the program."""
    clone = scratch / "tumorlens"
    venv = clone / ".venv"
    with timed(steps, "git clone"):
        _run("git", "clone", "--quiet", str(_ROOT), str(clone))
    with timed(steps, "python -m venv"):
        _run(python, "-m", "venv", str(venv))
    with timed(steps, f"pip install '.[{extras}]'"):
        cache = [] if pip_cache else ["--no-cache-dir"]
        pip = str(venv / "bin" / "pip")
        _run(pip, "install", "--quiet", *cache, f".[{extras}]", cwd=clone)
    return venv / "bin" / "tumorlens"


@contextmanager
def timed(steps: dict[str, float], name: str) -> Iterator[None]:
    """Note how long the block takes."""
    started = time.perf_counter()
    yield
    steps[name] = time.perf_counter() - started


@contextmanager
def running(command: Sequence[str], folder: Path) -> Iterator[str]:
    """Where the newcomer's own command listens; it is stopped at the end."""
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=folder, env=_ENVIRONMENT
    ) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        match = next((m for line in lines if (m := re.search(r"listening on (\S+)", line))), None)
        try:
            if match is None:
                raise RuntimeError(f"did not start: {' '.join(command)}")
            yield match.group(1)
        finally:
            process.terminate()


def _drop(page: Page, image: Path) -> str:
    page.set_input_files("#file-input", image)
    page.wait_for_selector(".entry", timeout=_PATIENCE_MS)
    page.wait_for_function("() => !document.querySelector('.tone-waiting')", timeout=_PATIENCE_MS)
    return page.locator(".entry").inner_text().replace("\n", " ")


def _run(*command: str, **options: Any) -> None:
    subprocess.run(command, check=True, env=_ENVIRONMENT, **options)


if __name__ == "__main__":
    main()

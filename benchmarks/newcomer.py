"""How long from nothing to the first answer on the page, on a fresh machine.

    python -m benchmarks.newcomer --output newcomer.json

Follows the README: clone, make a virtual environment, install with the extra `serve`, start the
server; then a real Chromium opens the page, a picture is dropped into it, and its answer is read.
Nothing of this checkout's environment is used but git and Chromium; pip starts without a cache, so
that its downloads count as well. The picture is a synthetic head, its network `phantom`.
"""

import argparse
import json
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
from benchmarks.predict import processor
from playwright.sync_api import Page, sync_playwright

from tumorlens.datasets.phantoms import make_phantom
from tumorlens.imaging import encode

_ROOT: Final = Path(__file__).resolve().parents[1]
_FLAGS: Final = ("--no-sandbox", "--disable-gpu")
TARGET_SECONDS: Final = 180.0
"""From clone to the first answer."""
_PATIENCE_MS: Final = 60_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Walk the path once and print how long each step took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python", default=sys.executable, help="makes the environment")
    parser.add_argument("--pip-cache", action="store_true", help="let pip use what it has")
    parser.add_argument("--output", type=Path, help="write the results there as JSON")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        steps, answer = walk(Path(scratch), options.python, pip_cache=options.pip_cache)
    total = sum(steps.values())
    for name, seconds in steps.items():
        print(f"{seconds:7.1f} s  {name}")
    print(f"{total:7.1f} s  in all, at most {TARGET_SECONDS:.0f} wanted; the page says: {answer}")
    record = {
        "benchmark": "newcomer",
        "steps": {name: round(seconds, 1) for name, seconds in steps.items()},
        "total_seconds": round(total, 1),
        "target_seconds": TARGET_SECONDS,
        "pip_cache": options.pip_cache,
        "answer": answer,
        "processor": processor(),
        "cores": os.cpu_count(),
    }
    if options.output:
        options.output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def walk(scratch: Path, python: str, *, pip_cache: bool) -> tuple[dict[str, float], str]:
    """Do every step in ``scratch``; return their seconds and the answer that the page shows."""
    clone, venv = scratch / "tumorlens", scratch / "tumorlens" / ".venv"
    picture = scratch / "head.png"
    head = make_phantom(np.random.default_rng([0, 0]), "glioma").pixels
    picture.write_bytes(encode.png(head))
    steps: dict[str, float] = {}
    with timed(steps, "git clone"):
        _run("git", "clone", "--quiet", str(_ROOT), str(clone))
    with timed(steps, "python -m venv"):
        _run(python, "-m", "venv", str(venv))
    with timed(steps, "pip install '.[serve]'"):
        cache = [] if pip_cache else ["--no-cache-dir"]
        _run(str(venv / "bin" / "pip"), "install", "--quiet", *cache, ".[serve]", cwd=clone)
    started = time.perf_counter()
    with served(venv / "bin" / "tumorlens", scratch) as address, sync_playwright() as play:
        steps["tumorlens serve, until it listens"] = time.perf_counter() - started
        program = os.environ.get("CHROMIUM") or shutil.which("chromium")
        with timed(steps, "start Chromium and open the page"):
            browser = play.chromium.launch(executable_path=program, args=list(_FLAGS))
            page = browser.new_page()
            page.goto(address)
            page.wait_for_selector("html[data-ready]", timeout=_PATIENCE_MS)
        with timed(steps, "drop a picture, until its answer stands there"):
            answer = _drop(page, picture)
        browser.close()
    return steps, answer


@contextmanager
def timed(steps: dict[str, float], name: str) -> Iterator[None]:
    """Note how long the block takes."""
    started = time.perf_counter()
    yield
    steps[name] = time.perf_counter() - started


@contextmanager
def served(program: Path, folder: Path) -> Iterator[str]:
    """The address of a server that the newcomer's own command started; stopped at the end."""
    command = [str(program), "serve", "--port", "0", "--bundle", "phantom"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment
    ) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        found = next((m for line in lines if (m := re.search(r"listening on (\S+)", line))), None)
        try:
            if found is None:
                raise RuntimeError("the server did not start")
            yield found.group(1)
        finally:
            process.terminate()


def _drop(page: Page, picture: Path) -> str:
    page.set_input_files("#file-input", picture)
    page.wait_for_selector(".entry", timeout=_PATIENCE_MS)
    page.wait_for_function("() => !document.querySelector('.tone-waiting')", timeout=_PATIENCE_MS)
    return page.locator(".entry").inner_text().replace("\n", " ")


def _run(*command: str, **options: Any) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    subprocess.run(command, check=True, env=environment, **options)


if __name__ == "__main__":
    main()

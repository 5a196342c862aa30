"""A disk without room: every command names the file that it could not write."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.demo.phantoms import write_phantoms
from tumorlens.imaging.raster import encode

resource = pytest.importorskip("resource", reason="needs limits of POSIX")
_FULL = Path("/dev/full")
_FEW = 300
"""Bytes: less than any output has."""


def tumorlens(*arguments: object, largest: int | None = None) -> tuple[int, str]:
    """Exit code and error stream; files may have ``largest`` bytes."""

    def limit() -> None:
        if largest is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    done = subprocess.run(
        [sys.executable, "-m", "tumorlens", *map(str, arguments)],
        capture_output=True, text=True, check=False, preexec_fn=limit,
        # A limit of the size of files is not the disk of the caches of libraries.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("phantoms"), 5, seed=0)


@pytest.fixture(scope="module")
def split(phantoms: Path) -> Path:
    path = phantoms.with_name("split.csv")
    assert tumorlens("data", "split", phantoms, "--ratio", "60/20/20", "--output", path)[0] == 0
    return path


@pytest.fixture
def series(tmp_path: Path, write_series: Callable[..., list[bytes]]) -> Path:
    folder = tmp_path / "series"
    folder.mkdir()
    for index, data in enumerate(write_series(3)):
        (folder / f"{index}.dcm").write_bytes(data)
    return folder


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--output", "answers.jsonl"), ("--output", "answers.csv"), ("--html", "report.html"),
        ("--heatmap", "maps/"), ("--dicom", "objects/"), ("--segmentation", "masks/"),
    ],
)  # fmt: skip
def test_predict(series: Path, tmp_path: Path, option: str, name: str) -> None:
    code, told = tumorlens(
        "predict", series, "--bundle", "phantom", option, tmp_path / name, largest=_FEW
    )
    assert code == 1
    assert f"tumorlens: {tmp_path}/{name}" in told
    assert told.rstrip().endswith("File too large")


@pytest.mark.parametrize(
    ("words", "written"),
    [
        (["compare", "phantom", "default", "--data", "MANIFEST", "--split", "SPLIT", "--resamples",
          "100", "--report", "OUT/c"], "c/"),
        (["data", "import", "folder", "--from", "IMAGES", "--output", "OUT/m.csv"], "m.csv"),
        (["data", "import", "folder", "--from", "IMAGES", "--output", "OUT/m.parquet"],
         "m.parquet"),
        (["data", "split", "MANIFEST", "--kfold", "3", "--no-near-duplicates",
          "--output", "OUT/s.csv"], "s.csv"),
        (["data", "croissant", "MANIFEST", "--output", "OUT/c.json"], "c.json"),
        (["batch", "IMAGES", "--out", "OUT/b", "--bundle", "phantom", "--processes", "1"], "b/"),
        (["train", "phantom", "--data", "MANIFEST", "--split", "SPLIT", "--epochs", "1",
          "--threads", "1", "--cache", "OUT/k", "--out", "OUT/t"], "k/"),
        (["gate", "--data", "MANIFEST", "--split", "SPLIT", "--steps", "1", "--cache", "OUT/k",
          "--out", "OUT/g.onnx"], "k/"),
        (["models", "export", "phantom", "--out", "OUT/e"], "e/"),
        (["web", "build", "OUT/w"], "w/"),
        (["demo", "--output", "OUT/d"], "d/"),
        # Its thumbnails are in the folder for temporary files.
        (["data", "audit", "MANIFEST", "--report", "OUT/a"], None),
    ],
)  # fmt: skip
def test_other_commands(
    phantoms: Path, split: Path, tmp_path: Path, words: list[str], written: str | None
) -> None:
    meant = {
        "MANIFEST": str(phantoms), "SPLIT": str(split), "IMAGES": str(phantoms.parent / "training"),
    }  # fmt: skip
    given = [meant.get(word, word).replace("OUT/", f"{tmp_path}/") for word in words]
    code, told = tumorlens(*given, largest=_FEW)
    place = f"{tmp_path}/{written}" if written else tempfile.gettempdir()
    (message,) = [line for line in told.splitlines() if "File too large" in line]
    fault = f"{re.escape(place)}[^:]*: File too large"
    if words[0] == "batch":
        fault = rf"no answers can be written \({fault}\)"
    assert re.fullmatch(f"tumorlens: {fault}", message)
    assert message == told.splitlines()[-1]
    assert code == 1


@pytest.mark.parametrize(
    ("words", "largest"),
    [
        (["evaluate", "phantom", "--data", "MANIFEST", "--split", "SPLIT", "--resamples", "100",
          "--report", "OUT/r"], 4096 * 64),
        (["train", "phantom", "--data", "MANIFEST", "--split", "SPLIT", "--epochs", "1",
          "--threads", "1", "--cache", "OUT/k", "--out", "OUT/r"], 600_000),
    ],
)  # fmt: skip
def test_files_behind_those_that_fit(
    phantoms: Path, split: Path, tmp_path: Path, words: list[str], largest: int
) -> None:
    meant = {"MANIFEST": str(phantoms), "SPLIT": str(split)}
    given = [meant.get(word, word).replace("OUT/", f"{tmp_path}/") for word in words]
    code, told = tumorlens(*given, largest=largest)
    assert code == 1
    assert f"tumorlens: {tmp_path}/r/" in told.splitlines()[-1]


@pytest.mark.skipif(not _FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_full_devices(
    tmp_path: Path, tiny_bundle: Path, head: NDArray[np.uint8], unbuffered: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "a.png").write_bytes(encode.png(head))
    words = ["predict", str(tmp_path / "a.png"), "--bundle", str(tiny_bundle), "--quiet"]
    for option in ("--output", "--html"):
        assert tumorlens(*words, option, _FULL) == (
            1, "tumorlens: /dev/full: No space left on device\n",
        )  # fmt: skip
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    for command in (words, [*words, "--format", "jsonl"], ["recipes"], ["--version"]):
        with _FULL.open("wb") as full:
            done = subprocess.run(
                [sys.executable, "-m", "tumorlens", *command],
                stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        # Without a buffer there is nothing left to try again.
        where = "" if unbuffered else "standard output: "
        assert done.stderr == f"tumorlens: {where}No space left on device\n"
        assert done.returncode == 1

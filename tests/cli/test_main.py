"""The root command: one line an error, and the exit codes that its help promises."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.imaging import encode

_COMMAND = [sys.executable, "-m", "tumorlens"]
_HEAVY = (
    "torch",
    "matplotlib",
    "sklearn",
    "scipy",
    "onnx",
    "pandas",
    "jinja2",
    "pydicom",
    "nibabel",
)


def tumorlens(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*_COMMAND, *arguments], capture_output=True, text=True, check=False)


def test_help_lists_every_command_and_exit_code() -> None:
    found = tumorlens("--help")
    assert found.returncode == 0
    for word in ("data", "demo", "evaluate", "models", "predict", "train", "Research software"):
        assert word in found.stdout
    assert "3 some inputs failed" in " ".join(found.stdout.split())


def test_version() -> None:
    found = tumorlens("--version")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.split()[-1].count(".") >= 2


@pytest.mark.parametrize("arguments", [["bogus"], ["predict"], ["predict", "--bogus", "x"], ["-x"]])
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    found = tumorlens(*arguments)
    assert found.returncode == 2
    assert "Error: " in found.stderr
    assert "Traceback" not in found.stderr


def test_a_tumorlens_error_is_one_line_and_its_code(tmp_path: Path) -> None:
    found = tumorlens("predict", "x.png", "--bundle", f"{tmp_path}/odd\n\x1b[31mname")
    assert found.returncode == 4
    assert found.stdout == ""
    assert found.stderr.startswith("tumorlens: ")
    assert "odd\\n\\x1b[31mname: neither a bundled network" in found.stderr
    assert found.stderr.count("\n") == 1


def test_start_and_prediction_leave_the_heavy_libraries_alone(
    tiny_bundle: Path, head: NDArray[np.uint8], tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(encode.png(head))
    predict = ["predict", str(tmp_path), "--bundle", str(tiny_bundle), "--format", "jsonl"]
    script = f"""
import sys
import tumorlens.cli.main as main
started = set(sys.modules)
try:
    sys.argv = ["tumorlens", *{predict!r}]
    main.main()
except SystemExit as ended:
    assert ended.code == 0, ended.code
loaded = set(sys.modules)
assert "onnxruntime" in loaded and "onnxruntime" not in started
assert "numpy" not in started
print([name for name in {_HEAVY!r} if name in loaded])
"""
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1] == "[]"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_ends_with_130(tmp_path: Path, tiny_bundle: Path) -> None:
    """Interrupted while it waits: the list of pictures comes from a folder that never ends."""
    started = tmp_path / "started"
    script = f"""
import pathlib, signal, sys, time
from tumorlens.imaging import finder
def wait(argument):
    pathlib.Path({str(started)!r}).touch()
    time.sleep(60)
finder.find = wait
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["tumorlens", "predict", "x", "--bundle", {str(tiny_bundle)!r}]
from tumorlens.cli.main import main
main()
"""
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    while not started.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.strip() == "tumorlens: interrupted"


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_reader_that_goes_away_is_no_traceback(
    tmp_path: Path, tiny_bundle: Path, head: NDArray[np.uint8]
) -> None:
    for index in range(4):
        (tmp_path / f"{index}.png").write_bytes(encode.png(head))
    reading, writing = os.pipe()
    os.close(reading)
    command = [*_COMMAND, "predict", str(tmp_path), "--bundle", str(tiny_bundle)]
    for layout in ("jsonl", "table"):
        found = subprocess.run(
            [*command, "--format", layout],
            stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        assert found.returncode == 1
        assert "Traceback" not in found.stderr
        assert "Exception ignored" not in found.stderr
    os.close(writing)

"""The root command: one line an error, and the exit codes that its help promises."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.cli import main as main_module
from tumorlens.errors import EXIT_CODES
from tumorlens.imaging.raster import encode

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
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in " ".join(found.stdout.split())


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


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["predct", "x"], "predict"),
        (["data", "imprt"], "'import'"),
        (["predict", "--formt", "csv", "x"], "'--format'"),
        (["predict", "--format", "jsn", "x"], "json"),
        (["predict", "--bundle", "defalt", "x"], "default"),
        (["train", "defalt", "--data", "x", "--split", "y", "--out", "z"], "default"),
        (["data", "import", "nickparva", "--from", "x", "--output", "y"], "nickparvar"),
    ],
)
def test_a_mistyped_name_suggests_the_nearest(arguments: list[str], nearest: str) -> None:
    found = tumorlens(*arguments)
    assert found.returncode in (2, 4, 7)
    assert f"did you mean {nearest}?" in found.stderr.replace("Did", "did")


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--file-seconds"],
        ["serve", "--study-seconds"],
        ["pacs", "listen", "--spool", "s", "--send-to", "A@b:1", "--allow", "A", "--keep-hours"],
        ["pacs", "listen", "--spool", "s", "--send-to", "A@b:1", "--allow", "A", "--quota-gib"],
        ["pacs", "listen", "--spool", "s", "--send-to", "A@b:1", "--allow", "A", "--study-gib"],
    ],
)
def test_a_number_is_finite(arguments: list[str], number: str, tmp_path: Path) -> None:
    found = subprocess.run(
        [*_COMMAND, *arguments, number], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert found.returncode == 2
    assert f"Invalid value for '{arguments[-1]}'" in found.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seed", ["-1", "1.5", str(2**40)])
@pytest.mark.parametrize(
    "command",
    [
        ["train", "default", "--data", "d", "--split", "s", "--out", "o"],
        ["evaluate", "default", "--data", "d", "--split", "s", "--report", "o"],
        ["gate", "--data", "d", "--split", "s", "--out", "o"],
        ["data", "split", "m.csv", "--ratio", "70/15/15"],
        ["demo"],
    ],
)
def test_a_seed_is_one_that_the_generators_take(
    command: list[str], seed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = tumorlens(*command, "--seed", seed)
    assert found.returncode == 2
    assert "Invalid value for '--seed'" in found.stderr


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["batch", "in", "--out", ""], "after --out"),
        (["batch", "in", "--out="], "after --out="),
        (["batch", "", "--out", "out"], "empty"),
        (["predict", ""], "empty"),
        (["predict", "a.png", ""], "after a.png"),
        (["predict", "a.png", "--output", ""], "after --output"),
        (["predict", "a.png", "--bundle", ""], "after --bundle"),
        (["evaluate", "default", "--data", "", "--split", "s", "--report", "r"], "after --data"),
        (["evaluate", "default", "--data", "d", "--split", "s", "--report", ""], "after --report"),
        (["train", "default", "--data", "d", "--split", "s", "--out", ""], "after --out"),
        (["serve", "--token-file="], "after --token-file="),
        (["pacs", "listen", "--spool", "", "--send-to", "A@b:1", "--allow", "A"], "after --spool"),
        (["pacs", "status", "--spool", ""], "after --spool"),
        (["data", "import", "folder", "--from", "", "--output", "m.csv"], "after --from"),
        (["web", ""], "empty"),
    ],
)
def test_an_empty_argument_is_not_the_working_folder(
    arguments: list[str], place: str, tmp_path: Path
) -> None:
    found = subprocess.run(
        [*_COMMAND, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert found.returncode == 2
    assert place in found.stderr.splitlines()[-1]
    assert "is empty" in found.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["before", "after"])
def test_quiet_leaves_answers_and_errors(
    place: str, tmp_path: Path, tiny_bundle: Path, head: NDArray[np.uint8]
) -> None:
    (tmp_path / "a.png").write_bytes(encode.png(head))
    (tmp_path / "notes.txt").write_text("skipped")
    words = ["predict", str(tmp_path), "--bundle", str(tiny_bundle), "--format", "jsonl"]
    loud = tumorlens(*words)
    assert "skipped 1 file" in loud.stderr
    quiet = tumorlens(*(["-q", *words] if place == "before" else [*words, "--quiet"]))
    assert (quiet.returncode, quiet.stderr, quiet.stdout) == (0, "", loud.stdout)
    failed = tumorlens(*words, str(tmp_path / "gone.png"), "-q")
    assert failed.returncode == 3
    assert failed.stderr == "tumorlens: 1 of 2 inputs failed\n"


def test_verbose_says_where_an_error_came_from(tmp_path: Path) -> None:
    words = ["data", "audit", "gone.csv", "--report", str(tmp_path)]
    assert "Traceback" not in tumorlens(*words).stderr
    found = tumorlens(*words, "--verbose")
    assert found.returncode == 6
    assert "ManifestError" in found.stderr
    assert "Python 3" in found.stderr
    assert tumorlens(*words, "-q", "-v").returncode == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """As docs/command-line.md has it; the words to complete come from the environment."""
    script = "import sys; sys.argv = ['tumorlens']; from tumorlens.cli.main import main; main()"
    wanted = {"_TUMORLENS_COMPLETE": f"{shell}_complete", "COMP_WORDS": "tumorlens predict --he"}
    environment = {**os.environ, **wanted, "COMP_CWORD": "--he" if shell == "fish" else "2"}
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False
    )
    assert found.returncode == 0, found.stderr
    assert "--heatmap" in found.stdout


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
    """Interrupted while it waits: the list of images comes from a folder that never ends."""
    started = tmp_path / "started"
    script = f"""
import pathlib, signal, sys, time
from tumorlens.imaging import finder
def wait(arguments, **options):
    pathlib.Path({str(started)!r}).touch()
    time.sleep(60)
finder.find_all = wait
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["tumorlens", "predict", "x", "--quiet", "--bundle", {str(tiny_bundle)!r}]
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


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_a_standard_output_that_is_closed_is_no_traceback() -> None:
    command = ["sh", "-c", 'exec "$@" >&-', "sh", *_COMMAND, "licences"]
    found = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("fits", [True, False])
def test_an_error_without_a_name_is_of_standard_output_only_if_that_fails(
    fits: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What was printed before it stays."""

    def fail(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(main_module, "cli", fail)
    with Path(os.devnull if fits else "/dev/full").open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        print("an answer")
        assert main_module._run() == 1
    told = "No space left on device\n"
    assert capfd.readouterr().err == f"tumorlens: {'' if fits else 'standard output: '}{told}"


def test_there_is_nothing_to_discard_of_a_closed_standard_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    main_module._discard_output()

"""The command line that a report states: it repeats the evaluation, and names no folder."""

import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tumorlens.cli.evaluate import command, command_line

HERE = Path.cwd().resolve()


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"--probes": True, "--corruptions": False, "--reference": None}, ["--probes"]),
        (
            {"--against": ["a.csv", str(HERE / "b.csv")]},
            ["--against", "a.csv", "--against", "b.csv"],
        ),
        (
            {"--probe-with": [(str(HERE / "br.csv"), "br35h-tumor"), ("x.csv", "mine")]},
            ["--probe-with", "br.csv", "br35h-tumor", "--probe-with", "x.csv", "mine"],
        ),
        (
            {"--corruption-images": "30", "--report": "out"},
            ["--corruption-images", "30", "--report", "out"],
        ),
        ({"--against": [], "--report": str(HERE / "my reports")}, ["--report", "my reports"]),
    ],
)
def test_a_command_line_repeats_what_was_asked_for(
    chosen: dict[str, Any], words: list[str]
) -> None:
    bundles, data = ["default", str(HERE / "runs/own")], [Path("n.csv"), HERE / "more.csv"]
    line = command_line("evaluate", bundles, data, str(HERE / "own.csv"), chosen, "test", 7, 3)
    assert shlex.split(line) == [
        "tumorlens", "evaluate", "default", "own", "--data", "n.csv", "--data", "more.csv",
        "--split", "own.csv", *words, "--part", "test", "--resamples", "7", "--seed", "3",
    ]  # fmt: skip


def run(folder: Path, *words: str) -> Result:
    (folder / "m.csv").write_text("path,class\n", "utf-8")
    report = ("--data", str(folder / "m.csv"), "--report", str(folder / "out"))
    return CliRunner().invoke(command, ["phantom", *report, *words])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--split", "clean", "--reference", "default"), "--reference requires --corruptions"),
        (("--split", "clean", "--probe-with", "m.csv", "x"), "--probe-with requires --probes"),
        (("--split", "clean", "--corruptions", "--corruption-images", "0"), "0 is not in"),
        (("--split", "clean", "--resamples", "-1"), "-1 is not in"),
    ],
)
def test_options_that_change_nothing_are_refused(
    tmp_path: Path, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is read: an ignored option would be believed."""
    monkeypatch.chdir(tmp_path)
    result = run(tmp_path, *words)
    assert (result.exit_code, (tmp_path / "out").exists()) == (2, False)
    assert said in " ".join(result.output.split())

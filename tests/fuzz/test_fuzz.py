"""What fuzzing found stays found, and a few seconds of it run with every test run.

Minutes: ``python -m tests.fuzz.run dicom --seconds 300``.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
FINDINGS = sorted((Path(__file__).parent / "findings").iterdir())


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: path.name)
def test_findings(path: Path) -> None:
    """Each once broke the contract, or ended the process of a decoder that is no longer used."""
    TARGETS[path.name.partition("-")[0]](path.read_bytes())


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_seeds_are_read(target: str) -> None:
    """A seed that is refused would make the fuzzer look at nothing but the refusal."""
    from tumorlens.imaging import reader

    for data in seeds(target):
        TARGETS[target](data)
        if target != "archive":
            assert reader.read_bytes(data).width >= 32


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_short_run(target: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris has no wheel for this Python or system")
    command = [sys.executable, "-W", "ignore", "-m", "tests.fuzz.run", target]
    options = ["--runs", "300", "--seconds", "0", "--findings", str(tmp_path)]
    found = subprocess.run(
        [*command, *options], capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert found.returncode == 0, found.stderr[-3000:]
    assert "Done 300 runs" in found.stderr
    assert list(tmp_path.iterdir()) == []

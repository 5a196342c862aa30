"""Nothing leaves the computer: not even what the runtime would send by itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_OURS = "import tumorlens; tumorlens.load('phantom')"
_BARE = "import onnxruntime; onnxruntime.get_available_providers()"
# Either word keeps the runtime silent too, which would hide that we do not.
_SILENCING = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "GITHUB_ACTIONS")


def _files_written(program: str, home: Path) -> list[str]:
    environment = {k: v for k, v in os.environ.items() if k not in _SILENCING}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    subprocess.run([sys.executable, "-B", "-c", program], check=True, env=environment)
    return [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]


def test_loading_a_network_leaves_no_identifier(tmp_path: Path) -> None:
    assert _files_written(_OURS, tmp_path) == []


def test_the_runtime_alone_would_leave_one(tmp_path: Path) -> None:
    """Else the test above could not fail; older builds, and those without telemetry, leave none."""
    if not any("onnxruntime" in name for name in _files_written(_BARE, tmp_path)):
        pytest.skip("this build of onnxruntime keeps no identifier by itself")

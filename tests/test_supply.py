"""What is shipped is what was locked: bill of materials, hashes, pins."""

import importlib.resources
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCK = (ROOT / "requirements-hashed.txt").read_text(encoding="utf-8")
LOCKED = dict(re.findall(r"^([a-z0-9][a-z0-9.-]*)==(\S+)", LOCK, re.MULTILINE))


def test_the_bill_of_materials_is_of_the_locked_dependencies() -> None:
    command = [sys.executable, "scripts/sbom.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_package_carries_it() -> None:
    shipped = importlib.resources.files("tumorlens") / "sbom.cdx.json"
    bill = json.loads(shipped.read_text(encoding="utf-8"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    found = {one["name"]: one for one in bill["components"]}
    for name in ("numpy", "onnxruntime", "pydicom", "pynetdicom", "fastapi", "onnxruntime-web"):
        assert found[name]["hashes"]
        assert found[name]["version"]
    refs = [one["bom-ref"] for one in bill["components"]]
    assert len(refs) == len(set(refs))
    assert bill["dependencies"] == [{"ref": "tumorlens", "dependsOn": refs}]


def test_every_locked_package_has_hashes() -> None:
    for entry in re.split(r"\n(?=\S)", LOCK.strip()):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry.splitlines()[0]


@pytest.mark.parametrize("name", ["numpy", "pillow", "pydicom", "onnxruntime", "fastapi"])
def test_lock_and_constraints_agree(name: str) -> None:
    pinned = dict(
        re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    )
    assert {key.lower(): value for key, value in pinned.items()}[name] == LOCKED[name]

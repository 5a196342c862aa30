"""The documents say what the records and the commands say."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tumorlens.cli.main import cli

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def test_numbers_are_the_recorded_ones() -> None:
    subprocess.run([sys.executable, str(ROOT / "scripts" / "documents.py"), "--check"], check=True)


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        *(
            f"docs/{n}.md"
            for n in ("clinical", "intended-use", "measurements", "model-card", "results", "server")
        ),
        "experiments/log.md",
    ],
)
def test_links_lead_somewhere(name: str) -> None:
    document = ROOT / name
    targets = re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8"))
    missing = [t for t in targets if not (document.parent / t).exists()]
    assert missing == []


def test_commands_in_the_readme_exist() -> None:
    """Each `tumorlens ...` line of the README names known subcommands and options."""
    lines = re.findall(r"^tumorlens (.+)$", README, flags=re.MULTILINE)
    assert len(lines) >= 8
    for line in lines:
        words = line.partition("#")[0].split()
        depth = 2 if words[0] in {"data", "pacs", "web"} else 1
        result = CliRunner().invoke(cli, [*words[:depth], "--help"])
        assert result.exit_code == 0, line
        for option in (w for w in words if w.startswith("--")):
            assert option in result.output, line


def test_records_name_no_machine() -> None:
    for path in (*(ROOT / "experiments").rglob("*.json"), *(ROOT / "benchmarks").rglob("*.json")):
        text = path.read_text("utf-8")
        json.loads(text)
        assert not re.search(r'"/(home|root|tmp|work|Users)/|[A-Z]:\\\\', text), path

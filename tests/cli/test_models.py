import json
import sys

import pytest
from click.testing import CliRunner

from tumorlens import bundle
from tumorlens.cli.models import command
from tumorlens.errors import install_command
from tumorlens.networks.registry import ARCHITECTURES


def test_lists_every_network_and_bundle_with_computed_costs() -> None:
    result = CliRunner().invoke(command, ["--format", "json", "--image-size", "64"])
    assert result.exit_code == 0
    rows = {(row["kind"], row["name"]): row for row in json.loads(result.stdout)}
    assert {n for k, n in rows if k == "architecture"} == set(ARCHITECTURES)
    assert {n for k, n in rows if k == "bundle"} == set(bundle.SHIPPED)
    for row in rows.values():
        assert 10_000 < row["parameters"] < 500_000
        # Four bytes a parameter after folding the norms, and a graph around them.
        assert 3.5 * row["parameters"] < row["file_bytes"] < 4 * row["parameters"] + 200_000
    nano, small = rows["architecture", "nano"], rows["architecture", "small"]
    assert nano["macs"] < small["macs"]


def test_table_shows_the_same() -> None:
    result = CliRunner().invoke(command, ["--image-size", "32"])
    assert result.exit_code == 0
    for name in (*ARCHITECTURES, *bundle.SHIPPED):
        assert name in result.stdout
    assert "parameters" in result.stdout  # whole, though nobody said how wide the page is
    assert "…" not in result.stdout


def test_torch_alone_is_not_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "tumorlens.training.export", raising=False)
    result = CliRunner().invoke(command)
    assert result.exit_code == 0
    assert install_command("train") in result.stderr
    for name in bundle.SHIPPED:
        assert name in result.stdout

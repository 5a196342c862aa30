"""``tumorlens licences`` names every dependency that is declared."""

import json

from click.testing import CliRunner

from tumorlens.cli.licences import command


def test_table_and_json() -> None:
    packages = json.loads(CliRunner().invoke(command, ["--format", "json"]).stdout)
    found = {one["name"].lower(): one for one in packages}
    assert found["tumorlens"]["licence"] == "Apache-2.0"
    for name in ("numpy", "pydicom", "onnxruntime", "click", "msgspec", "jinja2"):
        assert found[name]["version"]
        assert found[name]["licence"] != "unknown"
    assert "markupsafe" in found, "what dependencies need is listed too"
    table = CliRunner().invoke(command).stdout.splitlines()
    assert len(table) == len(packages)
    assert any(line.startswith("numpy ") and "BSD" in line for line in table)

"""``tumorlens licences`` names every dependency that is declared."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tumorlens.cli.licences import command, installed


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


def _install(folder: Path, name: str, *fields: str) -> None:
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir()
    lines = ["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *fields]
    (about / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")


_APACHE = "Classifier: License :: OSI Approved :: Apache Software License"


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        (["License-Expression: MIT", "License: other", _APACHE], "MIT"),
        (["License: BSD", _APACHE], "BSD"),
        (["License: " + "Permission is granted to whoever likes. " * 3, _APACHE],
         "Apache Software License"),
        (["Classifier: License :: OSI Approved", "Classifier: Topic :: Scientific"], "unknown"),
        ([_APACHE, "Classifier: License :: OSI Approved :: BSD License"],
         "Apache Software License; BSD License"),
        (["License: UNKNOWN"], "unknown"),
        ([], "unknown"),
    ],
)  # fmt: skip
def test_the_most_exact_field_names_the_licence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: list[str], licence: str
) -> None:
    _install(tmp_path, "ours", *fields)
    monkeypatch.syspath_prepend(tmp_path)
    assert [tuple(one) for one in installed("ours")] == [("ours", "1.0", licence)]


def test_only_the_extras_of_the_package_itself_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = ["Needed_it>=1", "optional; extra == 'more'", "not-installed"]
    _install(tmp_path, "ours", *(f"Requires-Dist: {one}" for one in needs))
    _install(tmp_path, "needed_it", "Requires-Dist: strange; extra == 'all'", "Requires-Dist: ours")
    for name in ("optional", "strange"):
        _install(tmp_path, name)
    monkeypatch.syspath_prepend(tmp_path)
    assert sorted(one.name for one in installed("ours")) == ["needed_it", "optional", "ours"]

"""Croissant metadata, read by the reference library."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tumorlens.cli.data import command
from tumorlens.datasets import croissant
from tumorlens.datasets.manifest import COLUMNS, INTEGERS, Manifest
from tumorlens.demo.phantoms import write_phantoms


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("set"), 1, seed=0)


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(command, ["croissant", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.filterwarnings("default")
def test_the_reference_library_reads_it(manifest: Path) -> None:
    """Warnings are the library's own, of recommended fields that nobody stated."""
    library = pytest.importorskip("mlcroissant", reason="the reference library is for tests")
    run(manifest, "--license", "CC-BY-4.0", "--url", "https://example.org/set")
    found = library.Dataset(jsonld=manifest.with_name("manifest.croissant.json"))
    assert found.metadata.name == "manifest"
    records = list(found.records("images"))
    listed = Manifest.load(manifest)
    assert len(records) == len(listed)
    first = records[0]
    assert first["images/path"] == listed.records[0].path.encode()
    assert first["images/class"] == listed.records[0].label.encode()
    assert first["images/width"] == listed.records[0].width


def test_standard_output_and_columns(manifest: Path) -> None:
    made = json.loads(run(manifest, "--output", "-", "--name", "mine"))
    assert made["name"] == "mine"
    assert made["conformsTo"] == croissant.CONFORMS_TO
    assert "license" not in made
    (table,) = made["recordSet"]
    types = {one["name"]: one["dataType"] for one in table["field"]}
    assert tuple(types) == COLUMNS
    assert {name for name, kind in types.items() if kind == "sc:Integer"} == set(INTEGERS)


def test_only_columns_that_are_there_are_described(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,class,scanner\na.png,glioma,A\n")
    made = json.loads(run_bare(tmp_path / "m.csv"))
    assert [one["name"] for one in made["recordSet"][0]["field"]] == ["path", "class", "scanner"]


def run_bare(file: Path) -> str:
    about = croissant.About("bare")
    return json.dumps(croissant.describe(Manifest((), file.parent), file, about))

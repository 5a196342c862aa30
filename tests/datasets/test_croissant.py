"""Croissant metadata, read by the reference library."""

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tumorlens.cli.data import command
from tumorlens.datasets import croissant
from tumorlens.datasets.manifest import COLUMNS, INTEGERS, Manifest, Record
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


def _listed(*labels: str) -> Manifest:
    records = (
        Record(f"{k}.png", label, "", f"{k:064x}", "", 1, 1, "L", "", "")
        for k, label in enumerate(labels)
    )
    return Manifest(tuple(records), Path())


@pytest.mark.parametrize(
    ("suffix", "kind"), [(".csv", "text/csv"), (".parquet", "application/x-parquet")]
)
def test_the_table_is_named_with_its_format_and_hash(
    tmp_path: Path, suffix: str, kind: str
) -> None:
    pytest.importorskip("pyarrow", reason="needs the parquet extra")
    file = tmp_path / f"m{suffix}"
    manifest = _listed("glioma", "glioma", "cyst")
    manifest.save(file)
    made = croissant.describe(manifest, file, croissant.About("m"))
    (table,) = made["distribution"]
    assert (table["name"], table["contentUrl"]) == (file.name, file.name)
    assert table["encodingFormat"] == kind
    assert table["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert made["description"] == "3 images of 2 classes: cyst, glioma."


def test_what_the_publisher_states_replaces_what_follows_from_the_table(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_text("path,class,source_class,field_strength\na.png,glioma,x,3\n")
    about = croissant.About("m", "My images.", "CC0-1.0", "https://example.org")
    made = croissant.describe(_listed("glioma"), file, about)
    assert (made["name"], made["description"]) == ("m", "My images.")
    assert (made["license"], made["url"]) == ("CC0-1.0", "https://example.org")
    words = {one["name"]: one["description"] for one in made["recordSet"][0]["field"]}
    assert words["field_strength"] == "field strength", "a column of their own is named as it is"
    assert words["source_class"] == "The class that the source states, where it differs."
    bare = croissant.describe(_listed("glioma"), file, croissant.About("m"))
    assert not {"license", "url"} & bare.keys()

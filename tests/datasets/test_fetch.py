"""Checking a download: on folders, never on the network."""

import hashlib
import sys
from pathlib import Path

import pytest

from tumorlens.datasets import fetch
from tumorlens.errors import DatasetError, MissingExtraError

CONTENT = {"Training/glioma/a.jpg": b"one", "Testing/notumor/b.jpg": b"two", "Testing/x.jpg": b"3"}
PUBLISHED = {name: hashlib.sha256(data).hexdigest() for name, data in CONTENT.items()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, data in CONTENT.items():
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_bytes(data)
    return tmp_path / "source"


def test_an_intact_folder_is_complete(source: Path) -> None:
    found = fetch.verify(source, PUBLISHED)
    assert found.complete
    assert set(found.intact) == set(CONTENT)
    found.require(source)


def test_missing_and_damaged_files_are_named(source: Path) -> None:
    (source / "Testing/x.jpg").unlink()
    (source / "Testing/notumor/b.jpg").write_bytes(b"tw")
    found = fetch.verify(source, PUBLISHED)
    assert (found.missing, found.damaged) == (("Testing/x.jpg",), ("Testing/notumor/b.jpg",))
    with pytest.raises(DatasetError, match=r"of 3 .* 1 missing .*x\.jpg.* 1 damaged .*b\.jpg"):
        found.require(source)


def test_a_second_run_brings_only_what_lacks(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "output"
    kept = output / "Training/glioma/a.jpg"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"one")
    (output / "Testing").mkdir()
    (output / "Testing/x.jpg").write_bytes(b"cut of")
    before = kept.stat().st_mtime_ns
    found = fetch.verify(output, PUBLISHED)
    fetch.copy_files(source, output, found.missing + found.damaged)
    assert fetch.verify(output, PUBLISHED).complete
    assert kept.stat().st_mtime_ns == before
    assert not [file for file in output.rglob("*") if file.name.endswith(".part")]


def test_what_the_source_lacks_stays_missing(source: Path, tmp_path: Path) -> None:
    fetch.copy_files(source, tmp_path / "output", ["Training/none.jpg"])
    assert not (tmp_path / "output").exists()


def test_published_files_are_the_whole_set() -> None:
    published = fetch.published_files()
    assert len(published) == 7023
    assert all(len(digest) == 64 for digest in published.values())
    assert "versions/1" in fetch.HANDLE


def test_without_kagglehub_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[fetch\]"):
        fetch.fetch_nickparvar(tmp_path)


@pytest.mark.realdata
def test_a_complete_folder_needs_no_network(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    assert len(fetch.fetch_nickparvar(data_dir / "nickparvar").intact) == 7023

"""Patients from paths and columns."""

from pathlib import Path

import pytest

from tumorlens.datasets.grouping import groups_of, patient_from_path
from tumorlens.datasets.manifest import Manifest
from tumorlens.errors import DatasetError, ManifestError

PATH = "train/glioma/P07/scan-3_slice-12.png"


@pytest.mark.parametrize(
    ("rule", "patient"),
    [
        (r"scan-(\d+)_", "3"),
        (r"(slice)-(?P<patient>\d+)", "12"),
        (r"(P\d+)/", "P07"),
        ("folder:1", "P07"),
        ("folder:3", "train"),
        ("folder:4", ""),
        (r"patient(\d+)", ""),
        (r"glioma(x)?/", ""),
    ],
)
def test_patients_in_paths(rule: str, patient: str) -> None:
    assert patient_from_path(rule)(PATH) == patient


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (r"scan-(\d+", "not a regular expression"),
        (r"scan-\d+", "put it in parentheses"),
        ("folder:0", "number from 1"),
        ("folder:one", "number from 1"),
    ],
)
def test_rules_that_make_no_sense(rule: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        patient_from_path(rule)


def test_groups_from_a_column_or_from_paths(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    digests = ["0" * 64, "1" * 64]
    # Letters with accents in both ways that systems store them.
    file.write_text(
        f"path,class,sha256\nM\u00fc/a.png,x,{digests[0]}\nMu\u0308/b.png,y,{digests[1]}\n",
        encoding="utf-8",
    )
    assert groups_of(Manifest.load(file), file, "folder:1") == ["M\u00fc", "M\u00fc"]
    file.write_text(
        "path,class,sha256,Case\n"
        + "".join(f"{k}/a.png,glioma,{digest},case{k}\n" for k, digest in enumerate(digests))
    )
    manifest = Manifest.load(file)
    assert groups_of(manifest, file, "Case") == ["case0", "case1"]
    assert groups_of(manifest, file, r"^(\d)/") == groups_of(manifest, file, "folder:1")
    with pytest.raises(ManifestError, match="did you mean case"):
        groups_of(manifest, file, "cases")
    with pytest.raises(DatasetError, match="finds no patient"):
        groups_of(manifest, file, r"patient(\d)")

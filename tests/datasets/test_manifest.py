"""Manifests: round trips, and one clear line for what is wrong."""

import dataclasses
import hashlib
import math
import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tumorlens.datasets.manifest import (
    COLUMNS,
    OWN_GROUP,
    Manifest,
    Record,
    join,
    pixel_hash,
    plain_text,
    read_column,
    relative_path,
)
from tumorlens.datasets.tables import csv_bytes, read_table
from tumorlens.errors import ManifestError
from tumorlens.imaging.image import MedicalImage
from tumorlens.labels import CLASSES

# What a path or a name may hold: anything but surrogates, and NUL, which no file system keeps.
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
# A name as it is read: spaces around it, or 1.0 for 1, are a spreadsheet's.
_NAME = _TEXT.map(plain_text)
_RECORDS = st.lists(
    st.builds(
        Record,
        path=_TEXT.filter(bool),
        label=st.sampled_from(CLASSES),
        split=st.sampled_from(["", "training", "testing"]),
        sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
        pixel_sha256=st.text("0123456789abcdef", max_size=64),
        width=st.integers(0, 9999),
        height=st.integers(0, 9999),
        mode=st.sampled_from(["L", "RGB", "I;16", ""]),
        group=_NAME,
        source=_NAME,
        patient=_NAME,
        source_label=st.sampled_from(["", *CLASSES]),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda record: os.path.normpath(record.path),
)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "PARQUET"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(records=_RECORDS)
def test_round_trip(tmp_path: Path, suffix: str, records: list[Record]) -> None:
    file = tmp_path / f"m.{suffix}"
    Manifest(tuple(records), tmp_path).save(file)
    loaded = Manifest.load(file)
    assert loaded.records == tuple(_with_known_group(record) for record in records)
    assert loaded.folder == tmp_path.resolve()
    assert [path.name for path in tmp_path.iterdir()] == [f"m.{suffix}"]


def _with_known_group(record: Record) -> Record:
    """Of an image whose group is not known, the patient is the group."""
    if record.group and not record.group.startswith(OWN_GROUP):
        return record
    return dataclasses.replace(record, group=record.patient or record.group)


def _csv(tmp_path: Path, **changes: str) -> Path:
    values: dict[str, Any] = dict.fromkeys(COLUMNS, "")
    values |= {"path": "a.png", "class": "glioma", "sha256": "0" * 64, **changes}
    file = tmp_path / "m.csv"
    file.write_text(",".join(values) + "\n" + ",".join(values.values()) + "\n")
    return file


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class": "c\x07t"}, "row 2: invalid class name 'c.x07t'"),
        ({"class": ""}, "row 2: no class; fill it in, or delete the row"),
        ({"path": ""}, "row 2: no path"),
        ({"sha256": ""}, r"row 2: a.png cannot be read \(No such file"),
        ({"sha256": "12"}, "row 2: sha256 '12' is not 64 hexadecimal digits"),
        ({"sha256": "x" * 64}, "row 2: sha256 'x+' is not 64 hexadecimal digits"),
        ({"width": "wide"}, "row 2: width 'wide' is not a number"),
        ({"patient": "1.23E+11"}, r"row 2: a spreadsheet has rounded the patient to 1\.23E\+11"),
        ({"group": "4.50012E+09"}, r"row 2: a spreadsheet has rounded the group to"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        Manifest.load(_csv(tmp_path, **changes))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["path,class,Path", "a.png,glioma,b.png"], "names the column path twice"),
        (["path,class", "a.png,glioma", "", "b,c.png,glioma"], "row 4: has 3 cells for 2 columns"),
        (["path,class", "a.png,glioma", "", "", ",glioma"], "row 5: no path"),
        (["", "path;class", ";", "a.png;"], "row 4: no class"),
        (["path,class,source", 'a.png,glioma,"two', 'lines"', "b.png,,"], "row 3: no class"),
        (["path,class", "a.png,Glioma", "b.png,glioma"], "the classes 'Glioma' and 'glioma' "),
        (["path,class", "a.png,no tumour", "b.png,no_tumor"], "differ in spelling only"),
        (["path,class", "a.png,glioma", "./a.png,notumor"],
         "lists ./a.png twice, as glioma and as notumor"),
    ],
)  # fmt: skip
def test_contradictions_are_named(tmp_path: Path, lines: list[str], message: str) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(name.encode())
    file = tmp_path / "m.csv"
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(ManifestError, match=message) as caught:
        Manifest.load(file)
    assert "\n" not in str(caught.value)


def test_accents_of_one_or_two_characters_are_one_name(tmp_path: Path) -> None:
    lines = ["path,class,patient", "a.png,kyste é,Müller", "b.png,kyste e\u0301,Mu\u0308ller"]
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "m.csv").write_text("\n".join(lines), encoding="utf-8")
    first, second = Manifest.load(tmp_path / "m.csv")
    assert (first.label, first.group) == (second.label, second.group)


@pytest.mark.skipif(os.name == "nt", reason="a backslash always separates folders there")
def test_paths_from_windows_are_found(tmp_path: Path) -> None:
    for name in ("set/a.png", "literal\\b.png", "literal/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    file = tmp_path / "m.csv"
    file.write_text("path,class,mask\nset\\a.png,glioma,set\\a.png\nliteral\\b.png,glioma,\n")
    first, second = Manifest.load(file)
    assert first.path == first.mask == "set/a.png"
    assert first.sha256 == hashlib.sha256(b"set/a.png").hexdigest()
    assert second.path == "literal\\b.png"


def test_empty_cells_beyond_the_columns_are_fine(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    file = tmp_path / "m.csv"
    file.write_text("path,class,,\na.png,glioma,,,,\na.png,glioma\n")
    assert [record.label for record in Manifest.load(file)] == ["glioma", "glioma"]


def test_a_notebook_shows_how_many_images_a_manifest_lists(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    rows = [f"{n}.png,{label},{n:064x}" for n, label in enumerate(("notumor", "cyst", "cyst"))]
    file.write_text("\n".join(["path,class,sha256", *rows]))
    shown = repr(Manifest.load(file))
    assert shown == f"<Manifest of 3 images in {tmp_path.resolve()}: notumor 1, cyst 2>"


def test_unknown_columns_and_missing_optional_ones_are_fine(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_text(f"sha256,class,path,remark\n{'1' * 64},notumor,x/y.jpg,hello\n")
    record = Manifest.load(file).records[0]
    assert (record.path, record.label, record.width, record.group) == ("x/y.jpg", "notumor", 0, "")


def _saved_again(text: str, how: str) -> bytes:
    """``text`` as a spreadsheet writes the table that it has read."""
    semicolons = text.replace(",", ";")
    return {
        "mark": text.encode("utf-8-sig"),
        "mark and semicolons": semicolons.encode("utf-8-sig"),
        "Windows lines": text.replace("\n", "\r\n").encode(),
        "semicolons, Windows lines": semicolons.replace("\n", "\r\n").encode("utf-8-sig"),
        "tabs in UTF-16": text.replace(",", "\t").encode("utf-16"),
        "a hint": b"sep=;\r\n" + semicolons.replace("\n", "\r\n").encode(),
        "spaces": text.replace(",", " , ").encode(),
        "spaces in cells": text.replace(",glioma,", ", glioma ,").encode(),
        "empty rows": (text + ",,,,\n\n" + "," * 12 + "\n").encode(),
        "capitals": (text.partition("\n")[0].upper() + "\n" + text.partition("\n")[2]).encode(),
        "quotes": "\n".join(
            ",".join(f'"{cell}"' for cell in row.split(",")) for row in text.splitlines()
        ).encode(),
        "decimals": text.replace(",64,", ",64.0,").encode(),
    }[how]


@pytest.mark.parametrize(
    "how",
    ["mark", "mark and semicolons", "Windows lines", "semicolons, Windows lines",
     "tabs in UTF-16", "a hint", "spaces", "spaces in cells", "empty rows", "capitals", "quotes",
     "decimals"],
)  # fmt: skip
def test_what_a_spreadsheet_has_saved_again_is_read_as_before(tmp_path: Path, how: str) -> None:
    file = _csv(tmp_path)
    before = Manifest.load(file).records
    file.write_bytes(_saved_again(file.read_text(encoding="utf-8"), how))
    assert Manifest.load(file).records == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", b"", "lists no image"),
        ("m.csv", b"path,class,sha256\n", "lists no image"),
        ("m.csv", b"path,class,sha256\nM\xfcller.png,glioma,1\n", "is not a CSV"),
        ("m.csv", b'path,class,patient\na,b,"P1\nc,b,P2\n', "double quote in row 2 is not closed"),
        ("m.csv", "path,class\na.png,b\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        ("m.csv", b"path|class\na.png|b\n", r"commas, semicolons or tabs, not by '\|'"),
        ("m.csv", b"Filename,class\na.png,b\n", "no column 'path'.*; rename 'filename' to 'path'"),
        (
            "m.csv",
            b"a.png,glioma\nb.png,cyst\n",
            "no column 'path'.*; the first line must name the",
        ),
        ("m.csv", b"path,Label\na.png,b\n", "no column 'class'.*; rename 'label' to 'class'"),
        ("m.parquet", b"PAR1 but no more", "cannot be read as Parquet"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ManifestError, match=message) as caught:
        Manifest.load(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_device_is_refused() -> None:
    with pytest.raises(ManifestError, match="/dev/null: is a device"):
        Manifest.load("/dev/null")


def _save(path: Path, columns: dict[str, Any], kinds: dict[str, str]) -> None:
    arrow = pytest.importorskip("pyarrow", reason="needs the parquet extra")
    pytest.importorskip("pyarrow.parquet", reason="needs the parquet extra")
    made = {
        "string": arrow.string(), "binary": arrow.binary(), "large_string": arrow.large_string(),
        "dictionary": arrow.dictionary(arrow.int32(), arrow.string()),
        "list": arrow.list_(arrow.string()), "float": arrow.float64(),
        "struct": arrow.struct({"bytes": arrow.binary()}),
    }  # fmt: skip
    arrays = {
        name: arrow.array(cells, made[kinds.get(name, "string")]) for name, cells in columns.items()
    }
    arrow.parquet.write_table(arrow.table(arrays), path)


_HASHES: Final = ["0" * 64, "1" * 64]


@pytest.mark.parametrize("kind", ["string", "binary", "large_string", "dictionary"])
def test_types_of_text_in_parquet(tmp_path: Path, kind: str) -> None:
    columns = {
        "Path": ["a.png", "b.png"], " CLASS ": ["glioma ", "notumor"], "sha256": _HASHES,
        "Patient": [None, "P1"], "note": ["x", None],
    }  # fmt: skip
    _save(tmp_path / "m.parquet", columns, dict.fromkeys(columns, kind))
    loaded = Manifest.load(tmp_path / "m.parquet")
    assert [(r.path, r.label, r.patient) for r in loaded] == [
        ("a.png", "glioma", ""), ("b.png", "notumor", "P1"),
    ]  # fmt: skip
    rows = [["Path", " CLASS ", "sha256", "Patient", "note"]]
    rows += [[cell or "" for cell in row] for row in zip(*columns.values(), strict=True)]
    (tmp_path / "m.csv").write_bytes(csv_bytes(rows))
    assert Manifest.load(tmp_path / "m.csv").records == loaded.records, "as CSV"


def test_other_columns_of_parquet_may_hold_anything(tmp_path: Path) -> None:
    columns = {"path": ["a.png"], "class": ["glioma"], "sha256": _HASHES[:1],
               "width": [math.nan], "image": [{"bytes": b"\xff"}]}  # fmt: skip
    _save(tmp_path / "m.parquet", columns, {"width": "float", "image": "struct"})
    (record,) = Manifest.load(tmp_path / "m.parquet")
    assert record.width == 0


@pytest.mark.parametrize("name", ["path", "class", "group"])
def test_a_list_in_a_cell_of_parquet_is_told(tmp_path: Path, name: str) -> None:
    columns: dict[str, Any] = {"path": ["a.png"], "class": ["glioma"], "sha256": _HASHES[:1]}
    _save(tmp_path / "m.parquet", columns | {name: [["x"]]}, {name: "list"})
    with pytest.raises(ManifestError, match=rf"row 1: {name} is \['x'\]; it must be text"):
        Manifest.load(tmp_path / "m.parquet")


def test_columns_of_parquet_that_differ_in_case_only(tmp_path: Path) -> None:
    columns = {"path": ["a.png"], "PATH": ["b.png"], "class": ["glioma"]}
    _save(tmp_path / "m.parquet", columns, {})
    with pytest.raises(ManifestError, match="names the column path twice"):
        Manifest.load(tmp_path / "m.parquet")


def test_a_folder_of_parquet_files(tmp_path: Path) -> None:
    for number, label in enumerate(("notumor", "glioma")):
        place = tmp_path / "m.parquet" / f"class={label}"
        place.mkdir(parents=True)
        columns = {"path": [f"{label}.png"], "sha256": [_HASHES[number]]}
        _save(place / "part.parquet", columns, {})
    loaded = Manifest.load(tmp_path / "m.parquet")
    assert [(r.path, r.label) for r in loaded] == [
        ("glioma.png", "glioma"), ("notumor.png", "notumor"),
    ]  # fmt: skip
    assert loaded.folder == tmp_path
    with pytest.raises(ManifestError, match="is a folder, not a manifest"):
        Manifest.load(tmp_path)


def test_folders_of_parquet_files_are_text(tmp_path: Path) -> None:
    for number, patient in enumerate(("007", "7", "01", "1")):
        place = tmp_path / "m.parquet" / f"group={patient}"
        place.mkdir(parents=True)
        columns = {"path": [f"{number}.png"], "class": ["glioma"], "sha256": [_HASHES[number % 2]]}
        _save(place / "part.parquet", columns, {})
    groups = {record.path: record.group for record in Manifest.load(tmp_path / "m.parquet")}
    assert groups == {"0.png": "007", "1.png": "7", "2.png": "01", "3.png": "1"}


@pytest.mark.parametrize("name", ["none.csv", "none.parquet"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ManifestError, match="none"):
        Manifest.load(tmp_path / name)


def test_hash_says_what_the_data_is_not_where_it_lies(tmp_path: Path) -> None:
    first = Record("a.png", "glioma", "training", "1" * 64, "", 1, 1, "L", "g", "s")
    second = dataclasses.replace(first, path="b.png", sha256="2" * 64)
    moved = dataclasses.replace(second, path="else/where.png", group="other")
    digest = Manifest((first, second), tmp_path).sha256
    assert digest == Manifest((moved, first), Path("/")).sha256
    relabelled = dataclasses.replace(first, label="notumor")
    assert digest != Manifest((relabelled, second), tmp_path).sha256


def test_pixel_hash_is_of_pixels_and_shape_alone() -> None:
    def digest(pixels: Any, bits: int = 8, mode: str = "L") -> str:
        return pixel_hash(MedicalImage(np.asarray(pixels, dtype=np.float32), "x", bits, mode))

    assert digest([[1, 2], [3, 4]]) == digest([[1, 2], [3, 4]], mode="RGB")
    assert digest([[1, 2], [3, 4]]) != digest([[1, 2, 3, 4]])
    assert digest([[1, 2], [3, 4]]) != digest([[1, 2], [3, 5]])
    assert digest([[1, 2]], 16) != digest([[1, 2]])


def test_paths_are_relative_with_forward_slashes(tmp_path: Path) -> None:
    assert relative_path(tmp_path / "a" / "b.png", tmp_path) == "a/b.png"
    assert relative_path(tmp_path / "b.png", tmp_path / "c") == "../b.png"


def test_joined_manifests_find_their_files(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        folder = tmp_path / name / "set"
        folder.mkdir(parents=True)
        (folder / "x.png").write_bytes(name.encode())
        (folder / "mask.png").write_bytes(f"mask {name}".encode())
        one = Record("set/x.png", "glioma", "", name, "", 1, 1, "L", "", name, mask="set/mask.png")
        made.append(Manifest((one,), tmp_path / name))
    both = join(made)
    assert [both.file(record).read_bytes() for record in both] == [b"a", b"b"]
    masks = [both.mask_file(record) for record in both]
    assert [mask.read_bytes() for mask in masks if mask] == [b"mask a", b"mask b"]
    assert join(made[:1]) == made[0]


def test_a_manifest_by_hand_needs_paths_and_classes_only(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    file = tmp_path / "m.csv"
    file.write_text("Path;Class;Patient;Ward\na.png;glioma;P1;north\n", encoding="utf-8-sig")
    (record,) = Manifest.load(file)
    assert record.sha256 == hashlib.sha256(b"a").hexdigest()
    assert record.group == record.patient == "P1"
    assert read_column(file, "Ward") == ["north"]
    with pytest.raises(ManifestError, match=r"no column 'wards'.*did you mean ward"):
        read_column(file, "wards")
    file.write_text("file,class\na.png,glioma\n")
    with pytest.raises(ManifestError, match="no column 'path', its columns are file, class"):
        Manifest.load(file)


@pytest.mark.parametrize("column", ["group", "source", "patient", "family"])
@pytest.mark.parametrize(
    ("cell", "name"),
    [("P1 ", "P1"), (" P1", "P1"), ("1.0", "1"), ("1", "1"), ("0.0", "0"), ("1.5", "1.5"),
     ("NaN", ""), ("n/a", ""), ("NA", ""), ("#N/A", ""), ("NULL", ""), ("None", ""), (" ", "")],
)  # fmt: skip
def test_names_are_read_as_they_were_meant(
    tmp_path: Path, column: str, cell: str, name: str
) -> None:
    file = _csv(tmp_path, **{column: cell})
    assert getattr(Manifest.load(file).records[0], column) == name
    assert read_column(file, column) == [name]


@pytest.mark.parametrize("patient", [0, 0.0, 1.0, float("nan"), None])
def test_patients_may_be_numbers_in_parquet(tmp_path: Path, patient: float | None) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pytest.importorskip("pyarrow").Table.from_pylist(
        [{"path": "a.png", "class": "glioma", "sha256": "0" * 64, "patient": patient}]
    )
    parquet.write_table(table, tmp_path / "m.parquet")
    (record,) = Manifest.load(tmp_path / "m.parquet")
    known = patient is not None and patient == patient
    assert record.patient == record.group == (f"{patient:.0f}" if known else "")


@pytest.mark.parametrize(("cell", "label"), [("2.0", "2"), (" none ", "none")])
def test_names_of_classes_are_read_as_they_were_meant(
    tmp_path: Path, cell: str, label: str
) -> None:
    (record,) = Manifest.load(_csv(tmp_path, **{"class": cell}))
    assert record.label == label


@pytest.mark.parametrize("cell", ["nan", "N/A"])
def test_a_blank_of_a_spreadsheet_is_no_class(tmp_path: Path, cell: str) -> None:
    with pytest.raises(ManifestError, match="row 2: no class"):
        Manifest.load(_csv(tmp_path, **{"class": cell}))


@pytest.mark.parametrize(
    ("cell", "split"),
    [("train", "training"), ("Training", "training"), ("val", "validation"),
     ("valid", "validation"), ("VALIDATION", "validation"), (" Test ", "testing"),
     ("testing", "testing"), ("nan", ""), ("", ""), ("holdout", "holdout")],
)  # fmt: skip
def test_the_usual_words_for_parts_of_a_split_are_known(
    tmp_path: Path, cell: str, split: str
) -> None:
    assert Manifest.load(_csv(tmp_path, split=cell)).records[0].split == split


def test_the_patient_stands_in_for_the_group_of_a_single_image(tmp_path: Path) -> None:
    file = _csv(tmp_path, group="image_0123", patient="P1")
    assert Manifest.load(file).records[0].group == "P1"
    assert Manifest.load(_csv(tmp_path, group="g", patient="P1")).records[0].group == "g"


@pytest.mark.parametrize("start", [b"PK\x03\x04\x14\x00", b"\xd0\xcf\x11\xe0\xa1\xb1"])
def test_a_workbook_is_no_csv_file(tmp_path: Path, start: bytes) -> None:
    (tmp_path / "mine.xlsx").write_bytes(start)
    with pytest.raises(ManifestError, match="is a workbook of a spreadsheet; save it as CSV UTF-8"):
        Manifest.load(tmp_path / "mine.xlsx")


def test_a_class_that_reads_as_an_empty_cell_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,class\na.png,null\n")
    with pytest.raises(ManifestError, match=r"row 2: no class \('null' is an empty cell\)"):
        Manifest.load(tmp_path / "m.csv")


@pytest.mark.parametrize("row", ["a.png", '"a.png,glioma"'])
def test_a_short_first_row_is_named_and_no_column_is_missed(tmp_path: Path, row: str) -> None:
    (tmp_path / "m.csv").write_text(f"path,class,patient\n{row}\n")
    with pytest.raises(ManifestError, match=r"row 2: no class;"):
        Manifest.load(tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("sources", "is_from"),
    [
        ([], False), (["figshare"], True), (["cheng"], True), (["other", "cheng"], True),
        (["Figshare"], False), (["fig"], False), (["cheng2"], False),
    ],
)  # fmt: skip
def test_a_source_that_is_held_out_is_one_by_its_name_or_its_family(
    sources: list[str], is_from: bool
) -> None:
    record = Record("a.png", "glioma", "", "", "", 0, 0, "", "", "figshare", family="cheng")
    assert record.is_from(sources) is is_from


def test_a_source_without_family_is_of_no_other() -> None:
    record = Record("a.png", "glioma", "", "", "", 0, 0, "", "", "figshare")
    assert record.is_from({"figshare"})
    assert not record.is_from({"cheng"})


@pytest.mark.parametrize(
    "cell",
    ["a,b", 'say "x"', "two\nlines", "a\rb", "a\r\nb", "\r", "é", "a;b\tc", " a ", "", "sep=;"],
)
def test_a_table_that_is_written_is_read_as_it_was(cell: str) -> None:
    rows = [["path", "class"], [cell, "1"], ["last", ""]]
    written = csv_bytes(rows)
    assert read_table(written) == rows
    assert csv_bytes(iter(rows)) == written


def test_a_table_has_the_same_bytes_on_every_system() -> None:
    assert csv_bytes([["path", "width"], ["é.png", 12]]) == b"path,width\n\xc3\xa9.png,12\n"
    assert csv_bytes([]) == b""

"""What an argument stands for, as a stream."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from tumorlens.batch import discovery
from tumorlens.batch.discovery import Discovery, count_files, located
from tumorlens.batch.items import Item
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.errors import BatchError
from tumorlens.imaging.raster import encode


@pytest.fixture
def folder(
    tmp_path: Path, head: NDArray[np.uint8], write_series: Callable[..., list[bytes]]
) -> Path:
    """Two images, a series of three slices, a text; a folder in a folder."""
    place = tmp_path / "study"
    (place / "series").mkdir(parents=True)
    for name in ("b.png", "a.png"):
        (place / name).write_bytes(encode.png(head))
    for index, data in enumerate(write_series(3)):
        (place / "series" / f"{index}").write_bytes(data)
    (place / "readme").write_text("no image")
    (place / ".hidden.png").write_bytes(b"")
    return place


def found(argument: object) -> list[Item]:
    return list(Discovery(str(argument)))


def test_folder(folder: Path) -> None:
    look = Discovery(str(folder))
    items = list(look)
    assert [(item.kind, Path(item.path).name, len(item.names)) for item in items] == [
        ("file", "a.png", 0),
        ("file", "b.png", 0),
        ("dicom", "series", 3),
    ]
    assert look.skipped == 1
    assert count_files(str(folder)) == 7


def write_directory(folder: Path, named: int) -> Path:
    """A DICOM directory that names so many files."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.99")
    dataset.DirectoryRecordSequence = [Dataset() for _ in range(named)]
    for record in dataset.DirectoryRecordSequence:
        record.ReferencedFileID = ["SERIES", "0"]
    dataset.save_as(folder / "DICOMDIR", enforce_file_format=True)
    return folder / "DICOMDIR"


@pytest.mark.parametrize(("named", "missing"), [(3, 0), (9, 6)])
def test_a_directory_of_files_in_other_folders(folder: Path, named: int, missing: int) -> None:
    """As on a CD: the directory lies above the folders of the images, beside a viewer."""
    write_directory(folder, named)
    items = found(folder)
    assert [item.kind for item in items if item.path.endswith("series")] == ["dicom"]
    messages = [item.message.partition(": ")[2] for item in items if item.kind == "failure"]
    told = f"{missing} of {named} files that the DICOM directory names are missing"
    assert messages == [told] * (missing > 0)


def test_each_directory_counts_the_files_of_its_own_folder(
    tmp_path: Path, write_series: Callable[..., list[bytes]]
) -> None:
    """Of CDs beside each other, below a folder with a directory of its own."""
    for name, named in (("", 5), ("cd", 4), ("cd 2", 2)):
        (tmp_path / name / "images").mkdir(parents=True)
        write_directory(tmp_path / name, named)
        if name:
            for index, data in enumerate(write_series(2)):
                (tmp_path / name / "images" / f"{index}").write_bytes(data)
    messages = [item.message for item in found(tmp_path) if item.kind == "failure"]
    assert [message.partition(" files")[0] for message in messages] == [
        f"{tmp_path / 'cd' / 'DICOMDIR'}: 2 of 4", f"{tmp_path / 'DICOMDIR'}: 1 of 5",
    ]  # fmt: skip


def test_a_directory_that_cannot_be_read_is_not_left_out(folder: Path) -> None:
    (folder / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + b"damaged")
    assert [item.names for item in found(folder) if item.path == str(folder)] == [
        (str(folder / "DICOMDIR"),)
    ]


def test_archives_in_a_folder_are_opened(folder: Path, head: NDArray[np.uint8]) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("x/y.png", encode.png(head))
        archive.writestr("readme", "no image")
    (folder / "broken.zip").write_bytes(b"PK\x03\x04 no archive")
    look = Discovery(str(folder))
    archives = [(item.kind, item.error) for item in look if item.path.endswith(".zip")]
    assert archives == [("member", ""), ("failure", "corrupt")]
    assert look.skipped == 2


def test_a_folder_of_many_slices_is_told_apart_by_series(
    folder: Path, write_series: Callable[..., list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for index, data in enumerate(write_series(2, series="1.2.9")):
        (folder / "series" / f"other {index}").write_bytes(data)
    monkeypatch.setattr(discovery, "_FEW_DICOM", 4)
    monkeypatch.setattr(discovery, "_LARGEST_STUDY", 4)
    series = [item for item in found(folder) if item.kind == "dicom"]
    assert sorted(len(item.names) for item in series) == [2, 3]


def test_a_folder_of_many_slices_is_divided_by_study(
    tmp_path: Path, write_series: Callable[..., list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Series of a study get a joint answer; slices with series UIDs of their own are a volume."""
    for study in "ab":
        for series in range(4):
            tags = {"StudyInstanceUID": f"1.2.{ord(study)}"}
            for index, data in enumerate(
                write_series(2 - series // 2, series=f"1.2.{series}", **tags)
            ):
                (tmp_path / f"{index}{series}{study}").write_bytes(data)
    monkeypatch.setattr(discovery, "_FEW_DICOM", 6)
    assert _names(tmp_path) == ["00a 01a 02a 03a 10a 11a", "00b 01b 02b 03b 10b 11b"]
    monkeypatch.setattr(discovery, "_LARGEST_STUDY", 5)
    assert _names(tmp_path)[:3] == ["00a 10a", "01a 11a", "02a 03a"]


def _names(folder: Path) -> list[str]:
    """The names of the files of each input."""
    return [" ".join(Path(name).name for name in item.names) for item in found(folder)]


def test_linked_folders_are_followed_once(folder: Path, head: NDArray[np.uint8]) -> None:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "c.png").write_bytes(encode.png(head))
    for name, target in (("site", elsewhere), ("same site", elsewhere), ("up", folder.parent)):
        (folder / name).symlink_to(target)
    (elsewhere / "back").symlink_to(folder)
    assert [str(Path(item.path).relative_to(folder)) for item in found(folder)] == [
        "a.png", "b.png", "same site/c.png", "series",
    ]  # fmt: skip


def test_reports_among_many_slices_are_no_input(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By themselves they are one."""
    write_directory(folder, 1).rename(folder / "series" / "other")
    monkeypatch.setattr(discovery, "_FEW_DICOM", 2)
    assert [len(item.names) for item in found(folder) if item.kind == "dicom"] == [3]
    for index in range(3):
        write_directory(folder, 1).rename(folder / "series" / f"{index}")
    assert [len(item.names) for item in found(folder) if item.kind == "dicom"] == [4]


def test_folders_of_one_study_are_one_input(
    tmp_path: Path, head: NDArray[np.uint8], write_series: Callable[..., list[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    place = tmp_path / "export"
    for patient, study in (("a", "1.2.3"), ("b", "1.2.4")):
        for name, series in (("flair", "8"), ("t1", "9")):
            (place / patient / name).mkdir(parents=True)
            slices = write_series(3, series=f"{study}.{series}", StudyInstanceUID=study)
            for index, data in enumerate(slices):
                (place / patient / name / f"{index}").write_bytes(data)
        (place / patient / "scout.png").write_bytes(encode.png(head))
    (place / "c").mkdir()
    (place / "c" / "odd").write_bytes(bytes(128) + b"DICM")
    studies = [item for item in found(place) if item.kind == "dicom"]
    assert [(Path(item.path).name, len(item.names)) for item in studies] == [
        ("a", 6),
        ("b", 6),
        ("c", 1),
    ]
    assert sum(item.kind == "file" for item in found(place)) == 2
    monkeypatch.setattr(discovery, "_LARGEST_STUDY", 5)
    apart = [item for item in found(place) if item.kind == "dicom"]
    assert [len(item.names) for item in apart] == [3, 3, 3, 3, 1]


def test_the_first_input_comes_before_the_last_is_looked_for(folder: Path) -> None:
    first = next(iter(Discovery(str(folder))))
    (folder / "series" / "0").unlink()
    assert Path(first.path).name == "a.png"


def test_pattern_file_and_archive(folder: Path, tmp_path: Path) -> None:
    assert [Path(item.path).name for item in found(folder / "*.png")] == ["a.png", "b.png"]
    assert [item.kind for item in found(folder / "a.png")] == ["file"]
    packed = tmp_path / "study.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    items = found(packed)
    assert [(item.kind, len(item.names)) for item in items] == [
        ("member", 1), ("member", 1), ("dicom_members", 3),
    ]  # fmt: skip
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 no archive")
    assert [(item.kind, item.error) for item in found(tmp_path / "broken.zip")] == [
        ("failure", "corrupt")
    ]


def test_dicom_files_of_a_pattern_or_list_are_series(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [folder / "a.png", *sorted((folder / "series").iterdir()), folder / "b.png"]
    kinds = [("file", 0), ("dicom", 3), ("file", 0)]
    _given(monkeypatch, "\n".join(map(str, paths)).encode())
    assert [(item.kind, len(item.names)) for item in found("-")] == kinds
    (named,) = found(folder / "series" / "*")
    assert (named.kind, len(named.names)) == ("dicom", 3)
    (alone,) = found(folder / "series" / "0")
    assert alone.path == str(folder / "series" / "0")


def _given(monkeypatch: pytest.MonkeyPatch, listed: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(listed)))


def test_list_on_standard_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = f"{folder / 'b.png'}\n\n{folder / 'none.png'}\n{folder / 'series'}\n"
    _given(monkeypatch, listed.encode())
    assert [(item.kind, item.error) for item in found("-")] == [
        ("file", ""), ("failure", "missing"), ("dicom", ""),
    ]  # fmt: skip
    assert count_files("-") is None


_ODD = (b"a\nb.png", b"\xff\xfe.png", b"with space .png")


@pytest.mark.parametrize(
    ("names", "listed"),
    [
        (_ODD, b"".join(name + b"\0" for name in _ODD)),
        (_ODD, b"\0".join(_ODD)),
        (_ODD[1:], b"\n".join(_ODD[1:])),
        (_ODD[1:], b"\r\n".join(_ODD[1:]) + b"\r\n"),
        (_ODD[2:], b"\xef\xbb\xbf" + _ODD[2]),
    ],
)
def test_odd_names_on_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[bytes, ...], listed: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in names:
        Path(os.fsdecode(name)).write_bytes(b"\x89PNG\r\n\x1a\n")
    _given(monkeypatch, listed)
    assert [(item.kind, os.fsencode(item.path)) for item in found("-")] == [
        ("file", os.fsencode(tmp_path / os.fsdecode(name))) for name in names
    ]


@pytest.mark.parametrize("name", ["in", "in/", "./in", "../work/in", "{}/in/", "in/*.png"])
def test_an_argument_means_the_same_in_every_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Also below a folder whose name would be a pattern."""
    (tmp_path / "a" / "work" / "in").mkdir(parents=True)
    (tmp_path / "a" / "work" / "in" / "other.png").write_bytes(b"\x89PNG")
    work = tmp_path / "[ab]" / "work"
    (work / "in").mkdir(parents=True)
    (work / "in" / "x.png").write_bytes(b"\x89PNG")
    monkeypatch.chdir(work)
    argument = located(name.format(work))
    monkeypatch.chdir("/")
    assert [item.path for item in found(argument)] == [str(work / "in" / "x.png")]
    assert located(argument) == argument
    if "*" not in name:
        assert argument == str(work / "in")


def test_the_parent_of_a_link_is_that_of_its_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk" / "site").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "site")
    (tmp_path / "disk" / "x.png").write_bytes(b"\x89PNG")
    monkeypatch.chdir(tmp_path)
    assert len(found(located("link/.."))) == 1
    assert located("link") == str(tmp_path / "link"), "what the link names may move"


def test_urls_that_name_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert located("s3://bucket/in/") == located("s3://bucket/in")
    assert located("file://in") == located(f"file://{tmp_path}/in/") == f"file://{tmp_path}/in"


def test_a_line_that_can_be_no_path_costs_only_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _given(monkeypatch, b"x" * 100_000 + b"\n" + os.fsencode(folder / "b.png"))
    assert [item.kind for item in found("-")] == ["failure", "file"]


def test_a_list_in_utf_16_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _given(monkeypatch, "a.png\r\nb.png\r\n".encode("utf-16"))
    with pytest.raises(BatchError, match="save it as UTF-8"):
        found("-")


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".CSV", ".tsv", ".Parquet"])
def test_manifest(folder: Path, suffix: str) -> None:
    records = [Record(name, "glioma", "", "0" * 64, "", 1, 1, "L", name, "x")
               for name in ("b.png", "a.png")]  # fmt: skip
    path = folder / f"manifest{suffix}"
    Manifest(tuple(records), folder).save(path)
    assert [item.path for item in found(path)] == [str(folder / "b.png"), str(folder / "a.png")]
    assert count_files(str(path)) == 2


def _parquet(columns: dict[str, Any], path: Path, kind: str = "string") -> None:
    arrow = pytest.importorskip("pyarrow", reason="needs the batch extra")
    pytest.importorskip("pyarrow.parquet", reason="needs the batch extra")
    words = {
        "string": arrow.string(),
        "binary": arrow.binary(),
        "large_string": arrow.large_string(),
    }
    kinds = {**words, "dictionary": arrow.dictionary(arrow.int32(), arrow.string())}
    arrays = {name: arrow.array(cells, kinds[kind]) for name, cells in columns.items()}
    arrow.parquet.write_table(arrow.table(arrays), path)


@pytest.mark.parametrize("kind", ["string", "binary", "large_string", "dictionary"])
@pytest.mark.parametrize("name", ["path", "Path", " PATH "])
def test_text_of_any_type_in_a_parquet_manifest(folder: Path, kind: str, name: str) -> None:
    _parquet({"x": ["1", "2"], name: ["b.png", None]}, folder / "m.parquet", kind)
    assert [item.path for item in found(folder / "m.parquet")] == [str(folder / "b.png")]


def test_bytes_of_a_parquet_manifest_are_kept(folder: Path) -> None:
    _parquet({"path": [b"\xff.png"]}, folder / "m.parquet", "binary")
    (item,) = found(folder / "m.parquet")
    assert os.fsencode(item.path) == os.fsencode(folder) + b"/\xff.png"


def test_row_groups_without_rows(folder: Path) -> None:
    arrow = pytest.importorskip("pyarrow.parquet", reason="needs the batch extra")
    table = pytest.importorskip("pyarrow").table({"path": ["a.png", "b.png"]})
    with arrow.ParquetWriter(folder / "m.parquet", table.schema) as writer:
        for part in (table.slice(0, 0), table.slice(0, 1), table.slice(0, 0), table.slice(1, 1)):
            writer.write_table(part)
    assert [Path(item.path).name for item in found(folder / "m.parquet")] == ["a.png", "b.png"]


def test_a_folder_of_parquet_files_is_one_manifest(folder: Path) -> None:
    """In the order of their names; with what Spark leaves beside them."""
    place = folder / "m.parquet"
    (place / "class=x").mkdir(parents=True)
    _parquet({"path": ["b.png"]}, place / "class=x" / "part-2.parquet")
    _parquet({"path": ["a.png"]}, place / "class=x" / "part-1.parquet")
    (place / "_SUCCESS").touch()
    (place / ".part-1.parquet.crc").write_bytes(b"crc")
    assert [Path(item.path).name for item in found(place)] == ["a.png", "b.png"]
    assert found(place)[0].path == str(folder / "a.png"), "paths are relative to its folder"
    assert count_files(str(place)) == 2


def test_a_parquet_manifest_whose_path_is_no_utf_8_is_one_error(folder: Path) -> None:
    _parquet({"path": ["b.png"]}, folder / "m.parquet")
    odd = folder.rename(folder.with_name("\udcff"))
    assert count_files(str(odd / "m.parquet")) is None
    with pytest.raises(BatchError, match=r"cannot be read as Parquet \(its path contains bytes"):
        found(odd / "m.parquet")


def test_a_path_in_a_parquet_manifest_must_be_text(folder: Path) -> None:
    arrow = pytest.importorskip("pyarrow.parquet", reason="needs the batch extra")
    nested = pytest.importorskip("pyarrow").table({"path": [["a.png"]]})
    arrow.write_table(nested, folder / "m.parquet")
    with pytest.raises(BatchError, match=r"the column path holds \['a.png'\], not text"):
        found(folder / "m.parquet")


def test_a_parquet_manifest_that_is_damaged_within_is_one_error(folder: Path) -> None:
    """Its list of columns is whole, its rows are not."""
    _parquet({"path": [f"{k:064x}" for k in range(50_000)]}, folder / "m.parquet")
    data = bytearray((folder / "m.parquet").read_bytes())
    data[1000 : len(data) // 2] = bytes(range(256)) * ((len(data) // 2 - 1000) // 256 + 1)
    (folder / "m.parquet").write_bytes(data)
    with pytest.raises(BatchError, match=r"m\.parquet: cannot be read as Parquet"):
        found(folder / "m.parquet")


def test_a_table_that_is_no_manifest(folder: Path) -> None:
    (folder / "table.csv").write_text("name\nb.png\n")
    with pytest.raises(BatchError, match="needs a column named path"):
        found(folder / "table.csv")


def test_two_columns_of_paths_are_told(folder: Path) -> None:
    (folder / "table.csv").write_text("path,Path\na.png,b.png\n")
    with pytest.raises(BatchError, match="names the column path twice"):
        found(folder / "table.csv")


def test_rows_of_a_manifest_without_a_path_are_no_folder(folder: Path) -> None:
    rows = "\N{BYTE ORDER MARK}x,path\n1,b.png\n2\n3,\n"
    (folder / "gaps.csv").write_text(rows, encoding="utf-8")
    assert [item.path for item in found(folder / "gaps.csv")] == [str(folder / "b.png")]


def test_a_manifest_that_a_spreadsheet_has_saved(folder: Path) -> None:
    """Read as by the other commands: separators, names of columns, cells like formulas."""
    (folder / "=1.png").write_bytes((folder / "b.png").read_bytes())
    (folder / "saved.csv").write_text("class;Path\nglioma;b.png\nglioma;'=1.png\n")
    names = [Path(item.path).name for item in found(folder / "saved.csv")]
    assert names == ["b.png", "=1.png"]


@pytest.mark.parametrize(
    "text", ["sep=;\r\nclass;path\r\n1;b.png\r\n", "path,class\r\nb.png,1\r\n"]
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_manifest_that_states_its_separator_or_is_wide(
    folder: Path, text: str, encoding: str
) -> None:
    (folder / "saved.csv").write_bytes(text.encode(encoding))
    assert [Path(item.path).name for item in found(folder / "saved.csv")] == ["b.png"]


def test_bytes_of_a_manifest_are_kept(folder: Path) -> None:
    (folder / "bytes.csv").write_bytes(b"path\n\xff.png\n")
    assert [os.fsencode(item.path) for item in found(folder / "bytes.csv")] == [
        os.fsencode(folder) + b"/\xff.png"
    ]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("long.csv", b"path\n" + b"a" * 200_000, "is not CSV"),
        ("cut.parquet", b"PAR1 and no more PAR1", "cannot be read as Parquet"),
        ("empty.parquet", b"", "cannot be read as Parquet"),
    ],
)
def test_a_damaged_manifest_is_told(folder: Path, name: str, data: bytes, words: str) -> None:
    (folder / name).write_bytes(data)
    with pytest.raises(BatchError, match=words):
        found(folder / name)
    assert (count_files(str(folder / name)) is None) == name.endswith(".parquet")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(BatchError, match="no such file or folder"):
        found(tmp_path / "none")
    with pytest.raises(BatchError, match=r"\*\.png: no file matches this pattern"):
        found(tmp_path / "*.png")


def test_nothing_there_in_a_folder_whose_name_would_be_a_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("[2024]", "2"):
        (tmp_path / name).mkdir()
    (tmp_path / "2" / "archive").write_bytes(b"\x89PNG")
    monkeypatch.chdir(tmp_path / "[2024]")
    with pytest.raises(BatchError, match="no such file or folder"):
        found(located("archive"))


def test_what_cannot_be_looked_at_is_not_called_missing(folder: Path) -> None:
    (folder / "loop.png").symlink_to("loop.png")
    loop = folder / "loop.png"
    assert [item.message for item in found(folder) if item.kind == "failure"] == [
        f"{loop}: cannot be opened (Too many levels of symbolic links)"
    ]
    assert count_files(str(folder / ("a" * 300))) is None

"""Folders and archives: series found, sorted and read; what cannot be is told."""

import io
import os
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from tumorlens.errors import InputError
from tumorlens.imaging import finder
from tumorlens.imaging.archive import Archive
from tumorlens.imaging.input import File
from tumorlens.imaging.raster import encode
from tumorlens.imaging.regroup import NOTE
from tumorlens.imaging.series import SAME_UID, Series
from tumorlens.imaging.study import read_study, source_headers

Gray = NDArray[np.uint8]
Write = Callable[..., bytes]
WriteSeries = Callable[..., list[bytes]]


def place(folder: Path, slices: list[bytes], names: str = "zyxwvutsrq") -> Path:
    """Write slices under names whose order is not theirs, and without a suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in zip(names, slices, strict=False):
        (folder / name).write_bytes(data)
    return folder


def pack(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def kinds(failures: list[tuple[str, InputError]]) -> list[str]:
    return [error.kind for _, error in failures]


def test_a_series_of_damaged_files_says_how_many(tmp_path: Path, write_series: WriteSeries) -> None:
    place(tmp_path, [data[: len(data) // 2] for data in write_series(5)])
    ((_, error),) = read_study(tmp_path).failures
    assert str(error).endswith("(4 more files of the series cannot be read either)")


@pytest.mark.parametrize("cut", [132, 160, 400])
def test_what_is_left_of_a_file_is_no_report(
    tmp_path: Path, head: Gray, write_dicom: Write, cut: int
) -> None:
    """Cut off before it states what it is, it is not passed over like a report."""
    (tmp_path / "a.dcm").write_bytes(write_dicom(head)[:cut])
    study = read_study(tmp_path)
    assert (kinds(study.failures), study.skipped) == (["corrupt"], 0)


def test_a_series_is_sorted_in_space(tmp_path: Path, head: Gray, write_series: WriteSeries) -> None:
    folder = place(tmp_path / "study", write_series(6))
    study = read_study(folder)
    (image,) = study.images
    assert study.failures == []
    assert image.source == str(folder)
    assert image.pixels.shape == (6, *head.shape)
    np.testing.assert_array_equal(image.pixels[:, 0, 0], image.pixels[0, 0, 0] + 10 * np.arange(6))
    assert image.facts is not None
    assert [Path(place.path).name for place in image.facts.slices] == list("zyxwvu")
    assert [place.along_mm for place in image.facts.slices] == [0, 5, 10, 15, 20, 25]
    uids = [header.SOPInstanceUID for header in source_headers(image.facts.slices)]
    assert uids == [f"1.2.3.{number}" for number in range(1, 7)]


@pytest.mark.parametrize("other", [0, 1])
def test_files_of_one_uid_and_other_pixels_are_told(
    tmp_path: Path, write_series: WriteSeries, write_dicom: Write, head: Gray, other: int
) -> None:
    tags = {"SOPInstanceUID": "1.2.3.99", "SeriesInstanceUID": "1.2.3"}
    files = [write_dicom(head, **tags), write_dicom(head + np.uint8(other), StudyID="x", **tags)]
    (image,) = read_study(place(tmp_path / "study", files)).images
    assert image.depth == 1
    assert (SAME_UID in image.notes) == bool(other)


def test_an_intact_copy_of_damaged_files_is_used(
    tmp_path: Path, write_series: WriteSeries, write_dicom: Write, head: Gray
) -> None:
    """Wherever it lies; the damage is told once, and files that are all damaged are one input."""
    intact = write_series(4)
    damaged = [data[: len(data) // 2] for data in intact]
    for folders in (("a", "b"), ("b", "a")):
        at = tmp_path / folders[0]
        place(at / folders[0], intact)
        place(at / folders[1], damaged[:3])
        study = read_study(at)
        (image,) = study.images
        assert image.depth == 4
        assert not any("repeat" in note or note == SAME_UID for note in image.notes)
        ((_, error),) = study.failures
        assert "2 more files" in str(error)
    both = read_study(place(tmp_path / "both", [damaged[0], damaged[0][:-100]]))
    assert (both.images, kinds(both.failures)) == ([], ["corrupt"])


def test_two_series_images_and_other_things(
    tmp_path: Path, head: Gray, write_series: WriteSeries, write_dicom: Write
) -> None:
    place(tmp_path / "mixed", write_series(4))
    place(tmp_path / "mixed", write_series(3, series="1.2.9"), "abc")
    (tmp_path / "mixed" / "image").write_bytes(encode.png(head))
    (tmp_path / "mixed" / "notes.dcm").write_text("no DICOM")
    report = write_dicom(
        head,
        SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33",
        Modality="SR",
        Rows=None,
        Columns=None,
        PixelData=None,
    )
    (tmp_path / "mixed" / "report").write_bytes(report)
    study = read_study(tmp_path / "mixed")
    assert [image.pixels.shape[0] for image in study.images if image.is_volume] == [3, 4]
    assert sum(not image.is_volume for image in study.images) == 1
    assert [(Path(path).name, error.kind) for path, error in study.failures] == [
        ("notes.dcm", "unsupported_format")
    ]
    assert study.skipped == 1


def test_another_modality_is_one_refusal_a_series(
    tmp_path: Path, write_series: WriteSeries
) -> None:
    place(tmp_path, write_series(4))
    place(tmp_path, write_series(3, series="1.2.9", Modality="CT"), "abc")
    study = read_study(tmp_path)
    assert len(study.images) == 1
    ((path, error),) = study.failures
    assert (path, error.kind) == (str(tmp_path / "a"), "not_mr")
    assert (
        "modality CT; only MR is classified (the same holds for 2 more files of the series)"
        in str(error)
    )


def test_a_damaged_slice_is_left_out_and_told(tmp_path: Path, write_series: WriteSeries) -> None:
    slices = write_series(6)
    slices[2] = slices[2][:-5000]  # pixels
    slices[4] = slices[4][:300]  # header
    study = read_study(place(tmp_path, slices))
    (image,) = study.images
    assert image.depth == 4
    assert image.facts is not None
    assert [Path(one.path).name for one in image.facts.slices] == list("zywu")
    assert "1 of 5 slices could not be read and are left out" in image.notes
    assert sorted(Path(path).name for path, _ in study.failures) == ["v", "x"]
    assert kinds(study.failures) == ["corrupt", "corrupt"]


@pytest.mark.parametrize("missing", [0, 2, 6])
def test_a_directory_that_names_missing_files(
    tmp_path: Path, write_series: WriteSeries, missing: int
) -> None:
    folder = place(tmp_path, write_series()[missing:])
    (folder / "DICOMDIR").write_bytes(directory(6))
    study = read_study(folder)
    assert len(study.images) == (missing < 6)
    assert [str(error).partition(": ")[2] for _, error in study.failures] == [
        f"{missing} of 6 files that the DICOM directory names are missing"
    ] * (missing > 0)


@pytest.mark.parametrize("present", [(1, 2, 3), (1, 3), (2,)])
@pytest.mark.parametrize("total", [3, None])
def test_an_image_in_several_files_lacks_some(
    tmp_path: Path, write_series: WriteSeries, present: tuple[int, ...], total: int | None
) -> None:
    slices = write_series(6)
    for part in present:
        dataset = pydicom.dcmread(io.BytesIO(slices[part]))
        dataset.ConcatenationUID, dataset.InConcatenationNumber = "1.2.3.4", part
        if total is not None:
            dataset.InConcatenationTotalNumber = total
        dataset.save_as(tmp_path / f"{part}.dcm")
    failures = [str(error).partition(": ")[2] for _, error in read_study(tmp_path).failures]
    count = total or max(present)
    assert failures == [
        f"{count - len(present)} of {count} files that the image is divided into are missing"
    ] * (count > len(present))


def directory(count: int) -> bytes:
    """A DICOMDIR (PS3.3 F.3) with a record of a patient and ``count`` images."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.99")
    records = [Dataset() for _ in range(count + 1)]
    for number, record in enumerate(records):
        record.DirectoryRecordType = "IMAGE" if number else "PATIENT"
        if number:
            record.ReferencedFileID = ["IMAGES", f"IM{number}"]
    dataset.DirectoryRecordSequence = records
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return out.getvalue()


def test_gaps_and_duplicates_are_noted(tmp_path: Path, write_series: WriteSeries) -> None:
    slices = write_series(8)
    del slices[4]
    study = read_study(place(tmp_path, [*slices, slices[1]]))
    (image,) = study.images
    assert image.depth == 7
    assert "gap of 10.0 mm between slices 4 and 5, counted from 1: about 1 missing" in image.notes
    assert "1 slice repeats the position of another and is left out" in image.notes


def test_a_localizer_gives_a_stack_for_each_direction(
    tmp_path: Path, write_series: WriteSeries
) -> None:
    place(tmp_path, write_series(3))
    place(tmp_path, write_series(2, ImageOrientationPatient=[0, 1, 0, 0, 0, -1], Rows=200), "ab")
    images = read_study(tmp_path).images
    assert [(image.facts and image.facts.plane) for image in images] == [
        "sagittal", "axial",
    ]  # fmt: skip


@pytest.mark.parametrize("missing", ["ImageOrientationPatient", "ImagePositionPatient"])
def test_slices_without_positions_are_in_the_order_of_their_numbers(
    tmp_path: Path, write_series: WriteSeries, missing: str
) -> None:
    place(tmp_path, write_series(4, **{missing: None}))
    (image,) = read_study(tmp_path).images
    assert image.facts is not None
    assert [Path(place.path).name for place in image.facts.slices] == list("wxyz")
    assert image.notes == (
        "positions of the slices are not stated; they are in the order of InstanceNumber",
    )


def test_captures_without_positions_stay_single(tmp_path: Path, write_series: WriteSeries) -> None:
    capture = "1.2.840.10008.5.1.4.1.1.7"
    place(tmp_path, write_series(3, ImageOrientationPatient=None, SOPClassUID=capture))
    images = read_study(tmp_path).images
    assert [image.is_volume for image in images] == [False] * 3


@pytest.mark.parametrize(("is_stated", "depths"), [(True, [1, 1, 1]), (False, [3])])
def test_numbers_without_positions_join_no_captures(
    tmp_path: Path, write_series: WriteSeries, is_stated: bool, depths: list[int]
) -> None:
    """Each with a series UID of its own; MR of no stated SOP class are slices, as in ACR-NEMA."""
    capture = "1.2.840.10008.5.1.4.1.1.7"
    for index in range(3):
        data = write_series(
            3, ImageOrientationPatient=None, SOPClassUID=capture, SeriesNumber=3,
            SeriesInstanceUID=f"1.9.{index}",
        )[index]  # fmt: skip
        kept = data if is_stated else data.replace(capture.encode(), bytes(len(capture)))
        (tmp_path / str(index)).write_bytes(kept)
    images = read_study(tmp_path).images
    assert [image.depth for image in images] == depths
    assert any(NOTE in image.notes for image in images) != is_stated


@pytest.mark.filterwarnings("ignore:The value length:UserWarning")
def test_uids_of_more_than_64_characters_are_not_cut(
    tmp_path: Path, write_series: WriteSeries
) -> None:
    for index in range(2):
        for place, data in enumerate(write_series(3, series=f"1.2.{'3' * 62}.{index}")):
            (tmp_path / f"{index}-{place}").write_bytes(data)
    assert [image.depth for image in read_study(tmp_path).images] == [3, 3]


def test_windows_count_only_where_all_slices_have_one(
    tmp_path: Path, write_series: WriteSeries, write_dicom: Write
) -> None:
    window = {"WindowCenter": 70, "WindowWidth": 100}
    some, others = write_series(4, **window), write_series(4)
    (all_of_them,) = read_study(place(tmp_path / "all", some)).images
    assert (all_of_them.pixels.min(), all_of_them.pixels.max()) == (0, 1)
    (mixed,) = read_study(place(tmp_path / "mixed", [*some[:2], *others[2:]])).images
    assert mixed.pixels.max() > 1


def test_an_archive_is_a_folder_in_one_file(
    tmp_path: Path, head: Gray, write_series: WriteSeries
) -> None:
    slices = write_series(5)
    members = {f"study/{name}": data for name, data in zip("edcba", slices, strict=True)}
    members |= {"study/image": encode.png(head), "__MACOSX/._a": b"x", "study/.DS_Store": b"y",
                "study/readme": b"text", "study/": b"", "../../evil": encode.png(head),
                "__MACOSX\\._b.png": b"x"}  # fmt: skip
    path = pack(tmp_path / "study.bin", members)
    inner = pack(tmp_path / "inner.zip", {"a": encode.png(head)})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("nested.zip", inner.read_bytes())
    before = sorted(tmp_path.parent.iterdir())
    study = read_study(path)
    assert sorted(tmp_path.parent.iterdir()) == before
    assert (study.failures, study.skipped) == ([], 1)
    evil, nested, volume, image = study.images
    np.testing.assert_array_equal(nested.pixels, head)
    assert nested.source == f"{path}/nested.zip/a"
    np.testing.assert_array_equal(evil.pixels, head)
    np.testing.assert_array_equal(image.pixels, head)
    (in_folder,) = read_study(place(tmp_path / "folder", slices)).images
    np.testing.assert_array_equal(volume.pixels, in_folder.pixels)
    assert volume.source == f"{path}/study"
    assert volume.facts is not None
    first = volume.facts.slices[0]
    assert (first.path, first.member) == (str(path), "study/e")
    assert source_headers([first])[0].SOPInstanceUID == "1.2.3.1"


def test_a_study_in_an_archive_in_an_archive(
    tmp_path: Path, head: Gray, write_series: WriteSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a portal packs what a scanner has packed; deeper ones are refused by name."""
    slices = {f"s/{k}": data for k, data in enumerate(write_series(4))}
    inner = pack(tmp_path / "inner.zip", slices)
    deeper = pack(tmp_path / "deeper.zip", {"inner.zip": inner.read_bytes()})
    members = {
        "inner.zip": inner.read_bytes(),
        "deeper.zip": deeper.read_bytes(),
        "p": encode.png(head),
    }
    study = read_study(pack(tmp_path / "study.zip", members))
    assert sorted(image.depth for image in study.images) == [1, 4]
    volume = next(image for image in study.images if image.is_volume)
    assert volume.facts is not None
    first = volume.facts.slices[0]
    assert first.member == "inner.zip/s/0"
    unpacked: list[str] = []
    open_inner = Archive.open_inner

    def counted(archive: Archive, name: str) -> tuple[str, ...]:
        unpacked.append(name)
        return open_inner(archive, name)

    monkeypatch.setattr(Archive, "open_inner", counted)
    uids = [header.SOPInstanceUID for header in source_headers(volume.facts.slices)]
    assert sorted(uids) == [f"1.2.3.{number}" for number in range(1, 5)]
    assert unpacked == ["inner.zip"], "once, not for each slice"
    ((where, error),) = study.failures
    assert where == f"{tmp_path}/study.zip/deeper.zip/inner.zip"
    assert "an archive nested in two others" in str(error)


def test_damaged_and_many_archives_within(
    tmp_path: Path, head: Gray, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = pack(tmp_path / "inner.zip", {"p": encode.png(head)}).read_bytes()
    path = pack(tmp_path / "a.zip", {"bad.zip": inner[:60], "good.zip": inner, "more.zip": inner})
    study = read_study(path)
    assert (len(study.images), kinds(study.failures)) == (2, ["corrupt"])
    monkeypatch.setattr("tumorlens.imaging.archive.MAX_FILE_BYTES", len(inner) + 100)
    study = read_study(path)
    assert (len(study.images), sorted(kinds(study.failures))) == (1, ["corrupt", "limit"])


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_members_of_one_name_are_all_read(tmp_path: Path, head: Gray) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, pixels in (("a.png", head), ("a.png", head.T), ("a (2).png", 255 - head)):
            archive.writestr(name, encode.png(pixels))
        archive.writestr(".", b"a")
        archive.writestr(".", b"a")
    found = {image.source: image.pixels for image in read_study(path).images}
    assert sorted(found) == [f"{path}/a{n}.png" for n in (" (2) (2)", " (2)", "")]
    np.testing.assert_array_equal(found[f"{path}/a.png"], head)
    np.testing.assert_array_equal(found[f"{path}/a (2).png"], head.T)


def test_damaged_and_encrypted_members(tmp_path: Path, head: Gray) -> None:
    image = encode.png(head)
    path = pack(tmp_path / "a.zip", {"a": image, "b": image}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(image) + 500] ^= 0xFF  # the checksum of "a" no longer fits
    central = data.rindex(b"PK\x01\x02")
    data[central + 8] |= 1  # "b" claims to be encrypted
    path.write_bytes(bytes(data))
    study = read_study(path)
    assert study.images == []
    assert sorted(kinds(study.failures)) == ["corrupt", "unsupported_format"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_could_unfold_without_bound(tmp_path: Path, method: int, head: Gray) -> None:
    study = read_study(pack(tmp_path / "a.zip", {"a": encode.png(head)}, method))
    assert kinds(study.failures) == ["unsupported_format"]


@pytest.mark.parametrize("is_inner", [False, True])
def test_an_encrypted_archive_is_one_error(tmp_path: Path, head: Gray, is_inner: bool) -> None:
    members = {name: encode.png(head) for name in "abc"}
    path = pack(tmp_path / "a.zip", members, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    for found in re.finditer(b"PK\x01\x02", bytes(data)):
        data[found.start() + 8] |= 1
    path.write_bytes(bytes(data))
    if is_inner:
        path = pack(tmp_path / "b.zip", {"in.zip": bytes(data)})
    ((_, error),) = read_study(path).failures
    assert str(error) == f"{path}{'/in.zip' if is_inner else ''}: is encrypted; unpack it first"


def test_a_file_that_is_no_archive_any_more(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    assert kinds(read_study(tmp_path / "a.zip").failures) == ["corrupt"]
    assert kinds(read_study(tmp_path / "gone.zip").failures) == ["missing"]
    pack(tmp_path / "empty.zip", {})
    assert kinds(read_study(tmp_path / "empty.zip").failures) == ["missing"]


def test_the_finder_reads_headers_only(
    tmp_path: Path, write_series: WriteSeries, head: Gray
) -> None:
    folder = place(tmp_path / "study", write_series(3))
    (folder / "a.png").write_bytes(encode.png(head))
    found = finder.find(str(folder))
    image, series = found.inputs
    assert image == File(str(folder / "a.png"), "png")
    assert found.paths == (image.path,)
    assert isinstance(series, Series)
    assert series.path == os.path.commonpath([str(folder / name) for name in "xyz"])
    assert series.facts.modality == "MR"


def test_images_alone_leave_pydicom_alone(tmp_path: Path, head: Gray) -> None:
    import subprocess

    (tmp_path / "a.png").write_bytes(encode.png(head))
    script = (
        "import sys\nfrom tumorlens.imaging import finder\n"
        f"(one,) = finder.find({str(tmp_path)!r}).inputs\none.read()\n"
        "print([name for name in ('pydicom', 'nibabel', 'zipfile') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


@pytest.mark.realdata
def test_a_real_series(data_dir: Path) -> None:
    """Every sixth slice of a contrast-enhanced T1 series."""
    (image,) = read_study(data_dir / "vs-seg-dicom").images
    assert image.pixels.shape == (20, 512, 512)
    assert image.pixel_spacing_mm == pytest.approx((0.41015625, 0.41015625))
    facts = image.facts
    assert facts is not None
    assert facts.plane == "axial"
    assert facts.slice_spacing_mm == pytest.approx(9.0)
    assert facts.series_description == "t1_mpr_tra_gk_v4"
    assert facts.scanning_sequence == ("GR", "IR")
    assert image.notes == ("slices are 9.0 mm apart but 1.5 mm thick: some may be missing",)
    along = [place.along_mm for place in facts.slices]
    assert along == sorted(along, key=lambda mm: mm or 0)


@pytest.mark.parametrize(
    ("tags", "by"),
    [
        ({"SliceLocation": True, "InstanceNumber": None}, "SliceLocation"),
        ({}, "InstanceNumber"),
    ],
)
@pytest.mark.parametrize("position", [[0, 0, 0], [7, 8, 9]])
def test_one_position_for_all_slices(
    tmp_path: Path, write_series: WriteSeries, tags: dict[str, bool | None], by: str,
    position: list[int],
) -> None:  # fmt: skip
    for index, name in enumerate("cafdbe"):
        located = {"SliceLocation": 3.5 * index} if tags.get("SliceLocation") else {}
        more = {"InstanceNumber": None if located else 1 + index}
        data = write_series(6, ImagePositionPatient=position, **(located | more))[index]
        (tmp_path / name).write_bytes(data)
    (image,) = read_study(tmp_path).images
    assert image.facts is not None
    assert [Path(place.path).name for place in image.facts.slices] == list("cafdbe")
    assert image.notes == (
        f"positions of the slices are not plausible; they are in the order of {by}",
    )
    assert image.facts.slice_spacing_mm == (3.5 if by == "SliceLocation" else None)


def test_positions_that_move_within_the_plane(tmp_path: Path, write_series: WriteSeries) -> None:
    """As from a table with its axes exchanged: all slices are in one plane."""
    for index in range(6):
        data = write_series(6, ImagePositionPatient=[5.0 * index, 0, 0], SliceLocation=5.0 * index)[
            index
        ]
        (tmp_path / f"{index}").write_bytes(data)
    (image,) = read_study(tmp_path).images
    assert image.depth == 6
    assert "are not plausible" in image.notes[0]


def test_time_points_of_one_slice_are_no_volume(tmp_path: Path, write_series: WriteSeries) -> None:
    for index in range(6):
        data = write_series(
            6, ImagePositionPatient=[0, 0, 0], TemporalPositionIdentifier=1 + index
        )[index]
        (tmp_path / f"{index}").write_bytes(data)
    (image,) = read_study(tmp_path).images
    assert not image.is_volume
    assert "5 slices with time point 2, 3, 4, 5 and 1 more" in image.notes[0]


@pytest.mark.parametrize("study", ["1.2", None])
@pytest.mark.parametrize("series", ["1.9.{}", None])
def test_a_series_whose_slices_have_series_of_their_own(
    tmp_path: Path, write_series: WriteSeries, study: str | None, series: str | None
) -> None:
    """As anonymisers leave it: new UIDs for every file, of the study too, or none."""
    for index, name in enumerate("cafdbe"):
        slices = write_series(
            6, SeriesNumber=3, SeriesDescription="T1 post",
            StudyInstanceUID=study or f"1.2.{index}",
            SeriesInstanceUID=series and series.format(index),
        )  # fmt: skip
        (tmp_path / name).write_bytes(slices[index])
    (image,) = read_study(tmp_path).images
    assert image.facts is not None
    assert [Path(place.path).name for place in image.facts.slices] == list("cafdbe")
    assert "each slice has its own series UID" in image.notes[0]


@pytest.mark.parametrize(
    "tags",
    [
        {"SeriesNumber": None},
        {"SeriesNumber": "own"},
        {"SeriesNumber": None, "StudyInstanceUID": "own", "FrameOfReferenceUID": "1.7"},
        {"SeriesNumber": 3, "SeriesInstanceUID": "1.9.1", "StudyInstanceUID": "own"},
    ],
)
def test_slices_of_one_study_or_one_place_are_joined(
    tmp_path: Path, write_series: WriteSeries, tags: dict[str, Any]
) -> None:
    for index in range(6):
        own = {
            key: index if key == "SeriesNumber" else f"1.6.{index}"
            for key, value in tags.items() if value == "own"
        }  # fmt: skip
        slices = write_series(6, **{"SeriesInstanceUID": f"1.9.{index}"} | tags | own)
        (tmp_path / str(index)).write_bytes(slices[index])
    (image,) = read_study(tmp_path).images
    assert image.depth == 6


@pytest.mark.parametrize("parts", [lambda index: index % 2, lambda index: index // 2])
def test_a_series_in_parts_is_joined(
    tmp_path: Path, write_series: WriteSeries, parts: Callable[[int], int]
) -> None:
    """Odd and even slices, or pairs, have series UIDs of their own but one number."""
    for index in range(6):
        slices = write_series(6, SeriesInstanceUID=f"1.9.{parts(index)}", SeriesNumber=3)
        (tmp_path / str(index)).write_bytes(slices[index])
    (image,) = read_study(tmp_path).images
    assert image.depth == 6
    assert "have several series UIDs" in image.notes[0]


@pytest.mark.parametrize(
    "tags",
    [
        {"PatientID": ["1", "2"]},
        {"StudyInstanceUID": ["1.4", "1.5"]},
        {"StudyDate": ["20200101", "20210101"]},
        {"PatientID": ["", ""], "PatientName": ["Doe^John", "Roe^Jane"]},
        {"PatientID": ["ANON", "ANON"], "PatientBirthDate": ["19600101", "19700101"]},
    ],
)
def test_one_series_uid_for_two_patients_or_studies(
    tmp_path: Path, write_series: WriteSeries, tags: dict[str, list[str]]
) -> None:
    for part in range(2):
        own = {keyword: values[part] for keyword, values in tags.items()}
        for index, data in enumerate(write_series(4, **own)):
            (tmp_path / f"{index}-{part}").write_bytes(data)
    images = read_study(tmp_path).images
    assert [image.depth for image in images] == [4, 4]
    assert all("several patients or studies" in image.notes[0] for image in images)


@pytest.mark.parametrize(
    ("tags", "by"),
    [
        ({"SliceLocation": 5.0, "InstanceNumber": 1}, "SliceLocation"),
        ({"SliceLocation": 0.0}, "InstanceNumber"),
    ],
)
@pytest.mark.parametrize("position", [None, [float("nan"), 0, 0]])
def test_a_slice_without_a_position_among_others(
    tmp_path: Path, write_series: WriteSeries, tags: dict[str, float], by: str,
    position: list[float] | None,
) -> None:  # fmt: skip
    for index in range(6):
        located: dict[str, Any] = {key: step * index for key, step in tags.items()}
        odd = {"ImagePositionPatient": position} if index == 3 else {}
        data = write_series(6, **located | odd)[index]
        (tmp_path / f"{5 - index}").write_bytes(data)
    (image,) = read_study(tmp_path).images
    brightness = image.pixels.max(axis=(1, 2))
    assert (image.depth, list(brightness)) == (6, sorted(brightness))
    assert image.notes == (
        f"the slice's position is not stated; it is taken from {by} (in 1 of 6 slices)",
    )


def test_a_slice_whose_place_nothing_tells(tmp_path: Path, write_series: WriteSeries) -> None:
    for index in range(6):
        odd = {"ImagePositionPatient": None} if index == 3 else {}
        data = write_series(6, InstanceNumber=None, **odd)[index]
        (tmp_path / f"{index}").write_bytes(data)
    volume, alone = read_study(tmp_path).images
    assert (volume.depth, alone.depth) == (5, 1)
    assert "answered by itself" in alone.notes[0]


def test_slices_that_nothing_puts_in_order(tmp_path: Path, write_series: WriteSeries) -> None:
    for index in range(12):
        data = write_series(12, InstanceNumber=None, ImagePositionPatient=None)[index]
        (tmp_path / f"slice{index}").write_bytes(data)
    (image,) = read_study(tmp_path).images
    brightness = image.pixels.max(axis=(1, 2))
    assert list(brightness) == sorted(brightness)
    assert "in the order of their names" in image.notes[0]


def test_positions_in_metres(tmp_path: Path, write_series: WriteSeries) -> None:
    for index, data in enumerate(write_series(6, spacing=0.005)):
        (tmp_path / f"{index}").write_bytes(data)
    (image,) = read_study(tmp_path).images
    assert image.depth == 6
    assert "are not plausible; they are in the order of InstanceNumber" in image.notes[0]


@pytest.mark.parametrize(
    "differ",
    [
        {"SeriesNumber": range(6)},
        {"PatientID": ["a", "b", "c", "d", "e", "f"]},
        {"StudyDate": ["20200101", "20200101", "20210101", "20210101", "20220101", "20230101"]},
        {"ImagePositionPatient": [[0, 0, z] for z in (0, 1, 30, 31, 70, 90)]},
    ],
)
def test_single_slices_that_are_no_series_stay_single(
    tmp_path: Path, write_series: WriteSeries, differ: dict[str, list[object]]
) -> None:
    for index in range(6):
        ((keyword, values),) = differ.items()
        tags = {"SeriesNumber": 3, "StudyInstanceUID": f"1.5.{index}"} | {keyword: values[index]}
        data = write_series(6, SeriesInstanceUID=f"1.9.{index}", **tags)[index]
        (tmp_path / f"{index}").write_bytes(data)
    assert [image.is_volume for image in read_study(tmp_path).images] == [False] * 6


def test_objects_that_are_not_images_are_skipped(
    tmp_path: Path, head: Gray, write_series: WriteSeries, write_dicom: Write
) -> None:
    """A spectrum beside a series is counted, and no failure."""
    place(tmp_path, write_series(4))
    spectrum = write_dicom(
        head, SOPClassUID="1.2.840.10008.5.1.4.1.1.4.2", SeriesInstanceUID="1.2.8", Rows=1,
        Columns=1, PixelData=None, SpectroscopyData=bytes(4096),
    )  # fmt: skip
    (tmp_path / "spectrum").write_bytes(spectrum)
    study = read_study(tmp_path)
    assert ([image.depth for image in study.images], study.skipped) == ([4], 1)
    assert study.failures == []

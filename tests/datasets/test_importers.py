"""From folders to manifests."""

import io
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.datasets import class_folders, importers
from tumorlens.errors import DatasetError
from tumorlens.imaging.raster import encode
from tumorlens.labels import CLASSES

Draw = Callable[[int], NDArray[np.uint8]]


def put(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def palette_png(image: NDArray[np.uint8]) -> bytes:
    """A PNG of 256 palette entries, written by hand: a gray ramp turned upside down."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    height, width = image.shape
    ramp = np.repeat(np.arange(255, -1, -1, dtype=np.uint8), 3).tobytes()
    lines = b"".join(b"\x00" + row.tobytes() for row in 255 - image)
    out = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    out.seek(0, io.SEEK_END)
    out.write(chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)))
    out.write(chunk(b"PLTE", ramp) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))
    return out.getvalue()


def test_lists_classes_splits_and_hashes(tmp_path: Path, draw: Draw) -> None:
    put(tmp_path / "set/Training/glioma/a.png", encode.png(draw(0)))
    put(tmp_path / "set/Testing/no_tumor/b.jpg", encode.jpeg(draw(1)))
    put(tmp_path / "set/Testing/no_tumor/.hidden.jpg", b"x")
    put(tmp_path / "set/Testing/readme.txt", b"x")
    manifest = importers.import_folder(tmp_path / "set", tmp_path / "m.csv", source="here")
    found = {r.path: (r.label, r.split, r.width, r.mode, r.source) for r in manifest}
    assert found == {
        "set/Training/glioma/a.png": ("glioma", "training", 128, "L", "here"),
        "set/Testing/no_tumor/b.jpg": ("notumor", "testing", 128, "L", "here"),
    }
    assert manifest.file(manifest.records[0]).is_file()


def test_folders_of_classes_without_splits(tmp_path: Path, draw: Draw) -> None:
    for seed, label in enumerate(CLASSES):
        put(tmp_path / "plain" / label / "x.png", encode.png(draw(seed)))
    steps: list[tuple[int, int]] = []
    manifest = importers.import_folder(
        tmp_path / "plain", tmp_path / "m.csv", progress=lambda *step: steps.append(step)
    )
    assert {r.label for r in manifest} == set(CLASSES)
    assert {r.split for r in manifest} == {""}
    assert {r.source for r in manifest} == {"plain"}
    assert steps[-1] == (4, 4)


def test_palette_png_behind_a_jpg_name_reads_as_its_gray_self(tmp_path: Path, draw: Draw) -> None:
    put(tmp_path / "set/glioma/palette.jpg", palette_png(draw(3)))
    put(tmp_path / "set/glioma/plain.png", encode.png(draw(3)))
    palette, plain = importers.import_folder(tmp_path / "set", tmp_path / "m.csv")
    assert (palette.mode, plain.mode) == ("P", "L")
    assert palette.pixel_sha256 == plain.pixel_sha256 != ""
    assert palette.sha256 != plain.sha256


def test_byte_identical_files_in_two_folders_share_a_group(tmp_path: Path, draw: Draw) -> None:
    for split in ("Training", "Testing"):
        put(tmp_path / f"set/{split}/glioma/same.png", encode.png(draw(2)))
    put(tmp_path / "set/Testing/glioma/other.png", encode.png(draw(4)))
    manifest = importers.import_folder(tmp_path / "set", tmp_path / "m.csv")
    groups = {r.path.removeprefix("set/"): r.group for r in manifest}
    assert groups["Training/glioma/same.png"] == groups["Testing/glioma/same.png"]
    assert groups["Testing/glioma/other.png"] != groups["Testing/glioma/same.png"]


def test_a_broken_file_is_listed_without_pixels(tmp_path: Path) -> None:
    put(tmp_path / "set/glioma/broken.jpg", b"\xff\xd8\xff")
    (record,) = importers.import_folder(tmp_path / "set", tmp_path / "m.csv")
    assert (record.pixel_sha256, record.width, record.mode) == ("", 0, "")
    assert len(record.sha256) == 64


def test_any_folder_is_a_class_and_what_is_left_out_is_counted(tmp_path: Path, draw: Draw) -> None:
    """The usual names of the two-class set, a nested folder, and what is no image of a class."""
    for name in ("Yes/a.jpg", "Yes/b.jpg", "no/c.jpg", "no/part 2/d.jpg", "e.jpg"):
        put(tmp_path / "set" / name, encode.jpeg(draw(0)))
    put(tmp_path / "set/documents/readme.txt", b"x")
    (tmp_path / "set/unsure").mkdir()
    manifest = importers.import_folder(tmp_path / "set", tmp_path / "m.csv")
    assert [record.label for record in manifest] == ["yes", "yes", "no", "no"]
    found = class_folders.find(tmp_path / "set")
    assert found.left_out == {
        class_folders.NOT_IN_CLASS: {".": 1}, class_folders.NO_IMAGE: {"documents": 1},
    }  # fmt: skip
    assert found.empty == ("unsure",)


@pytest.mark.parametrize("stated", ["AABB", "AAAA", ["", "", "", ""]])
def test_the_patients_of_dicom_files_are_known(
    tmp_path: Path, draw: Draw, write_dicom: Callable[..., bytes], stated: Sequence[str]
) -> None:
    names = ("glioma/1", "notumor/2", "notumor/MR.1.2.840.3", "glioma/4.IMA")
    for seed, (name, patient) in enumerate(zip(names, stated, strict=True)):
        put(
            tmp_path / "set" / name,
            write_dicom(draw(seed), PatientID=patient and f"{patient}secret"),
        )
    put(tmp_path / "set/glioma/5.png", encode.png(draw(9)))
    manifest = importers.import_folder(tmp_path / "set", tmp_path / "m.csv")
    patient_of = {record.path: record.patient for record in manifest}
    patients = [patient_of[f"set/{name}"] for name in (*names, "glioma/5.png")]
    one, other = patients[0], patients[2]
    assert patients == [one, one, other, other, ""]
    assert (len({one, other}) == 2) == (stated == "AABB")
    # One name for all is that of anonymised files, not of a patient.
    assert bool(one) == (stated == "AABB")
    assert not any("secret" in record.group + record.patient for record in manifest)


def test_masks_beside_their_images_are_not_images(tmp_path: Path, draw: Draw) -> None:
    taken = ["a/1.png", "a/2 (1).png", "a/seg_mask.png", "b/1.png", "b/3_mask.png"]
    masks = ["a/1_mask.png", "a/2 (1)_mask_1.png", "b/1-Seg.tif"]
    for seed, name in enumerate((*taken, *masks)):
        put(tmp_path / "set" / name, encode.png(draw(seed)))
    found = class_folders.find(tmp_path / "set")
    assert [one.file.relative_to(tmp_path / "set").as_posix() for one in found.files] == taken
    assert found.left_out == {class_folders.MASK: {"a": 2, "b": 1}}


def test_accents_of_one_or_two_characters_are_one_class(tmp_path: Path, draw: Draw) -> None:
    for seed, name in enumerate(("kyste \u00e9", "kyste e\u0301", "sain")):
        put(tmp_path / "set" / name / f"{seed}.png", encode.png(draw(seed)))
    manifest = importers.import_folder(tmp_path / "set", tmp_path / "m.csv")
    assert {record.label for record in manifest} == {"kyste_\u00e9", "sain"}


def test_folders_of_a_class_within_another_are_left_out(tmp_path: Path, draw: Draw) -> None:
    names = ("glioma/glioma/1.png", "glioma/No Tumour/2.png", "normal/control/3.png")
    for seed, name in enumerate(names):
        put(tmp_path / "set" / name, encode.png(draw(seed)))
    found = class_folders.find(tmp_path / "set")
    assert [one.label for one in found.files] == ["glioma", "notumor"]
    assert found.left_out == {class_folders.TWO_CLASSES: {"glioma/No Tumour": 1}}


def test_names_that_are_not_utf_8_are_left_out(tmp_path: Path, draw: Draw) -> None:
    for seed, name in enumerate(("a/1.png", "a/\udcfc.png", "b/2.png", "b/\udcff/3.png")):
        put(tmp_path / "set" / name, encode.png(draw(seed)))
    manifest = importers.import_folder(tmp_path / "set", tmp_path / "m.csv")
    manifest.save(tmp_path / "m.csv")
    assert [record.path for record in manifest] == ["set/a/1.png", "set/b/2.png"]
    left_out = class_folders.find(tmp_path / "set").left_out
    assert left_out == {class_folders.NOT_UTF_8: {"a": 1, "b/?": 1}}


@pytest.mark.parametrize(
    "hidden", [".git", ".ipynb_checkpoints", "__MACOSX", "cyst/.thumbnails", "__MACOSX/set/cyst"]
)
def test_hidden_folders_hold_no_images(tmp_path: Path, draw: Draw, hidden: str) -> None:
    for seed, name in enumerate(("cyst", "normal", hidden)):
        put(tmp_path / ".data/set" / name / "a.png", encode.png(draw(seed)))
    manifest = importers.import_folder(tmp_path / ".data/set", tmp_path / "m.csv")
    assert [record.path for record in manifest] == [
        ".data/set/cyst/a.png", ".data/set/normal/a.png",
    ]  # fmt: skip
    assert class_folders.find(tmp_path / ".data/set").empty == ()


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_linked_folders_and_files_are_listed_under_their_own_path(
    tmp_path: Path, draw: Draw
) -> None:
    for seed, name in enumerate(("store/glioma/a.png", "store/b.png", "set/cyst/c.png")):
        put(tmp_path / name, encode.png(draw(seed)))
    (tmp_path / "set/gl").symlink_to(tmp_path / "store/glioma")
    (tmp_path / "set/cyst/link.png").symlink_to(tmp_path / "store/b.png")
    (tmp_path / "set/again").symlink_to(tmp_path / "set/cyst")
    (tmp_path / "set/loop").symlink_to(tmp_path)
    (tmp_path / "store/glioma/loop").symlink_to(tmp_path / "store/glioma")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "set")
    manifest = importers.import_folder(tmp_path / "elsewhere", tmp_path / "m.csv")
    assert [(record.path, record.label) for record in manifest] == [
        ("set/cyst/c.png", "cyst"), ("set/cyst/link.png", "cyst"), ("set/gl/a.png", "gl"),
    ]  # fmt: skip
    assert all(manifest.file(record).is_file() for record in manifest)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["P1/yes", "P1/no", "P2/yes"],
         "set/P1: is named like a patient.*folder --from .*set --group-from folder:2 --output"),
        (["P1/ses-1/yes", "P1/ses-2/no", "P2/ses-1/yes"],
         "set/P1: is named like a patient.* --group-from folder:3 --output"),
        (["Doe/visit 2/yes", "Roe/visit 1/no"],
         "set/Roe: is not the name of a split.*if it is a patient.*"
         " --group-from folder:3 --output"),
        (["P1/yes", "P1/no/b", "P2/yes"], r"--group-from '\^\(\[\^/\]\+\)/' --output"),
        (["train/patient 1/yes", "train/patient 2/yes"], "set/train/patient 1: is named like a p"),
        (["fold1/yes", "fold2/yes"], "set/fold1: is named like a fold.*data split --kfold"),
        (["fold1/glioma", "fold2/notumor"], "set/fold1: is named like a fold"),
    ],
)  # fmt: skip
def test_patients_and_folds_above_classes_are_named(
    tmp_path: Path, draw: Draw, names: list[str], message: str
) -> None:
    for name in names:
        put(tmp_path / "set" / name / "a.png", encode.png(draw(0)))
    with pytest.raises(DatasetError, match=message):
        importers.import_folder(tmp_path / "set", tmp_path / "m.csv")


@pytest.mark.parametrize("order", ["{p}/{c}/{p}.png", "{c}/{p}/a.png", "train/{p}/{c}/{p}.png",
                                   "{c}/{p}/s1/a.png"])  # fmt: skip
@pytest.mark.parametrize("classes", ["yes no", "cyst abscess"])
def test_patients_above_or_below_classes(
    tmp_path: Path, draw: Draw, order: str, classes: str
) -> None:
    (tmp_path / "set" / order.format(p="P3", c=classes.split()[0])).parent.mkdir(parents=True)
    (tmp_path / "set/notes.txt").write_text("")
    rule = "folder:1" if order == "{c}/{p}/a.png" else "folder:2"
    check_layout(tmp_path, draw, order, ("P1", "P2"), classes.split(), rule)


def check_layout(
    folder: Path, draw: Draw, order: str, patients: Sequence[str], classes: Sequence[str], rule: str
) -> None:
    """An image of each patient in each class, at the places that ``order`` says, is imported."""
    expected = sorted(itertools.product(classes, patients))
    for label, patient in expected:
        put(folder / "set" / order.format(p=patient, c=label), encode.png(draw(0)))
    found = importers.import_folder(folder / "set", folder / "m.csv", group_from=rule)
    assert sorted((one.label, one.patient) for one in found) == expected


@pytest.mark.parametrize("order", ["{p}/ses-1/{c}/a.png", "test/{p}/2021-03-04/{c}/a.png"])
@pytest.mark.parametrize("classes", ["yes no", "cyst abscess"])
def test_examinations_between_patients_and_classes(
    tmp_path: Path, draw: Draw, order: str, classes: str
) -> None:
    put(tmp_path / "set" / order.format(p="P1", c="scout.txt").removesuffix("/a.png"), b"")
    check_layout(tmp_path, draw, order, ("P1", "Doe"), classes.split(), "folder:3")


def test_any_folder_between_patients_and_usual_classes_is_passed(
    tmp_path: Path, draw: Draw
) -> None:
    for name in ("P1/left/yes/a.png", "P1/left/no/a.png", "P2/right/no/a.png"):
        put(tmp_path / "set" / name, encode.png(draw(0)))
    found = importers.import_folder(tmp_path / "set", tmp_path / "m.csv", group_from="folder:3")
    assert [one.label for one in found] == ["no", "yes", "no"]


@pytest.mark.parametrize("name", ["null", "NA", "n_a"])
def test_a_class_is_not_named_like_an_empty_cell(tmp_path: Path, draw: Draw, name: str) -> None:
    for folder in ("cyst", name):
        put(tmp_path / "set" / folder / "a.png", encode.png(draw(0)))
    if name == "n_a":  # `n/a` is; this is a name
        assert len(importers.import_folder(tmp_path / "set", tmp_path / "m.csv")) == 2
        return
    with pytest.raises(DatasetError, match=f"class {name.lower()}.*--map {name.lower()}=NAME"):
        importers.import_folder(tmp_path / "set", tmp_path / "m.csv")
    mapping = {name: "nothing"}
    found = importers.import_folder(tmp_path / "set", tmp_path / "m.csv", mapping=mapping)
    assert sorted(one.label for one in found) == ["cyst", "nothing"]


@pytest.mark.parametrize(
    ("name", "rule"),
    [("yes/P1/a.png", "folder:2"), ("cyst/P1/a.png", "folder:2"), ("cyst/a.png", "folder:1")],
)
def test_the_folder_of_a_class_is_no_patient(
    tmp_path: Path, draw: Draw, name: str, rule: str
) -> None:
    for place in (name, name.replace("yes", "no").replace("cyst", "abscess")):
        put(tmp_path / "set" / place, encode.png(draw(0)))
    with pytest.raises(DatasetError, match="the folder of a class, for a patient"):
        importers.import_folder(tmp_path / "set", tmp_path / "m.csv", group_from=rule)


def test_classes_may_be_named_like_patients(tmp_path: Path, draw: Draw) -> None:
    for name in ("case1/x/a.png", "case2/y/a.png"):
        put(tmp_path / "set" / name, encode.png(draw(0)))
    manifest = importers.import_folder(tmp_path / "set", tmp_path / "m.csv")
    assert [record.label for record in manifest] == ["case1", "case2"]


def test_a_folder_around_all_others_is_descended_through(tmp_path: Path, draw: Draw) -> None:
    for name in ("archive/data/yes/P1/a.png", "archive/data/cyst/a.png", "archive/b.txt", "c.txt"):
        put(tmp_path / "set" / name, encode.png(draw(0)))
    (tmp_path / "set/archive/data/unsure").mkdir()
    rule = r"data/\w+/(P\d)"
    manifest = importers.import_folder(tmp_path / "set", tmp_path / "m.csv", group_from=rule)
    assert [(record.label, record.split, record.patient) for record in manifest] == [
        ("cyst", "", ""), ("yes", "", "P1"),
    ]  # fmt: skip
    found = class_folders.find(tmp_path / "set")
    assert found.left_out == {class_folders.NOT_IN_CLASS: {"archive": 1, ".": 1}}
    assert found.empty == ("archive/data/unsure",)


def test_forty_classes_in_the_folders_of_a_split(tmp_path: Path, draw: Draw) -> None:
    names = [f"kind_{k:02d}" for k in range(40)]
    for name in names:
        for part in ("train", "valid"):
            put(tmp_path / "set" / part / name / "a.png", encode.png(draw(0)))
    put(tmp_path / "set/notes/b.png", encode.png(draw(1)))
    manifest = importers.import_folder(tmp_path / "set", tmp_path / "m.csv")
    assert sorted({(record.label, record.split) for record in manifest}) == [
        (name, part) for name in names for part in ("training", "validation")
    ]
    left_out = class_folders.find(tmp_path / "set").left_out
    assert left_out == {class_folders.OUTSIDE_SPLIT: {"notes": 1}}
    for name in names[:2]:
        put(tmp_path / "set/holdout" / name / "a.png", encode.png(draw(0)))
    with pytest.raises(DatasetError, match="holdout: is not the name of a split"):
        importers.import_folder(tmp_path / "set", tmp_path / "m.csv")


def test_a_mapping_leaves_folders_out(tmp_path: Path, draw: Draw) -> None:
    for name in ("cyst/a.png", "abscess/a.png", "masks/cyst/a.png"):
        put(tmp_path / "set" / name, encode.png(draw(0)))
    mapping = {"masks": "", "abscess": "Abscess"}
    manifest = importers.import_folder(tmp_path / "set", tmp_path / "m.csv", mapping=mapping)
    assert sorted(record.label for record in manifest) == ["Abscess", "cyst"]
    left_out = class_folders.find(tmp_path / "set", mapping).left_out
    assert left_out == {class_folders.UNWANTED: {"masks/cyst": 1}}


def test_a_mapping_says_what_a_folder_means(tmp_path: Path, draw: Draw) -> None:
    for name in ("Yes/a.jpg", "no/c.jpg"):
        put(tmp_path / "set" / name, encode.jpeg(draw(0)))
    mapping = {"yes": "tumor"}
    manifest = importers.import_folder(tmp_path / "set", tmp_path / "m.csv", mapping=mapping)
    assert {record.path: record.label for record in manifest} == {
        "set/Yes/a.jpg": "tumor", "set/no/c.jpg": "notumor",
    }  # fmt: skip
    assert class_folders.find(tmp_path / "set", mapping).left_out == {}


@pytest.mark.parametrize(
    ("name", "label"),
    [("Glioma Tumor", "glioma"), ("no-tumour", "notumor"), ("Meningioma_Tumour", "meningioma"),
     ("No Tumor", "notumor"), ("PITUITARY", "pituitary")],
)  # fmt: skip
def test_spellings_of_classes(tmp_path: Path, draw: Draw, name: str, label: str) -> None:
    put(tmp_path / "set" / name / "a.jpg", encode.jpeg(draw(0)))
    (record,) = importers.import_folder(tmp_path / "set", tmp_path / "m.csv")
    assert record.label == label


def test_an_empty_second_class_is_named(tmp_path: Path) -> None:
    put(tmp_path / "set/cats/tom.jpg", b"x")
    (tmp_path / "set/dogs").mkdir()
    with pytest.raises(DatasetError, match=r"one class only, cats \(no image in .*dogs\); name a"):
        importers.import_folder(tmp_path / "set", tmp_path / "m.csv")


@pytest.mark.parametrize("make", [True, False])
def test_a_folder_without_classes_is_refused(tmp_path: Path, make: bool) -> None:
    if make:
        put(tmp_path / "set/cats/tom.jpg", b"x")
    with pytest.raises(DatasetError, match=r"one class only, cats|no such folder"):
        importers.import_folder(tmp_path / "set", tmp_path / "m.csv")


def test_a_folder_that_cannot_be_read_is_refused(unreadable_folder: Path, draw: Draw) -> None:
    top = next(parent for parent in unreadable_folder.parents if len(parent.name) < 200)
    put(top / "glioma/a.png", encode.png(draw(0)))
    with pytest.raises(DatasetError, match="cannot be opened"):
        importers.import_folder(top, top / "m.csv")


def test_wrong_counts_name_every_folder_and_what_is_missing(tmp_path: Path, draw: Draw) -> None:
    put(tmp_path / "np/Training/glioma/Tr-gl_0010.jpg", encode.jpeg(draw(0)))
    put(tmp_path / "np/glioma/stray.jpg", encode.jpeg(draw(1)))
    with pytest.raises(DatasetError) as caught:
        importers.import_nickparvar(tmp_path / "np", tmp_path / "m.csv")
    message = str(caught.value)
    for (split, label), count in importers.published_counts().items():
        held = 1 if (split, label) == ("training", "glioma") else 0
        assert f"{split}/{label} has {held} of {count} files (no " in message
    assert "no split/glioma has 1 of 0 files" in message
    assert "Te-glTr_0000.jpg" in message
    assert "Tr-gl_0010.jpg" not in message
    assert "--allow-partial" in message
    assert "\n" not in message


def test_allow_partial_goes_on(tmp_path: Path, draw: Draw) -> None:
    put(tmp_path / "np/Training/glioma/Tr-gl_0010.jpg", encode.jpeg(draw(0)))
    manifest = importers.import_nickparvar(tmp_path / "np", tmp_path / "m.csv", allow_partial=True)
    assert [(r.source, r.patient) for r in manifest] == [("unknown", "")]


def test_provenance_counts_are_the_published() -> None:
    table = importers.provenance_table()
    files = [entry.file for entries in table.values() for entry in entries]
    assert len(files) == len(set(files)) == 7023
    assert importers.published_counts() == {
        ("training", "glioma"): 1321, ("training", "meningioma"): 1339,
        ("training", "notumor"): 1595, ("training", "pituitary"): 1457,
        ("testing", "glioma"): 300, ("testing", "meningioma"): 306,
        ("testing", "notumor"): 405, ("testing", "pituitary"): 300,
    }  # fmt: skip

"""Split files: what they promise, they keep; what was tampered with, they refuse."""

import dataclasses
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from tumorlens.datasets import public_splits, splits
from tumorlens.datasets.importers import provenance_table
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.splits import Split, SplitRow
from tumorlens.errors import SplitError


def record(name: str, sha: str, group: str, split: str = "training") -> Record:
    return Record(
        f"{split}/glioma/{name}", "glioma", split, sha, f"pixels {sha}", 8, 8, "L", group, "s"
    )


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        (
            record("a.png", "aa", "one"),
            record("b.png", "bb", "one"),
            record("c.png", "cc", "two"),
            record("d.png", "dd", "three", "testing"),
        ),
        Path(),
    )


@pytest.fixture
def split() -> Split:
    parts = {"aa": ("one", "train"), "bb": ("one", "train"), "cc": ("two", "validation"),
             "dd": ("three", "test")}  # fmt: skip
    rows = [SplitRow(sha, "glioma", group, part) for sha, (group, part) in parts.items()]
    return splits.build("mine", "A test.", rows, disjoint=True)


@pytest.fixture
def published() -> Manifest:
    """A manifest of the whole public set, from what is known of it: no image is needed."""
    records = []
    for sha, entries in provenance_table().items():
        for entry in entries:
            folder, label, _ = entry.file.split("/")
            records.append(
                Record(
                    f"elsewhere/{entry.file}", label, folder.lower(), sha, "", 0, 0, "",
                    entry.group, entry.source, entry.patient, entry.source_label,
                )
            )  # fmt: skip
    return Manifest(tuple(sorted(records, key=lambda r: r.sha256)), Path())


@pytest.mark.parametrize("name", ["s.csv", "s.json", "s", "v1.5"])
def test_round_trip_by_either_name(
    tmp_path: Path, split: Split, manifest: Manifest, name: str
) -> None:
    split.save(tmp_path / name)
    loaded = splits.load(tmp_path / name)
    assert loaded == split
    assert loaded.parts(manifest) == ["train", "train", "validation", "test"]
    stem = name.removesuffix(".csv").removesuffix(".json")
    assert {file.name for file in tmp_path.iterdir()} == {f"{stem}.csv", f"{stem}.json"}


def test_a_changed_csv_is_refused(tmp_path: Path, split: Split) -> None:
    split.save(tmp_path / "s.csv")
    text = (tmp_path / "s.csv").read_text().replace("dd,glioma,three,test", "dd,glioma,three,train")
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(SplitError, match="the CSV was changed"):
        splits.load(tmp_path / "s.csv")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"format_version": 1', '"format_version": 7', "format version 7 is not 1"),
        ('"train": 2', '"train": 3', "parts differ from the counts"),
        ('"name"', '"nom"', "JSON file is damaged"),
        ("{", "", "JSON file is damaged"),
    ],
)
def test_a_changed_json_is_refused(
    tmp_path: Path, split: Split, old: str, new: str, message: str
) -> None:
    split.save(tmp_path / "s.csv")
    file = tmp_path / "s.json"
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(SplitError, match=message):
        splits.load(tmp_path / "s.csv")


def test_other_columns_are_refused_even_with_a_good_hash(tmp_path: Path, split: Split) -> None:
    import hashlib

    split.save(tmp_path / "s.csv")
    data = (tmp_path / "s.csv").read_bytes().replace(b"sha256,class", b"sha256,label")
    (tmp_path / "s.csv").write_bytes(data)
    info = msgspec.structs.replace(split.info, sha256=hashlib.sha256(data).hexdigest())
    (tmp_path / "s.json").write_bytes(msgspec.json.encode(info))
    with pytest.raises(SplitError, match="columns are not sha256, class, group, part"):
        splits.load(tmp_path / "s.csv")


def test_a_group_that_crosses_fails_loudly(split: Split) -> None:
    rows = [dataclasses.replace(r, part="test") if r.sha256 == "bb" else r for r in split.rows]
    with pytest.raises(SplitError, match=r"leaks: 1 group .* one in test and train"):
        splits.build("bad", "", rows, disjoint=True)
    assert splits.build("known", "", rows, disjoint=False).info.counts["test"] == 2


def test_excluded_rows_never_cross(split: Split) -> None:
    rows = [dataclasses.replace(r, part="excluded") if r.sha256 == "bb" else r for r in split.rows]
    assert splits.build("fine", "", rows, disjoint=True).info.counts["excluded"] == 1


def test_verification_trusts_the_manifest_over_the_file(split: Split, manifest: Manifest) -> None:
    """Whoever edits the groups in a split file does not get past the manifest's own."""
    assert split.verify_manifest(manifest) == ["train", "train", "validation", "test"]
    regrouped = [
        dataclasses.replace(r, group="one") if r.sha256 == "dd" else r for r in manifest.records
    ]
    with pytest.raises(
        SplitError, match=r"leaks: 1 of the manifest's groups or images is .* example one"
    ):
        split.verify_manifest(Manifest(tuple(regrouped), Path()))
    twin = [
        dataclasses.replace(r, pixel_sha256="pixels aa") if r.sha256 == "dd" else r
        for r in manifest.records
    ]
    with pytest.raises(SplitError, match="example pixels aa"):
        split.verify_manifest(Manifest(tuple(twin), Path()))


def test_unknown_and_absent_images_are_named(split: Split, manifest: Manifest) -> None:
    stranger = record("new.png", "ee", "four")
    with pytest.raises(SplitError, match=r"1 image .* not in it, the first is .*new.png"):
        split.parts(Manifest((*manifest.records, stranger), Path()))
    fewer = Manifest(manifest.records[:3], Path())
    with pytest.raises(SplitError, match=r"1 of its 4 images is not in the manifest$"):
        split.parts(fewer)
    assert split.parts(fewer, allow_partial=True) == ["train", "train", "validation"]


def test_another_class_and_a_repeated_row_are_told(split: Split, manifest: Manifest) -> None:
    first, *others = manifest.records
    relabelled = Manifest((dataclasses.replace(first, label="notumor"), *others), Path())
    with pytest.raises(
        SplitError,
        match=r"with the same class, .*a\.png: notumor in the manifest, glioma in the spl",
    ):
        split.parts(relabelled)
    with pytest.raises(SplitError, match=r"1 image .* is not in it as often as in the manifest"):
        split.parts(Manifest((*manifest.records, first), Path()))
    repeated = splits.build("mine", "", (*split.rows, split.rows[0]), disjoint=True)
    with pytest.raises(SplitError, match=r"1 of its 5 images .*; the row of aa, glioma is repeat"):
        repeated.parts(manifest)


def test_copies_take_the_rows_in_published_order() -> None:
    rows = [SplitRow("aa", "glioma", "one", part) for part in ("train", "excluded")]
    split = splits.build("copies", "", rows, disjoint=True)
    second, first = record("z.png", "aa", "one"), record("b.png", "aa", "one")
    assert split.parts(Manifest((second, first), Path())) == ["excluded", "train"]


@pytest.mark.parametrize("name", ["nothing", "clean-cv:7", "clean-cv:x", "clean:0", "a/b.csv"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(SplitError):
        splits.load(name)


def test_shipped_splits_hold_the_whole_set() -> None:
    folder, clean, folds = (splits.load(name) for name in ("folder", "clean", "clean-cv"))
    assert folder.info.counts == {"test": 1311, "train": 5143, "validation": 569}
    assert clean.info.counts == {"excluded": 426, "test": 1332, "train": 3963, "validation": 1302}
    assert sum(folds.info.counts.values()) == 7023
    assert (folder.info.disjoint, clean.info.disjoint, folds.info.disjoint) == (False, True, True)


def test_clean_is_the_first_fold_of_clean_cv() -> None:
    assert splits.load("clean").rows == splits.load("clean-cv:0").rows


def test_every_image_is_tested_once_over_the_folds() -> None:
    tested: Counter[int] = Counter()
    for fold in range(5):
        rows = splits.load(f"clean-cv:{fold}").rows
        tested.update(k for k, row in enumerate(rows) if row.part == "test")
    assert set(tested.values()) == {1}
    assert len(tested) == 7023 - 426


@pytest.mark.parametrize("protocol", splits.PROTOCOLS)
def test_rewriting_a_shipped_split_gives_identical_bytes(
    tmp_path: Path, published: Manifest, protocol: str
) -> None:
    public_splits.make(published, protocol).save(tmp_path / "made.csv")
    splits.load(protocol).save(tmp_path / "shipped.csv")
    assert (tmp_path / "made.csv").read_bytes() == (tmp_path / "shipped.csv").read_bytes()
    about = Path(splits.__file__).parents[1] / "splits" / f"{protocol}.json"
    assert (tmp_path / "made.json").read_bytes() == about.read_bytes()


@pytest.mark.parametrize("name", splits.PROTOCOLS)
def test_shipped_splits_verify_against_the_published_set(published: Manifest, name: str) -> None:
    parts = splits.load(name).verify_manifest(published)
    crossing = splits.crossing_groups(published, parts)
    assert bool(crossing) == (name == "folder")


def test_unknown_protocols_and_foreign_images_are_refused(manifest: Manifest) -> None:
    with pytest.raises(SplitError, match="unknown protocol"):
        public_splits.make(manifest, "dirty")
    with pytest.raises(SplitError, match=r"d\.png: not a file of the 7,023-image set"):
        public_splits.make(manifest, "clean")


def test_patient_cv_is_clean_cv_without_unknown_patients() -> None:
    every, known = splits.load("clean-cv"), splits.load("patient-cv")
    assert [row.sha256 for row in every.rows] == [row.sha256 for row in known.rows]
    for one, other in zip(every.rows, known.rows, strict=True):
        assert other.part in (one.part, "excluded")
    kept = [row for row in known.rows if row.part != "excluded"]
    assert {row.label for row in kept} == {"glioma", "meningioma", "pituitary"}
    assert all(row.group.startswith("P_") for row in kept)
    assert known.info.disjoint
    assert splits.load("patient-cv:4").info.counts["test"] == known.info.counts["fold4"]


def test_a_split_by_hand_needs_no_json(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    rows = [("a" * 64, "glioma", "P1", "train"), ("b" * 64, "glioma", "P2", "test")]
    text = "\r\n".join(map(";".join, (("sha256", "class", "group", "part"), *rows)))
    file.write_bytes(text.encode("utf-8-sig"))
    split = splits.load("own", tmp_path)
    assert [(r.sha256, r.label, r.group, r.part) for r in split.rows] == rows
    assert split.info.disjoint
    file.write_text(text.replace("P2", "P1"))
    with pytest.raises(SplitError, match="1 group is in more than one part, for example P1"):
        splits.load(file)
    file.write_text(text.replace("test", "tset"))
    with pytest.raises(SplitError, match="'tset' is not a part"):
        splits.load(file)


def test_a_mistyped_split_is_suggested(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match=r"did you mean clean\?"):
        splits.load("claen")
    (tmp_path / "mine-split.csv").write_text("")
    with pytest.raises(SplitError, match=r"did you mean mine-split\?"):
        splits.load("mine-spilt", tmp_path)


def test_groups_of_the_split_are_those_of_the_evaluation() -> None:
    record = Record("a.png", "glioma", "", "a" * 64, "", 1, 1, "L", "narrow", "")
    other = dataclasses.replace(record, sha256="b" * 64)
    row = SplitRow("a" * 64, "glioma", "wide", "test")
    split = splits.build("own", "", [row], disjoint=True)
    grouped = split.grouped(Manifest((other, record), Path()))
    assert [one.group for one in grouped] == ["narrow", "wide"]

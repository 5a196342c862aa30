"""What the report must say of a model that may have seen the images."""

from pathlib import Path

import numpy as np
import pytest

from tumorlens.bundle import SiteCalibration
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.evaluation.training_images import TrainingImages
from tumorlens.evaluation.training_overlap import (
    Overlap,
    TrainingOverlap,
    find_overlap,
    overlap_warnings,
    site_warnings,
    subsets,
    training_overlap,
)

NO_OVERLAP = Overlap(np.zeros(3, dtype=bool), np.zeros(3, dtype=bool))


def record(sha256: str, group: str = "", pixels: str = "") -> Record:
    return Record("x.png", "glioma", "", sha256, pixels, 64, 64, "L", group, "test")


def test_kin_are_counted_among_train_and_validation_only() -> None:
    manifest = Manifest(
        (
            record("a", "P1", "pa"), record("b", "P2", "pb"), record("c", "P3", "pc"),
            record("d", "P1", "pd"), record("e", "P4", "pb"), record("f", "P3", "pc"),
            record("g", "P5", ""),
        ),
        Path(),
    )  # fmt: skip
    parts = ["train", "validation", "excluded", "test", "test", "test", "test"]
    overlap = find_overlap(manifest, parts, "test")
    assert overlap.same_group.tolist() == [True, False, False, False]
    assert overlap.duplicate.tolist() == [False, True, False, False]


def test_an_image_of_unknown_group_is_its_own() -> None:
    assert record("a").unit != record("b").unit
    assert record("a", "P1").unit == "P1"


def listing(name: str, *parts: str) -> dict[str, object]:
    """The record of a run on a shipped split, with the images of ``parts`` as those it saw."""
    split = splits.load(name)
    seen = [record(row.sha256) for row in split.rows if row.part in parts]
    return {
        "split": {"name": split.info.name, "sha256": split.info.sha256},
        "seen_images": TrainingImages.from_records(seen).listed,
    }


def rows_of(name: str, part: str) -> list[Record]:
    return [record(row.sha256, row.group) for row in splits.load(name).rows if row.part == part]


def test_same_split_is_known_by_its_hash_not_by_its_name() -> None:
    info = splits.load("clean").info
    renamed = listing("clean") | {"split": {"name": "anything", "sha256": info.sha256}}
    assert training_overlap(renamed, info, []).other_split is False
    changed = listing("clean") | {"split": {"name": info.name, "sha256": "0" * 64}}
    assert training_overlap(changed, info, []).other_split is True


def test_first_round_of_cross_validation_is_the_clean_split() -> None:
    info = splits.load("clean").info
    assert training_overlap(listing("clean-cv:0"), info, []).other_split is False


def test_overlap_with_another_split_is_counted() -> None:
    test = rows_of("clean", "test")
    seen = training_overlap(
        listing("folder", "train", "validation"), splits.load("clean").info, test
    )
    trained = {row.sha256 for row in splits.load("folder").rows if row.part != "test"}
    assert seen.other_split is True
    assert seen.images == sum(one.sha256 in trained for one in test) > 900
    assert seen.groups is not None
    assert seen.groups > 0
    assert not seen.unseen
    [warning] = overlap_warnings("test", seen, NO_OVERLAP)
    assert warning.severe
    assert f"fitted on {seen.images} of the images" in warning.text


def test_copies_between_the_published_folders_belong_to_their_split() -> None:
    """The warning about the split's own overlap states them; they are no other training."""
    seen = training_overlap(
        listing("folder", "train", "validation"),
        splits.load("folder").info,
        rows_of("folder", "test"),
    )
    assert (seen.other_split, seen.images, seen.unseen) == (False, None, True)


def test_external_images_are_a_caution_but_not_a_severe_one() -> None:
    other = [record("ff", "another hospital")]
    seen = training_overlap(listing("folder", "train"), splits.load("clean").info, other)
    [warning] = overlap_warnings("test", seen, NO_OVERLAP)
    assert seen.unseen
    assert not warning.severe
    assert "trained on another split, folder" in warning.text


@pytest.mark.parametrize(
    "training",
    [{}, {"split": "folder"}, {"split": {"name": "folder"}}, {"split": {"sha256": "1"}},
     {"seen_images": ""}],
)  # fmt: skip
def test_a_bundle_that_does_not_say_is_no_clean_result(training: dict[str, object]) -> None:
    seen = training_overlap(training, splits.load("folder").info, [])
    assert seen.other_split is None
    [warning] = overlap_warnings("test", seen, NO_OVERLAP)
    assert warning.severe
    assert "does not say" in warning.text


def test_without_a_list_only_the_same_split_alone_is_clean() -> None:
    info = splits.load("clean").info
    same = {"split": {"name": "clean", "sha256": info.sha256}}
    assert training_overlap(same, info, []).unseen
    more = same | {"extra": [{"data_sha256": "d", "split": None}]}
    assert training_overlap(more, info, []).other_split is None


def test_the_part_matters() -> None:
    same = TrainingOverlap("s", "1", False)
    assert overlap_warnings("test", same, NO_OVERLAP) == []
    assert [c.severe for c in overlap_warnings("train", same, NO_OVERLAP)] == [True]
    assert [c.severe for c in overlap_warnings("validation", same, NO_OVERLAP)] == [False]


def test_shared_groups_and_twins_are_counted_in_words() -> None:
    overlap = Overlap(np.array([True, False, False]), np.array([True, True, False]))
    [warning] = overlap_warnings("test", TrainingOverlap("s", "1", False), overlap)
    assert "2 of 3 images" in warning.text
    assert "1 are pixel-identical" in warning.text


def test_the_part_that_was_kept_of_an_extra_set_is_unseen() -> None:
    part, extra = splits.load("br35h-tumor").info, listing("br35h-tumor", "train")
    training = extra | {"split": listing("clean")["split"], "extra": [extra]}
    seen = training_overlap(training, part, rows_of("br35h-tumor", "test"))
    assert (seen.other_split, seen.unseen) == (False, True)
    assert overlap_warnings("test", seen, NO_OVERLAP) == []


def test_an_extra_set_that_holds_the_images_is_no_clean_result() -> None:
    leaking = training_overlap(
        listing("clean", "train", "test"), splits.load("clean").info, rows_of("clean", "test")
    )
    assert not leaking.unseen
    [warning] = overlap_warnings("test", leaking, NO_OVERLAP)
    assert warning.severe
    assert "further sets in addition to this split" in warning.text


def test_what_was_checked_needs_no_caution() -> None:
    assert (
        overlap_warnings("test", TrainingOverlap("external", "1", True, checked=True), NO_OVERLAP)
        == []
    )


@pytest.mark.parametrize(("name", "said"), [("clean", True), ("folder", False)])
def test_another_split_of_the_same_name_is_called_so(name: str, said: bool) -> None:
    training = {"split": {"name": name, "sha256": "1"}, "seen_images": ""}
    seen = training_overlap(training, splits.load("clean").info, [])
    [warning] = overlap_warnings("test", seen, NO_OVERLAP)
    assert ("the same name, with other contents" in warning.text) is said


def test_images_that_cannot_be_decoded_are_no_copies_of_one_another() -> None:
    manifest = Manifest((record("a", "P1", ""), record("b", "P2", "")), Path())
    overlap = find_overlap(manifest, ["train", "test"], "test")
    assert overlap.duplicate.tolist() == [False]


@pytest.mark.parametrize(("part", "kin"), [("train", True), ("validation", True), ("test", False)])
def test_the_scored_part_is_not_its_own_kin(part: str, kin: bool) -> None:
    """Validation images are compared with those that train, and the other way round."""
    manifest = Manifest(tuple(record(k, "P1", "p") for k in "abc"), Path())
    overlap = find_overlap(manifest, ["train", "validation", "other"], part)
    assert overlap.same_group.tolist() == [True] * kin
    alone = find_overlap(manifest, [part] * 3, part)
    assert alone.same_group.tolist() == [False] * 3


def test_what_must_not_be_quoted_is_said_first() -> None:
    unknown = training_overlap({}, splits.load("clean").info, [])
    shared = Overlap(np.zeros(3, dtype=bool), np.ones(3, dtype=bool))
    said = overlap_warnings("validation", unknown, shared)
    assert [warning.severe for warning in said] == [True, False, False]
    assert "chosen on the validation part" in said[1].text


def test_a_split_without_a_name_is_called_by_its_hash() -> None:
    training = {"split": {"sha256": "0123456789abcdef"}, "seen_images": ""}
    seen = training_overlap(training, splits.load("clean").info, [])
    (warning,) = overlap_warnings("test", seen, NO_OVERLAP)
    assert "another split, 0123456789ab." in warning.text


@pytest.mark.parametrize(("calibrated", "severe"), [(("a", "b", "x"), [True]), (("x",), [])])
def test_images_that_a_site_calibrated_on_are_no_clean_result(
    calibrated: tuple[str, ...], severe: list[bool]
) -> None:
    site = SiteCalibration(
        parent_name="p", parent_version="1", parent_sha256="", data_sha256="", patients=2,
        images=2, by_class={},
        seen_images=TrainingImages.from_records(map(record, calibrated)).listed,
    )  # fmt: skip
    said = list(site_warnings(site, [record(name) for name in "abc"]))
    assert [warning.severe for warning in said] == severe
    assert all("on 2 of the 3 images scored here" in warning.text for warning in said)
    assert list(site_warnings(None, [record("a")])) == []


@pytest.mark.parametrize(
    ("duplicate", "same_group", "names"),
    [
        ([0, 0, 0], [0, 0, 0], []),
        ([1, 0, 0], [1, 1, 0], ["without_duplicates", "unseen_groups"]),
        ([0, 0, 0], [1, 0, 0], ["unseen_groups"]),
        ([1, 1, 1], [1, 1, 1], []),
        ([1, 0, 1], [1, 1, 1], ["without_duplicates"]),
    ],
)
def test_subsets_are_of_fewer_images_but_of_some(
    duplicate: list[int], same_group: list[int], names: list[str]
) -> None:
    overlap = Overlap(np.array(duplicate, dtype=bool), np.array(same_group, dtype=bool))
    whole, *apart = subsets(overlap)
    assert (whole.name, whole.select("xyz")) == ("all", list("xyz"))
    assert [subset.name for subset in apart] == names
    for subset in apart:
        left_out = duplicate if subset.name == "without_duplicates" else same_group
        kept = zip("xyz", left_out, strict=True)
        assert subset.select("xyz") == [letter for letter, out in kept if not out]

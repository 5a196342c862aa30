import dataclasses
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.partition import (
    joined_groups,
    split_as_published,
    split_by_ratio,
    split_in_folds,
)
from tumorlens.errors import LeakError, SplitError


def _record(number: int, label: str, group: str, pixels: str = "") -> Record:
    return Record(
        f"{number}.png", label, "", f"{number:064x}", pixels or f"p{number}", 8, 8, "L", group, ""
    )


def _manifest(patients: int, images: int = 4) -> Manifest:
    """Patients of two classes, one in four with the rarer one."""
    records = [
        _record(p * images + k, "glioma" if p % 4 else "meningioma", f"patient-{p}")
        for p in range(patients)
        for k in range(images)
    ]
    return Manifest(tuple(records), Path())


def test_ratio_is_met_and_classes_are_balanced() -> None:
    split = split_by_ratio(_manifest(80), "own", (70, 15, 15))
    split.verify()
    counts = Counter((row.part, row.label) for row in split.rows)
    assert split.info.counts["train"] == pytest.approx(0.70 * 320, abs=8)
    assert split.info.counts["test"] == pytest.approx(0.15 * 320, abs=8)
    for part in ("train", "validation", "test"):
        share = counts[part, "meningioma"] / split.info.counts[part]
        assert share == pytest.approx(0.25, abs=0.06)


def test_a_rare_class_within_patients_of_another_is_divided_in_the_ratio() -> None:
    records = [
        _record(6 * p + k, "meningioma" if p < 10 and k == 0 else "glioma", f"patient-{p}")
        for p in range(40)
        for k in range(6)
    ]
    split = split_by_ratio(Manifest(tuple(records), Path()), "own", (60, 20, 20))
    counts = Counter(row.part for row in split.rows if row.label == "meningioma")
    assert counts == {"train": 6, "validation": 2, "test": 2}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=3, max_size=30), st.integers(0, 5))
def test_no_group_crosses_and_no_part_is_empty(sizes: list[int], seed: int) -> None:
    records = [
        _record(1000 * group + k, ("glioma", "notumor")[group % 2], f"g{group}")
        for group, size in enumerate(sizes)
        for k in range(size)
    ]
    split = split_by_ratio(Manifest(tuple(records), Path()), "own", (8, 1, 1), seed)
    parts: dict[str, set[str]] = defaultdict(set)
    for row in split.rows:
        parts[row.group].add(row.part)
    assert all(len(found) == 1 for found in parts.values())
    assert set(split.info.counts) == {"train", "validation", "test"}


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 9), min_size=3, max_size=6), min_size=2, max_size=4),
    st.integers(0, 5),
)
def test_three_patients_of_a_class_are_enough_for_all_parts(
    sizes: list[list[int]], seed: int
) -> None:
    records = [
        _record(10000 * label + 100 * patient + k, f"class-{label}", f"p{label}-{patient}")
        for label, patients in enumerate(sizes)
        for patient, images in enumerate(patients)
        for k in range(images)
    ]
    manifest = Manifest(tuple(records), Path())
    for split in (
        split_by_ratio(manifest, "own", (70, 15, 15), seed),
        split_in_folds(manifest, "own", 3, seed),
    ):
        held = {(row.part, row.label) for row in split.rows}
        assert len(held) == 3 * len(sizes)


def test_two_training_patients_of_a_class_are_enough_to_validate_it() -> None:
    records = [
        dataclasses.replace(_record(k, f"class-{k % 3}", f"p{k}"), split="training")
        for k in range(6)
    ]
    split = split_as_published(Manifest(tuple(records), Path()), "own")
    assert len({(row.part, row.label) for row in split.rows}) == 6


def test_folds_have_their_roles_in_turn(tmp_path: Path) -> None:
    manifest = _manifest(30)
    split_in_folds(manifest, "own", 3).save(tmp_path / "own.csv")
    whole = splits.load(tmp_path / "own.csv")
    assert set(whole.info.counts) == {"fold0", "fold1", "fold2"}
    tested: list[str] = []
    for fold in range(3):
        parts = splits.load(f"{tmp_path / 'own.csv'}:{fold}").parts(manifest)
        assert set(parts) == {"train", "validation", "test"}
        tested += [r.path for r, part in zip(manifest, parts, strict=True) if part == "test"]
    assert sorted(tested) == sorted(record.path for record in manifest)
    with pytest.raises(SplitError, match="no fold 3"):
        splits.load(f"{tmp_path / 'own.csv'}:3")


def test_another_seed_gives_another_split_and_the_same_seed_the_same() -> None:
    manifest = _manifest(40)
    one, same, other = (split_by_ratio(manifest, "own", (6, 2, 2), seed) for seed in (0, 0, 1))
    assert one == same
    assert one.rows != other.rows


def test_identical_pixels_join_two_patients() -> None:
    records = [
        _record(0, "glioma", "a", "same"), _record(1, "glioma", "b", "same"),
        _record(2, "glioma", "b"), _record(3, "glioma", ""), _record(4, "glioma", "c"),
    ]  # fmt: skip
    groups = joined_groups(records)
    assert groups[0] == groups[1] == groups[2]
    assert len({groups[0], groups[3], groups[4]}) == 3


@pytest.mark.parametrize("ratio", [(70, 30), (70, 0, 30), (70, -5, 35)])
def test_a_ratio_that_makes_no_sense_is_refused(ratio: tuple[float, ...]) -> None:
    with pytest.raises(SplitError, match="three positive numbers"):
        split_by_ratio(_manifest(9), "own", ratio)


def test_too_few_groups_or_folds_are_refused() -> None:
    with pytest.raises(SplitError, match="2 groups are too few"):
        split_by_ratio(_manifest(2), "own", (70, 15, 15))
    with pytest.raises(SplitError, match="at least 3 folds"):
        split_in_folds(_manifest(9), "own", 2)


def _published(*records: tuple[str, str]) -> Manifest:
    """Records by what their split column says and their group."""
    made = [
        dataclasses.replace(_record(k, ("glioma", "notumor")[k % 2], group), split=split)
        for k, (split, group) in enumerate(records)
    ]
    return Manifest(tuple(made), Path())


def test_published_parts_are_kept() -> None:
    manifest = _published(
        ("training", "a"), ("validation", "b"), ("testing", "c"), ("testing", "c")
    )
    split = split_as_published(manifest, "own")
    assert split.parts(manifest) == ["train", "validation", "test", "test"]
    assert "seed" not in split.info.description


def test_without_a_published_validation_part_a_tenth_of_the_training_patients_validates() -> None:
    groups = [("training", f"p{k // 3}") for k in range(300)] + [("testing", "q")] * 50
    manifest = _published(*groups)
    split = split_as_published(manifest, "own", seed=4)
    split.verify()
    assert split.info.counts == {"train": 270, "validation": 30, "test": 50}
    assert "a tenth of the training part used for validation, seed 4" in split.info.description
    other = split_as_published(manifest, "own", seed=5)
    assert other.info.counts == split.info.counts
    assert other.rows != split.rows


@pytest.mark.parametrize("split", ["", "holdout"])
def test_a_record_of_no_published_part_is_named(split: str) -> None:
    manifest = _published(("training", "a"), (split, "b"), ("testing", "c"))
    with pytest.raises(SplitError, match=rf"1\.png: .*column split: '{split}'.*--ratio or --kfold"):
        split_as_published(manifest, "own")


def test_a_patient_in_two_published_parts_is_a_leak() -> None:
    manifest = _published(("training", "a"), ("validation", "b"), ("testing", "a"))
    with pytest.raises(LeakError):
        split_as_published(manifest, "own")


def test_pairs_of_near_duplicates_stay_together() -> None:
    manifest = _manifest(40, images=1)
    pairs = [(0, 7), (7, 19), (3, 4)]
    groups = joined_groups(manifest.records, pairs=pairs)
    assert len(set(groups)) == 40 - 3
    parts = split_by_ratio(manifest, "own", (1, 1, 1), groups=groups).parts(manifest)
    assert parts[0] == parts[7] == parts[19]
    assert parts[3] == parts[4]


def test_identical_bytes_join_two_patients_as_pixels_do() -> None:
    one, other = _record(0, "glioma", "b"), _record(1, "glioma", "a")
    twin = dataclasses.replace(other, sha256=one.sha256)
    assert joined_groups([one, other]) == ["b", "a"]
    assert joined_groups([one, twin]) == ["a", "a"], "named by the first in order of names"
    undecoded = [dataclasses.replace(record, pixel_sha256="") for record in (one, other)]
    assert joined_groups(undecoded) == ["b", "a"], "no pixels are no equal pixels"


def test_given_groups_replace_those_of_the_records() -> None:
    manifest = _manifest(2, images=2)
    stated = ["patient-0", "patient-0", "patient-1", "patient-1"]
    assert joined_groups(manifest.records) == stated
    given = joined_groups(manifest.records, ["x", "y", "x", ""])
    assert given[0] == given[2] == "x"
    assert len(set(given)) == 3, "an image of no known group is its own"


def test_without_stratification_classes_do_not_matter() -> None:
    manifest = _manifest(60)
    same = Manifest(
        tuple(dataclasses.replace(record, label="glioma") for record in manifest), Path()
    )
    free, one_class = (
        split_by_ratio(one, "own", (6, 2, 2), stratify=False) for one in (manifest, same)
    )
    assert free.parts(manifest) == one_class.parts(same)
    assert "whatever the class" in free.info.description
    assert "whatever the class" not in split_by_ratio(manifest, "own", (6, 2, 2)).info.description


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=5, max_size=40), st.integers(3, 5), st.integers(0, 3))
def test_folds_differ_by_no_more_than_the_largest_patient(
    sizes: list[int], folds: int, seed: int
) -> None:
    records = [
        _record(1000 * group + k, "glioma", f"g{group}")
        for group, size in enumerate(sizes)
        for k in range(size)
    ]
    split = split_in_folds(Manifest(tuple(records), Path()), "own", folds, seed)
    counts = split.info.counts.values()
    assert len(counts) == folds
    assert max(counts) - min(counts) <= max(sizes)


def test_as_many_groups_as_parts_are_one_each() -> None:
    manifest = _manifest(3)
    assert sorted(split_by_ratio(manifest, "own", (98, 1, 1)).info.counts.values()) == [4, 4, 4]


def test_the_description_of_a_split_says_how_it_was_made() -> None:
    manifest = _manifest(9)
    by_ratio = split_by_ratio(manifest, "own", (70, 15, 15), seed=3).info.description
    assert by_ratio.startswith("By ratio 70/15/15, seed 3; no group")
    assert split_in_folds(manifest, "own", 4).info.description.startswith("4 folds, seed 0; ")


def test_large_groups_are_placed_first_so_that_small_ones_fill_up() -> None:
    sizes = [1] * 30 + [30, 30]
    records = [
        _record(1000 * group + k, "glioma", f"g{group}")
        for group, size in enumerate(sizes)
        for k in range(size)
    ]
    split = split_by_ratio(Manifest(tuple(records), Path()), "own", (1, 1, 1))
    assert sorted(split.info.counts.values()) == [30, 30, 30]


@pytest.mark.parametrize("stratify", [True, False])
def test_the_validation_tenth_has_each_class_in_its_share_if_asked_for(stratify: bool) -> None:
    labels = ["glioma"] * 20 + ["notumor"] * 180 + ["glioma"]
    parts = ["training"] * 200 + ["testing"]
    made = [
        dataclasses.replace(_record(k, label, f"p{k}"), split=part)
        for k, (label, part) in enumerate(zip(labels, parts, strict=True))
    ]
    manifest = Manifest(tuple(made), Path())
    gliomas = {
        Counter(row.label for row in split.rows if row.part == "validation")["glioma"]
        for seed in range(12)
        for split in [split_as_published(manifest, "own", seed, stratify=stratify)]
    }
    assert (gliomas == {2}) is stratify

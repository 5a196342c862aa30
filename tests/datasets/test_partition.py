from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.partition import joined_groups, split_by_ratio, split_in_folds
from tumorlens.errors import SplitError


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

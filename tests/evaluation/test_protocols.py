"""Which split is which, and what the paper's figures may be compared with."""

from pathlib import Path

import pytest

from tumorlens.datasets import splits
from tumorlens.datasets.splits import SplitRow
from tumorlens.errors import DatasetError, SplitError
from tumorlens.evaluation.protocols import PAPER, protocol_of, require_known, require_part
from tumorlens.labels import BRAIN_TUMORS


def folds() -> splits.Split:
    rows = [SplitRow(f"{k}{k}", "glioma", f"P{k}", f"fold{k}") for k in range(5)]
    return splits.build("mine-cv", "for tests", rows, disjoint=True)


def test_a_fold_of_a_split_file(tmp_path: Path) -> None:
    folds().save(tmp_path / "mine.csv")
    split = splits.load(f"{tmp_path / 'mine.csv'}:3")
    parts = {row.group: row.part for row in split.rows}
    assert parts["P3"] == "test"
    assert parts["P4"] == "validation"
    assert splits.load(str(tmp_path / "mine.csv")).info.counts["fold3"] == 1


def test_shipped_splits_and_their_folds() -> None:
    assert splits.load("folder").info.name == "folder"
    assert splits.load("clean-cv:2").info.name == "clean-cv:2"
    with pytest.raises(SplitError):
        splits.load("no-such-split:1")


def test_only_the_published_test_folder_is_comparable() -> None:
    folder = splits.load("folder").info
    assert protocol_of(folder, "test").comparable
    assert protocol_of(folder, "test").paper is PAPER
    assert not protocol_of(folder, "validation").comparable
    clean = protocol_of(splits.load("clean-cv:1").info, "test")
    assert (clean.name, clean.comparable) == ("clean", False)
    assert "Not comparable" in clean.comparison
    assert clean.paper is PAPER


def test_pooled_folds_and_protocols_without_a_split_file() -> None:
    assert protocol_of(splits.load("clean-cv").info, "test").name == "clean-cv"
    patients = protocol_of(splits.load("patient-cv:3").info, "test")
    assert (patients.name, patients.comparable) == ("patient-cv", False)
    assert "also has the class no tumour may answer with it" in patients.comparison
    external = protocol_of(folds().info, "test", "external")
    assert (external.name, external.paper) == ("external", None)


def test_a_split_of_other_images_named_folder_is_not_the_protocol() -> None:
    rows = [SplitRow("aa", "glioma", "P1", "test")]
    other = protocol_of(splits.build("folder", "", rows, disjoint=False).info, "test")
    assert (other.name, other.comparable, other.paper) == ("other", False, None)


def test_a_cross_validation_without_its_fold_is_explained() -> None:
    split = folds()
    with pytest.raises(SplitError, match="name a fold, as in mine-cv:0"):
        require_part(split, [row.part for row in split.rows], "test")
    with pytest.raises(SplitError, match="there are: train"):
        require_part(split, ["train"], "test")
    require_part(split, ["train", "test"], "test")


def test_the_papers_figures() -> None:
    assert PAPER.figures == "99.22% validation accuracy, 98.44% test accuracy, test loss 0.2829"


@pytest.mark.parametrize(
    ("split", "part", "words"),
    [
        ("folder", "test", "Same protocol, same test images: comparable."),
        ("folder", "train", "the paper's figures are for other parts of this split"),
        ("clean", "test", "which have the same patients in training and test"),
        ("br35h-tumor", "test", ""),
    ],
)
def test_each_protocol_says_why_it_may_be_compared_or_not(
    split: str, part: str, words: str
) -> None:
    found = protocol_of(splits.load(split).info, part)
    assert found.name == split
    assert words in found.comparison
    assert bool(found.comparison) == (found.paper is not None) == bool(words)


def test_images_of_classes_that_a_bundle_does_not_know_are_counted() -> None:
    labels = ["glioma", "cyst", "tumor", "cyst", "abscess", "other_pathology"]
    with pytest.raises(DatasetError, match=r"3 images are labelled abscess, cyst, but the bundle"):
        require_known(labels, BRAIN_TUMORS)
    require_known([label for label in labels if label not in ("cyst", "abscess")], BRAIN_TUMORS)

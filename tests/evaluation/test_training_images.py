"""Which images trained a network, told from a list that names none of them."""

import base64
from typing import Any

import pytest

from tumorlens.datasets.manifest import Record
from tumorlens.evaluation.training_images import TrainingImages, held_out_sources, named_split


def record(sha256: str, pixels: str = "") -> Record:
    return Record("x.png", "glioma", "", sha256, pixels, 64, 64, "L", "", "test")


SEEN = TrainingImages.from_records([record("a", "pa"), record("b"), record("c", "pc")])


@pytest.mark.parametrize(
    ("sha256", "pixels", "is_among"),
    [
        ("a", "pa", True),
        ("a", "other", True),
        ("other", "pa", True),
        ("b", "", True),
        ("other", "", False),
        ("other", "pb", False),
        ("", "", False),
    ],
)
def test_an_image_is_known_by_its_bytes_or_by_its_pixels(
    sha256: str, pixels: str, is_among: bool
) -> None:
    assert (record(sha256, pixels) in SEEN) is is_among


def test_the_text_of_a_record_lists_the_same_images() -> None:
    assert TrainingImages.from_list(SEEN.listed) == SEEN
    assert TrainingImages.from_list("") == TrainingImages.from_records([])


def test_the_text_does_not_depend_on_the_order_of_the_images_or_on_copies() -> None:
    turned = [record("c", "pc"), record("b"), record("a", "pa"), record("b")]
    assert TrainingImages.from_records(turned).listed == SEEN.listed


def test_the_text_holds_six_bytes_of_each_hash_and_so_no_hash() -> None:
    listed = TrainingImages.from_records([record("a" * 64)]).listed
    assert len(base64.b64decode(listed)) == 6
    assert len(base64.b64decode(SEEN.listed)) == 5 * 6


def test_two_lists_together_hold_the_images_of_both() -> None:
    other = TrainingImages.from_records([record("d")])
    both = SEEN | other
    assert all(record(name) in both for name in "abcd")
    assert record("d") not in SEEN
    assert record("e") not in both


def test_a_run_that_lists_no_images_is_told_from_one_that_lists_none_seen() -> None:
    assert TrainingImages.from_training({}) is None
    assert TrainingImages.from_training({"seen_images": ""}) == TrainingImages(frozenset())
    assert TrainingImages.from_training({"seen_images": SEEN.listed}) == SEEN


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({"split": {"name": "clean", "sha256": "1f"}}, ("clean", "1f")),
        ({"split": {"name": "clean"}}, ("clean", "")),
        ({"split": "clean"}, ("", "")),
        ({"split": None}, ("", "")),
        ({}, ("", "")),
    ],
)
def test_the_split_of_a_training_by_name_and_hash(
    facts: dict[str, Any], named: tuple[str, str]
) -> None:
    assert named_split(facts) == named


@pytest.mark.parametrize(
    ("facts", "sources"),
    [
        ({"held_out_sources": ["west", "east"]}, {"east", "west"}),
        ({"held_out_sources": [7]}, {"7"}),
        ({"held_out_sources": None}, set()),
        ({}, set()),
    ],
)
def test_the_sources_that_a_network_was_trained_without(
    facts: dict[str, Any], sources: set[str]
) -> None:
    assert held_out_sources(facts) == sources

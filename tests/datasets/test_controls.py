"""The two controls."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.datasets import controls
from tumorlens.datasets.fingerprints import Fingerprints
from tumorlens.errors import DatasetError
from tumorlens.labels import CLASSES, NO_TUMOR_INDEX, ClassInfo, ClassSet

COUNT = 80


@pytest.fixture
def framed() -> Fingerprints:
    """Images whose frame gives the class away and whose inside and hash are noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(COUNT) % 4
    thumbnails = rng.integers(0, 256, size=(COUNT, 64, 64), dtype=np.uint8)
    thumbnails[:, :5] = (60 * labels)[:, np.newaxis, np.newaxis] + rng.integers(
        0, 20, size=(COUNT, 5, 64), dtype=np.uint8
    )
    hashes = rng.integers(0, 2**63, size=(COUNT, 8), dtype=np.uint64)
    blank = ("",) * COUNT
    names = tuple(CLASSES[label] for label in labels.tolist())
    return Fingerprints(names, thumbnails, hashes, blank, blank, blank)


def rows(start: int, stop: int) -> NDArray[np.int64]:
    return np.arange(start, stop, dtype=np.int64)


@pytest.fixture
def unlearnable(framed: Fingerprints) -> Fingerprints:
    """Images that nothing tells the class of, so that any change of what is seen shows."""
    names = np.random.default_rng(1).choice(CLASSES, COUNT).tolist()
    noise = np.random.default_rng(2).integers(0, 256, framed.thumbnails.shape, dtype=np.uint8)
    return dataclasses.replace(framed, labels=tuple(names), thumbnails=noise)


def test_frame_classifier_reads_the_frame(framed: Fingerprints) -> None:
    predicted = controls.frame_classifier(framed, rows(0, 60), rows(60, COUNT))
    assert [CLASSES[k] for k in predicted] == list(framed.labels[60:])


def test_frame_classifier_learns_from_a_part_of_very_many(
    unlearnable: Fingerprints, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = controls.frame_classifier(unlearnable, rows(0, 60), rows(60, COUNT))
    monkeypatch.setattr(controls, "_MOST_LEARNED", 25)
    monkeypatch.setattr(controls, "_CHUNK", 7)
    predicted = controls.frame_classifier(unlearnable, rows(0, 60), rows(60, COUNT))
    expected = controls.frame_classifier(unlearnable, rows(0, 60)[::3], rows(60, COUNT))
    np.testing.assert_array_equal(predicted, expected)
    assert (predicted != every).any()


def test_frame_classifier_sees_nothing_but_the_frame(unlearnable: Fingerprints) -> None:
    inside, outside = unlearnable.thumbnails.copy(), unlearnable.thumbnails.copy()
    inside[:, 5:-5, 5:-5] = np.roll(inside[:, 5:-5, 5:-5], 7, axis=0)
    outside[:, :5] = np.roll(outside[:, :5], 7, axis=0)
    one, two, three = (
        controls.frame_classifier(
            dataclasses.replace(unlearnable, thumbnails=images), rows(0, 60), rows(60, COUNT)
        )
        for images in (unlearnable.thumbnails, inside, outside)
    )
    np.testing.assert_array_equal(one, two)
    assert (one != three).any()


def test_hash_neighbour_takes_the_nearest(framed: Fingerprints) -> None:
    hashes = framed.hashes.copy()
    hashes[70, 0] = hashes[9, 0] ^ np.uint64(0b101)
    changed = dataclasses.replace(framed, hashes=hashes)
    predicted = controls.hash_neighbour(changed, rows(0, 60), np.array([70]))
    assert predicted.tolist() == [CLASSES.index(framed.labels[9])]


def test_hash_ties_are_decided_by_vote(framed: Fingerprints) -> None:
    hashes = np.full_like(framed.hashes, 2**40)
    hashes[[1, 5, 2, 70], 0] = 3
    changed = dataclasses.replace(framed, hashes=hashes)
    predicted = controls.hash_neighbour(changed, rows(0, 60), np.array([70]))
    assert predicted.tolist() == [CLASSES.index(framed.labels[1])]


def test_unusable_test_images_get_the_commonest_class(framed: Fingerprints) -> None:
    problems = ["", *["x"] * 1, *[""] * (COUNT - 3), "y"]
    hashes = framed.hashes.copy()
    hashes[-1] = hashes[3]
    broken = dataclasses.replace(framed, hashes=hashes, problems=tuple(problems))
    train = np.array([1, 2, 6, 10, 3])
    for control in controls.CONTROLS.values():
        assert control(broken, train, np.array([COUNT - 1])).tolist() == [NO_TUMOR_INDEX]


@pytest.mark.parametrize(("train", "test", "word"), [((), (1,), "train"), ((1,), (), "test")])
def test_empty_parts_are_refused(
    framed: Fingerprints, train: tuple[int, ...], test: tuple[int, ...], word: str
) -> None:
    with pytest.raises(DatasetError, match=f"no image to {word}"):
        controls.hash_neighbour(
            framed, np.array(train, dtype=np.int64), np.array(test, dtype=np.int64)
        )


def test_many_classes_of_one_image_each_are_learnt_without_a_warning(
    framed: Fingerprints, recwarn: pytest.WarningsRecorder
) -> None:
    members = tuple(ClassInfo(name=f"k{k}", display_name=f"k{k}") for k in range(COUNT // 2))
    labels = tuple(members[k % len(members)].name for k in range(COUNT))
    own, known = dataclasses.replace(framed, labels=labels), rows(0, COUNT // 2)
    scored = rows(COUNT // 2, COUNT)
    for control in controls.CONTROLS.values():
        control(own, known, scored, ClassSet(members=members))
    assert [str(one.message) for one in recwarn] == []

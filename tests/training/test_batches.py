from itertools import pairwise

import numpy as np
import pytest

from tumorlens.errors import DatasetError
from tumorlens.training.batches import Batches, parts_of
from tumorlens.training.data import part_of

GROUPS = [f"patient-{k // 2}" for k in range(120)]


def _batches(parts: int, extra: int = 40, processes: int = 1) -> Batches:
    weights = np.full(extra, 1 / extra) if extra else np.zeros(0)
    return Batches(parts_of(GROUPS, parts), weights, 8, 0.25, processes)


def test_a_patient_is_always_in_the_same_part() -> None:
    parts = parts_of(GROUPS, 3)
    assert set(parts.tolist()) == {0, 1, 2}
    assert parts[::2].tolist() == parts[1::2].tolist()
    assert parts.tolist() == [part_of(group, 3) for group in GROUPS]


def test_each_batch_holds_one_part_and_each_own_image_comes_once() -> None:
    batches = _batches(3)
    drawn = list(batches.epoch(seed=0, epoch=0, rank=0))
    assert len(drawn) == batches.steps
    own = np.concatenate([images[: batches.own_in_batch] for _, images in drawn])
    assert len(set(own.tolist())) == len(own)
    assert own.max() < batches.own
    for part, images in drawn:
        assert len(images) == 8
        assert (batches.parts[images] == part).all()
        assert (images[batches.own_in_batch :] >= batches.own).all()
    in_order = [part for part, _ in drawn]
    assert any(a != b for a, b in pairwise(in_order))  # the parts alternate


def test_epochs_differ_and_can_be_repeated() -> None:
    def order(epoch: int) -> list[int]:
        drawn = _batches(2).epoch(seed=1, epoch=epoch, rank=0)
        return [index for _, images in drawn for index in images.tolist()]

    assert order(0) == order(0)
    assert order(0) != order(1)


def test_processes_share_the_batches_of_an_epoch() -> None:
    alone = [images.tolist() for _, images in _batches(1).epoch(0, 0, 0)]
    shared = [
        [images.tolist() for _, images in _batches(1, processes=2).epoch(0, 0, rank)]
        for rank in range(2)
    ]
    assert len(shared[0]) == len(shared[1]) == len(alone) // 2
    assert [batch for pair in zip(*shared, strict=True) for batch in pair] == alone[
        : 2 * len(shared[0])
    ]


def test_a_part_without_extra_images_is_refused() -> None:
    parts = np.array([0, 1] * 10 + [0] * 4)
    with pytest.raises(DatasetError, match="too few extra images"):
        Batches(parts, np.full(4, 0.25), 8, 0.25)

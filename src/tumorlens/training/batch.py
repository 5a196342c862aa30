"""Images on their way into the network, with what is known of each."""

from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """Images on their way into the network; N of them, S pixels a side."""

    images: Tensor
    """(N, 1, S, S) float, 0..1."""
    masks: Tensor
    """(N, 1, S, S) float, 0..1: inside the experts' outline."""
    outlined: Tensor
    """(N,) bool: whether ``masks`` says where tumour is; known to be nowhere in healthy heads."""
    targets: Tensor
    """(N, C) float: 1 for each class that is a right answer."""


def changed(
    batch: Batch, rows: Tensor, images: Tensor, masks: Tensor, right: tuple[int, ...]
) -> Batch:
    """``batch`` with other images, masks and right answers in ``rows``."""
    answers = torch.zeros_like(batch.targets[rows])
    answers[:, list(right)] = 1.0
    return Batch(
        batch.images.index_copy(0, rows, images),
        batch.masks.index_copy(0, rows, masks),
        batch.outlined,
        batch.targets.index_copy(0, rows, answers),
    )

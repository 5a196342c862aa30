"""The batches of an epoch."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from tumorlens.errors import DatasetError
from tumorlens.training.data import part_of


@dataclasses.dataclass(frozen=True)
class Batches:
    """Batches of own images, each seen once an epoch, and of extra ones, drawn by weight.

    The patients of a batch are all of one part, so that one teacher, which was trained without
    that part, can label all of it, also mixed images and pasted tumours.
    """

    parts: NDArray[np.int64]
    """(N,) part of each image; the extra ones are last."""
    weights: NDArray[np.float64]
    """(E,) sampling weights of the extra images; empty where there are none."""
    size: int
    """Images in a batch."""
    extra_share: float
    """Share of each batch that is drawn from the extra images, if there are any."""
    processes: int = 1
    """Processes that share an epoch's batches."""

    def __post_init__(self) -> None:
        """Raise ``DatasetError`` where a part has own images but no extra ones to draw."""
        needed = set(np.unique(self.parts[: self.own]).tolist())
        if len(self.weights) and not needed <= set(self.parts[self.own :].tolist()):
            raise DatasetError("too few extra images for the number of parts of the teachers")

    @property
    def own(self) -> int:
        """Images that are seen once an epoch."""
        return len(self.parts) - len(self.weights)

    @property
    def own_in_batch(self) -> int:
        """Images of a batch that are not extra ones."""
        share = self.extra_share if len(self.weights) else 0.0
        return max(1, round(self.size * (1 - share)))

    @property
    def steps(self) -> int:
        """Batches of each process in an epoch; the last, incomplete one of a part is dropped."""
        members = np.bincount(self.parts[: self.own])
        return max(1, int((members // self.own_in_batch).sum()) // self.processes)

    def epoch(self, seed: int, epoch: int, rank: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Part and image indices of each batch of the process ``rank`` in ``epoch`` (from 0)."""
        generator = torch.Generator().manual_seed(seed * 7_368_787 + epoch)
        batches = self._own_batches(generator)
        order = torch.randperm(len(batches), generator=generator).tolist()
        for step in range(self.steps * self.processes):
            part, own = batches[order[step % len(order)]]
            extra = self._draw(part, generator)  # the same in all processes
            if step % self.processes == rank:
                yield part, np.concatenate([own, extra])

    def _own_batches(self, generator: torch.Generator) -> list[tuple[int, NDArray[np.int64]]]:
        size = self.own_in_batch
        batches = []
        for part in np.unique(self.parts[: self.own]).tolist():
            members = np.flatnonzero(self.parts[: self.own] == part)
            members = members[torch.randperm(len(members), generator=generator).numpy()]
            ends = range(size, len(members) + 1, size)
            batches += [(part, members[end - size : end]) for end in ends]
        return batches or [(int(self.parts[0]), np.arange(self.own))]

    def _draw(self, part: int, generator: torch.Generator) -> NDArray[np.int64]:
        count = self.size - self.own_in_batch if len(self.weights) else 0
        if count == 0:
            return np.zeros(0, dtype=np.int64)
        weights = torch.from_numpy(self.weights * (self.parts[self.own :] == part))
        drawn = torch.multinomial(weights, count, replacement=True, generator=generator)
        return drawn.numpy() + self.own


def parts_of(groups: Iterable[str], parts: int) -> NDArray[np.int64]:
    """(N,) part of each image by its group (N,)."""
    return np.array([part_of(group, parts) for group in groups], dtype=np.int64)

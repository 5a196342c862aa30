"""What a run trains on: images, experts' outlines, right answers, and how to draw them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tumorlens.config import PreprocessConfig
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.evaluation.metrics import CORRECT
from tumorlens.labels import ANSWERABLE, CLASSES, NO_TUMOR, OTHER_PATHOLOGY
from tumorlens.training import cache

_T = TypeVar("_T", bound=np.generic)


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Preprocessed images (N, S, S) uint8 with what is known of each."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    """(N,) index of a right class: the only one, or for partial labels the first."""
    answers: NDArray[np.bool_]
    """(N, C) which classes answer rightly: several where a label says "one of three"."""
    masks: NDArray[np.uint8] | None = None
    """(N, S, S), 255 inside the expert's outline; None where no image has one."""
    outlined: NDArray[np.bool_] | None = None
    """(N,) whether the mask says where tumour is; true for healthy heads, whose mask is empty."""

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of_labels(cls, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Self:
        """A set whose labels are classes and that has no outlines."""
        return cls(images, labels, np.eye(len(CLASSES), dtype=np.bool_)[labels])

    @classmethod
    def load(
        cls,
        manifest: Manifest,
        chosen: Sequence[int],
        config: PreprocessConfig,
        folder: Path,
        *,
        with_masks: bool = False,
    ) -> Self:
        """Read the records ``chosen`` through the cache in ``folder``."""
        records = [manifest.records[i] for i in chosen]
        images = cache.cached_images(manifest, chosen, config, folder)
        answers = CORRECT[[ANSWERABLE.index(record.label) for record in records]]
        labels = answers.argmax(axis=1).astype(np.int64)
        if not with_masks:
            return cls(images, labels, answers)
        masks = cache.cached_masks(manifest, chosen, config, folder)
        outlined = np.array([bool(r.mask) or r.label == NO_TUMOR for r in records], dtype=np.bool_)
        return cls(images, labels, answers, masks, outlined)

    def take(self, chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Images, masks (both uint8 (n, S, S)), outlined (n,) and answers (n, C) as tensors."""
        images = torch.from_numpy(self.images[chosen])
        masks = torch.zeros_like(images)
        outlined = torch.zeros(len(chosen), dtype=torch.bool)
        if self.masks is not None and self.outlined is not None:
            masks = torch.from_numpy(self.masks[chosen])
            outlined = torch.from_numpy(self.outlined[chosen])
        return images, masks, outlined, torch.from_numpy(self.answers[chosen])

    def __add__(self, other: "ImageSet") -> "ImageSet":
        """Both, this one first."""
        return ImageSet(
            np.concatenate([self.images, other.images]),
            np.concatenate([self.labels, other.labels]),
            np.concatenate([self.answers, other.answers]),
            _joined(self.masks, other.masks),
            _joined(self.outlined, other.outlined),
        )


def usable(record: Record) -> bool:
    """Whether a network can learn from it: not from a disease that is none of the classes."""
    return record.label != OTHER_PATHOLOGY


def balanced_weights(records: Sequence[Record]) -> NDArray[np.float64]:
    """(N,) sampling weights that sum to 1.

    Each pair of source and label weighs as the square root of its images: between every image
    alike, where the largest collection rules, and every collection alike, where a collection of a
    dozen images is learnt by heart.
    """
    keys = np.array([f"{record.source}\t{record.label}" for record in records])
    _, member, counts = np.unique(keys, return_inverse=True, return_counts=True)
    weights = 1.0 / np.sqrt(counts[member])
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def _joined(left: NDArray[_T] | None, right: NDArray[_T] | None) -> NDArray[_T] | None:
    if left is None or right is None:
        return None
    return np.concatenate([left, right])

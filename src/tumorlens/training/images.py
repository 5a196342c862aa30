"""What a run trains on: images, experts' outlines, correct classes, and how to sample them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from tumorlens.config import PreprocessConfig
from tumorlens.datasets.collections import TUMOR_FREE_SLICE
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.evaluation.metrics import CORRECT
from tumorlens.labels import (
    ANSWERABLE,
    CLASSES,
    NO_TUMOR,
    NO_TUMOR_INDEX,
    SEQUENCES,
    TUMOR_INDICES,
)
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
    sequences: NDArray[np.int64] | None = None
    """(N,) index in ``labels.SEQUENCES``; -1 where it is not known. None where no image has one."""
    kind_log_prior: NDArray[np.float32] | None = None
    """(N, C) added to the logits in the loss of the kind; None for nothing."""
    groups: tuple[str, ...] = ()
    """(N,) the patient or cluster of each; empty where it does not matter."""

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
        facts: dict[str, Any] = {
            "sequences": np.array([sequence_index(r.sequence) for r in records], dtype=np.int64),
            "groups": tuple(record.group or record.sha256 for record in records),
        }
        labels = answers.argmax(axis=1).astype(np.int64)
        if not with_masks:
            return cls(images, labels, answers, **facts)
        masks = cache.cached_masks(manifest, chosen, config, folder)
        outlined = np.array([bool(r.mask) or r.label == NO_TUMOR for r in records], dtype=np.bool_)
        return cls(images, labels, answers, masks, outlined, **facts)

    def take(self, chosen: NDArray[np.int64]) -> "ImageSet":
        """The images ``chosen``, copied out of the memory map."""
        return ImageSet(
            np.asarray(self.images[chosen]),
            self.labels[chosen],
            self.answers[chosen],
            _taken(self.masks, chosen),
            _taken(self.outlined, chosen),
            _taken(self.sequences, chosen),
            _taken(self.kind_log_prior, chosen),
        )

    def __add__(self, other: "ImageSet") -> "ImageSet":
        """Both, this one first."""
        return ImageSet(
            np.concatenate([self.images, other.images]),
            np.concatenate([self.labels, other.labels]),
            np.concatenate([self.answers, other.answers]),
            _joined(self.masks, other.masks),
            _joined(self.outlined, other.outlined),
            _joined(self.sequences, other.sequences),
            _joined(self.kind_log_prior, other.kind_log_prior),
            self.groups + other.groups,
        )


def usable(record: Record) -> bool:
    """Whether a network can learn from it: some class answers its label rightly."""
    return record.label in ANSWERABLE


def sequence_index(sequence: str) -> int:
    """Index in ``labels.SEQUENCES`` of what a manifest says; -1 where it says nothing."""
    if not sequence:
        return -1
    return SEQUENCES.index(sequence if sequence in SEQUENCES else "other")


def balanced_weights(records: Sequence[Record]) -> NDArray[np.float64]:
    """(N,) sampling weights that sum to 1.

    Each triple of source, label and sequence weighs as the square root of its images: between
    every image alike, where the largest collection rules, and every collection alike, where a
    collection of a dozen images is learnt by heart. Tumour-free slices of patients with a tumour
    weigh half: swelling or traces of surgery may reach them.
    """
    keys = np.array([f"{r.source}\t{r.label}\t{r.source_label}\t{r.sequence}" for r in records])
    _, member, counts = np.unique(keys, return_inverse=True, return_counts=True)
    doubtful = np.array([record.source_label == TUMOR_FREE_SLICE for record in records])
    weights = np.where(doubtful, 0.5, 1.0) / np.sqrt(counts[member])
    normalized: NDArray[np.float64] = weights / weights.sum()
    return normalized


def kind_log_priors(
    labels: Sequence[str], sources: Sequence[str], strength: float
) -> NDArray[np.float32]:
    """(N, C) logarithm of how often each kind occurs in the source of each image, for the loss.

    Added to the logits when the kind is learnt (logit adjustment: Menon et al. 2021), so that a
    kind that the source foretells is not learnt from the source's look. ``strength`` 0: nothing is
    added. Towards 1 a kind that a source never holds gets a prior of ``1 - strength`` among the
    kinds. Zero for ``notumor``: presence is learnt from every source alike.
    """
    priors = np.zeros((len(labels), len(CLASSES)), dtype=np.float32)
    kinds = len(TUMOR_INDICES)
    for source in set(sources):
        rows = np.array([name == source for name in sources])
        own = [label for label, inside in zip(labels, rows, strict=True) if inside]
        counts = np.array([own.count(CLASSES[i]) for i in TUMOR_INDICES], dtype=np.float64)
        if counts.sum() == 0:
            continue
        frequencies = counts / counts.sum()
        smoothed = strength * frequencies + (1 - strength) / kinds
        priors[np.ix_(rows, np.array(TUMOR_INDICES))] = np.log(smoothed)
    assert not priors[:, NO_TUMOR_INDEX].any()
    return priors


def _taken(array: NDArray[_T] | None, chosen: NDArray[np.int64]) -> NDArray[_T] | None:
    return None if array is None else array[chosen]


def _joined(left: NDArray[_T] | None, right: NDArray[_T] | None) -> NDArray[_T] | None:
    if left is None or right is None:
        return None
    return np.concatenate([left, right])

"""What a run trains on: images, experts' outlines, correct classes, and how to sample them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tumorlens.config import PreprocessConfig
from tumorlens.datasets.collections import TUMOR_FREE_SLICE
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.evaluation.metrics import correct_of
from tumorlens.labels import BRAIN_TUMORS, SEQUENCES, ClassSet
from tumorlens.training import cache


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Preprocessed images with their labels; every array has N rows."""

    images: NDArray[np.uint8]
    """(N, S, S)."""
    answers: NDArray[np.bool_]
    """(N, C) which classes are correct: several where a label says "some tumour"."""
    outlined: NDArray[np.bool_]
    """(N,) whether the mask shows where tumour is; true for healthy heads, whose mask is empty."""
    sequences: NDArray[np.int64]
    """(N,) index in ``labels.SEQUENCES``; -1 where it is not known."""
    kind_log_prior: NDArray[np.float32]
    """(N, C) added to the logits in the loss of the kind."""
    groups: NDArray[np.str_]
    """(N,) the patient or cluster."""
    masks: NDArray[np.uint8] | None = None
    """(N, S, S), 255 inside the expert's outline; None if outlines are not used."""

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) index of a correct class: the only one, or of several the first."""
        return np.asarray(self.answers.argmax(axis=1), dtype=np.int64)

    @classmethod
    def load(
        cls,
        manifest: Manifest,
        chosen: Sequence[int],
        config: PreprocessConfig,
        folder: Path,
        *,
        with_masks: bool = False,
        classes: ClassSet = BRAIN_TUMORS,
    ) -> Self:
        """Read the records ``chosen`` through the cache in ``folder``."""
        records = [manifest.records[i] for i in chosen]
        answers = correct_of([record.label for record in records], classes)
        return cls(
            cache.cached_images(manifest, chosen, config, folder),
            answers,
            np.array([bool(r.mask) or r.label == classes.no_finding for r in records], dtype=bool),
            np.array([sequence_index(r.sequence) for r in records], dtype=np.int64),
            np.zeros(answers.shape, dtype=np.float32),
            np.array([record.group or record.sha256 for record in records], dtype=np.str_),
            cache.cached_masks(manifest, chosen, config, folder) if with_masks else None,
        )

    def take(self, chosen: NDArray[np.int64]) -> "ImageSet":
        """The images ``chosen``, copied out of the memory map."""
        return ImageSet(**{name: values[chosen] for name, values in self._arrays().items()})

    def __add__(self, other: "ImageSet") -> "ImageSet":
        """Both, this one first; both or none of them with masks."""
        more = other._arrays()
        joined = {name: [values, more[name]] for name, values in self._arrays().items()}
        return ImageSet(**{name: np.concatenate(pair) for name, pair in joined.items()})

    def _arrays(self) -> dict[str, Any]:
        """The arrays by name, without ``masks`` if there are none."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: values for name, values in fields.items() if values is not None}


def usable(record: Record, classes: ClassSet = BRAIN_TUMORS) -> bool:
    """Whether it can be used for training: some class is correct for its label."""
    return record.label in classes.answerable


def sequence_index(sequence: str) -> int:
    """Index in ``labels.SEQUENCES`` of a manifest's sequence; -1 if that is empty."""
    if not sequence:
        return -1
    return SEQUENCES.index(sequence if sequence in SEQUENCES else "other")


def balanced_weights(records: Sequence[Record]) -> NDArray[np.float64]:
    """(N,) sampling weights that sum to 1.

    Each triple of source, label and sequence gets the square root of its number of images. With
    equal weights for all images, the largest collection would dominate; with equal weights for all
    collections, one of a dozen images would be memorised. Tumour-free slices of patients with a
    tumour have half the weight: swelling or traces of surgery may reach them.
    """
    keys = np.array([f"{r.source}\t{r.label}\t{r.source_label}\t{r.sequence}" for r in records])
    _, member, counts = np.unique(keys, return_inverse=True, return_counts=True)
    doubtful = np.array([record.source_label == TUMOR_FREE_SLICE for record in records])
    weights = np.where(doubtful, 0.5, 1.0) / np.sqrt(counts[member])
    return np.asarray(weights / weights.sum())


def kind_log_priors(
    labels: Sequence[str],
    sources: Sequence[str],
    strength: float,
    classes: ClassSet = BRAIN_TUMORS,
) -> NDArray[np.float32]:
    """(N, C) logarithm of how often each kind occurs in the source of each image, for the loss.

    Added to the logits in the loss of the kind (logit adjustment: Menon et al. 2021), so that a
    kind that the source predicts is not learnt from the source's appearance. With ``strength`` 0
    nothing is added. Nearer to 1, a kind that a source does not contain gets a prior of
    ``1 - strength`` among the kinds. Zero for "no finding": presence is learnt from all sources.
    """
    priors = np.zeros((len(labels), len(classes)), dtype=np.float32)
    kinds, names = np.array(classes.kinds), classes.names
    for source in set(sources):
        rows = np.array([name == source for name in sources])
        own = [label for label, inside in zip(labels, rows, strict=True) if inside]
        counts = np.array([own.count(names[i]) for i in kinds], dtype=np.float64)
        if counts.sum() == 0:
            continue
        frequencies = counts / counts.sum()
        smoothed = strength * frequencies + (1 - strength) / len(kinds)
        priors[np.ix_(rows, kinds)] = np.log(smoothed)
    return priors

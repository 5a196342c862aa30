"""Error rates on corrupted images, and the mean corruption error relative to a reference.

The errors of a corruption are summed over the five strengths and divided by those of the reference;
the mean over the corruptions is the mean corruption error (mCE) of Hendrycks and Dietterich (2019).
Without a reference the errors are absolute. Images are corrupted before preprocessing.
"""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tumorlens import preprocessing
from tumorlens.cores import thread_pool
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.errors import EvaluationError
from tumorlens.evaluation import metrics, resampling
from tumorlens.evaluation.corruptions.registry import CORRUPTIONS, STRENGTHS, Corruption
from tumorlens.evaluation.folds import Fold
from tumorlens.evaluation.probes.data import answer
from tumorlens.evaluation.resampling import Estimate, Sampling
from tumorlens.imaging import reader
from tumorlens.inference.classifier import Classifier
from tumorlens.labels import BRAIN_TUMORS, UNANSWERABLE, ClassSet, sorted_labels
from tumorlens.progress import Progress, reported

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Errors:
    """Error rates of one model."""

    name: str
    clean: float
    """On the uncorrupted images."""
    table: Floats
    """(corruptions, 5) on the corrupted ones."""
    missed: Floats
    """(corruptions, 5) share of tumour images answered no tumour; NaN without any."""

    def over(self, reference: "Errors | None") -> list[float | None]:
        """Summed errors of each corruption divided by the reference's; None if that has none."""
        if reference is None:
            return [None] * len(self.table)
        sums = zip(self.table.sum(axis=1), reference.table.sum(axis=1), strict=True)
        return [float(own / other) if other > 0 else None for own, other in sums]

    def mean_over(self, reference: "Errors | None") -> float | None:
        """Mean corruption error relative to the reference; below 1 is better."""
        defined = [value for value in self.over(reference) if value is not None]
        return float(np.mean(defined)) if defined else None


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """The errors under one corruption."""

    corruption: Corruption
    errors: Sequence[float]
    """Error rate at strengths 1 to 5."""
    missed: Sequence[float]
    mean: float
    relative: float | None
    """Summed errors divided by the reference's; None without one, or if it has no error."""


@dataclasses.dataclass(frozen=True, slots=True)
class Corruptions:
    """Error rates on corrupted images."""

    images: int
    own: Errors
    reference: Errors | None
    mean_error: Estimate
    """Error rate over all corruptions and strengths, with its interval over groups."""
    example: Record
    """The first tumour image, whose corrupted versions are shown."""

    @property
    def rows(self) -> list[Row]:
        """One for each corruption, in their order."""
        own = self.own
        columns = zip(CORRUPTIONS, own.table, own.missed, own.over(self.reference), strict=True)
        return [
            Row(kind, errors.tolist(), missed.tolist(), float(errors.mean()), relative)
            for kind, errors, missed, relative in columns
        ]

    @property
    def relative(self) -> float | None:
        """Mean corruption error relative to the reference, if there is one."""
        return self.own.mean_over(self.reference)


def corrupt(
    folds: Sequence[Fold],
    manifest: Manifest,
    part: str,
    *,
    images: int,
    reference: Classifier | None,
    sampling: Sampling,
    progress: Progress | None = None,
) -> Corruptions:
    """Corrupt ``images`` images of ``part``, drawn evenly from the labels, in every way.

    Raises ``EvaluationError`` where the reference has other classes.
    """
    pairs = [(fold, record) for fold in folds for record in fold.scored(manifest, part)]
    chosen = [pairs[i] for i in choose([record for _, record in pairs], images)]
    classes = folds[0].classifier.classes
    if reference is not None and reference.classes.names != classes.names:
        raise EvaluationError(
            f"the reference {reference.model.name} has other classes than "
            f"{folds[0].classifier.model.name}: name a reference of the same classes"
        )
    records = [record for _, record in chosen]
    labels = metrics.truths([record.label for record in records], classes)
    compared = [reference] if reference else []
    models = [[fold.classifier, *compared] for fold, _ in chosen]
    predicted = np.array(list(_answers(records, models, manifest, progress)))
    errors = [errors_of(labels, predicted[:, k], classes) for k in range(predicted.shape[1])]
    names = [classifier.model.name for classifier in (folds[0].classifier, *compared)]
    wrong = ~metrics.correct_table(classes)[labels[:, np.newaxis], predicted[:, 0, 1:]]
    groups = [record.unit for record in records]
    mean = resampling.mean(wrong.mean(axis=1), groups, sampling)
    own, *others = (Errors(name, *rates) for name, rates in zip(names, errors, strict=True))
    example = next((r for r in records if r.label != classes.no_finding), records[0])
    return Corruptions(len(records), own, others[0] if others else None, mean, example)


def corrupted(pixels: NDArray[np.float32], key: str) -> Iterator[NDArray[np.float32]]:
    """Yield the image (H, W) unchanged, then with each corruption at each strength."""
    yield pixels
    for corruption in CORRUPTIONS:
        for strength in range(1, STRENGTHS + 1):
            yield corruption(pixels, strength, key)


def as_dict(result: Corruptions) -> dict[str, Any]:
    """JSON types."""
    return {
        "n": result.images,
        "clean_error": round(result.own.clean, 6),
        "mean_error": resampling.rounded(result.mean_error),
        "reference": None if result.reference is None else _reference(result.reference),
        "mean_corruption_error": resampling.plain(result.relative),
        "corruptions": {
            row.corruption.name: {
                "unit": row.corruption.unit,
                "amounts": list(row.corruption.amounts),
                "errors": [round(value, 6) for value in row.errors],
                "missed_tumor_rates": [resampling.plain(value) for value in row.missed],
                "relative": resampling.plain(row.relative),
            }
            for row in result.rows
        },
    }


def _reference(errors: Errors) -> dict[str, Any]:
    table = zip(CORRUPTIONS, errors.table.tolist(), strict=True)
    return {
        "name": errors.name,
        "clean_error": round(errors.clean, 6),
        "errors": {kind.name: [round(value, 6) for value in row] for kind, row in table},
    }


def choose(records: Sequence[Record], count: int) -> list[int]:
    """Indices of ``count`` records, from each label in turn, ordered by the files' hashes."""
    waiting: dict[str, list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        waiting[record.label].append(index)
    for queue in waiting.values():
        queue.sort(key=lambda i: hashlib.sha256(records[i].sha256.encode()).digest(), reverse=True)
    chosen: list[int] = []
    labels = sorted_labels({record.label for record in records}.difference(UNANSWERABLE))
    while len(chosen) < count and any(waiting[label] for label in labels):
        for label in labels:
            if waiting[label] and len(chosen) < count:
                chosen.append(waiting[label].pop())
    return chosen


def _answers(
    records: Sequence[Record],
    models: Sequence[Sequence[Classifier]],
    manifest: Manifest,
    progress: Progress | None,
) -> Iterator[NDArray[np.int64]]:
    """Yield (models, 1 + 50) answers for each record; images are corrupted by several threads."""
    with thread_pool() as pool:
        work = pool.map(lambda pair: _prepare(manifest, *pair), zip(records, models, strict=True))
        pairs = zip(work, models, strict=True)
        for batches, own in reported(pairs, len(records), progress):
            yield np.stack([answer(m, batch) for m, batch in zip(own, batches, strict=True)])


def _prepare(
    manifest: Manifest, record: Record, models: Sequence[Classifier]
) -> list[NDArray[np.uint8]]:
    """The versions of a record, preprocessed for each model: (1 + 50, S, S) each."""
    pixels = reader.read(manifest.file(record)).pixels
    versions = list(corrupted(pixels, record.sha256))
    configs = [model.bundle.info.preprocess for model in models]
    return [
        np.stack([preprocessing.preprocess(version, config, record.path) for version in versions])
        for config in configs
    ]


def errors_of(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: ClassSet = BRAIN_TUMORS
) -> tuple[float, Floats, Floats]:
    """Clean error, errors and missed tumours (corruptions, 5) of answers (N, 1 + 50)."""
    wrong = ~metrics.correct_table(classes)[labels[:, np.newaxis], predicted]
    none = classes.no_finding_index
    tumor = labels != none
    missed = np.full(predicted.shape[1] - 1, np.nan)
    if none is not None and tumor.any():
        missed = (predicted[tumor, 1:] == none).mean(axis=0)
    shape = (len(CORRUPTIONS), STRENGTHS)
    return (
        float(wrong[:, 0].mean()),
        wrong[:, 1:].mean(axis=0).reshape(shape),
        missed.reshape(shape),
    )

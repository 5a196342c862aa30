"""Score bundles on one part of a split: answers, metrics with intervals, controls, warnings."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import compress
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import Bundle
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.splits import TEST
from tumorlens.errors import DatasetError, VolumeError
from tumorlens.evaluation import controls, metrics, patients, resampling, training_overlap
from tumorlens.evaluation.breakdown import Answered, Breakdown, breakdowns
from tumorlens.evaluation.controls import Control
from tumorlens.evaluation.folds import EvaluationPlan, Fold
from tumorlens.evaluation.patients import PatientLevel
from tumorlens.evaluation.protocols import Protocol, protocol_of, require_known
from tumorlens.evaluation.resampling import Estimate, Sampling
from tumorlens.evaluation.selective import Selective, selective
from tumorlens.evaluation.training_overlap import (
    EvaluationWarning,
    Overlap,
    Subset,
    TrainingOverlap,
    overlap_warnings,
    site_warnings,
)
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.decision import Decisions, decisions_by_sequence
from tumorlens.inference.record import Failure, Prediction
from tumorlens.inference.sequence import known_sequence, stated_sequence
from tumorlens.inference.stream import outcomes
from tumorlens.labels import UNANSWERABLE, ClassSet
from tumorlens.progress import Progress, part_of, reported
from tumorlens.text import listed

BATCH_SIZE: Final = 64
_NAMED_FAILURES: Final = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """Metrics of one subset of the images."""

    subset: Subset
    groups: int
    """Number of groups."""
    estimates: Mapping[str, Estimate]
    """Keyed by ``metrics.names``."""

    @property
    def images(self) -> int:
        """Images in the subset."""
        return int(self.subset.member.sum())


@dataclasses.dataclass(frozen=True, slots=True)
class Others:
    """Images of a disease that is none of the classes. No answer is correct; not scored."""

    records: tuple[Record, ...]
    probabilities: NDArray[np.float64]
    """(M, C), after temperature."""

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(M,) the most probable class of each image."""
        return metrics.most_probable(self.probabilities)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """All results; a report adds only presentation."""

    plan: EvaluationPlan
    """Which bundles were scored on which images."""
    data_sha256: str
    """Hash of the data (``Manifest.sha256``)."""
    command: str
    """The command line that repeats the evaluation; empty where there was none."""
    part: str
    records: tuple[Record, ...]
    labels: NDArray[np.int64]
    """(N,) the truth, as indices of ``ClassSet.answerable``."""
    probabilities: NDArray[np.float64]
    """(N, C), after temperature; rows sum to 1."""
    decided: Decisions
    """The decisions at the thresholds of the bundle that scored each image."""
    groups: tuple[str, ...]
    folds: tuple[str, ...]
    """(N,) name of the fold that scored each image; empty strings where there is one fold."""
    overlap: Overlap
    measured: tuple[Measured, ...]
    """All images, then subsets."""
    breakdowns: tuple[Breakdown, ...]
    """By fold, source, sequence and so on, if the images differ in it."""
    patients: PatientLevel | None
    """None unless the patient of every image is known."""
    selective: Selective
    """Error rates if only the most confident answers are given."""
    others: Others
    """Images without a correct answer, reported separately."""
    controls: tuple[Control, ...]
    """Empty if they were not requested or could not be fitted."""
    sampling: Sampling
    classes: ClassSet
    """The classes of the bundles."""

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(N,) the most probable class of each image."""
        return metrics.most_probable(self.probabilities)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(N,) whether the answer is correct."""
        return metrics.correct_table(self.classes)[self.labels, self.predicted]

    @property
    def estimates(self) -> Mapping[str, Estimate]:
        """Metrics over all images, keyed by ``metrics.names``."""
        return self.measured[0].estimates

    def mistakes(self, limit: int) -> list[int]:
        """Positions of wrong answers, the most confident first."""
        wrong = np.flatnonzero(~self.correct)
        confidence = self.probabilities.max(axis=1)[wrong]
        return [int(k) for k in wrong[np.argsort(-confidence, kind="stable")][:limit]]

    @property
    def bundle(self) -> Bundle:
        """The bundle that was scored; of several, the first."""
        return self.plan.bundles[0]

    @property
    def title(self) -> str:
        """Name of the bundle, or how many there are."""
        count = len(self.plan.folds)
        return f"{count} bundles" if count > 1 else self.bundle.info.name

    @property
    def protocol(self) -> Protocol:
        """What the numbers may be compared with."""
        return protocol_of(self.plan.split.info, self.part, self.plan.protocol)

    @cached_property
    def training_overlap(self) -> TrainingOverlap:
        """Overlap of the images with the training of the bundle; of several, the largest."""
        overlaps = [self._training_overlap(fold) for fold in self.plan.folds]
        return min(overlaps, key=lambda overlap: (overlap.unseen, -(overlap.images or 0)))

    @property
    def warnings(self) -> list[EvaluationWarning]:
        """What a reader must know before the numbers."""
        warnings = overlap_warnings(self.part, self.training_overlap, self.overlap)
        for bundle in self.plan.bundles:
            warnings += site_warnings(bundle.info.site, self.records)
        if self.plan.missing:
            names = ", ".join(self.plan.missing)
            text = f"Not complete: no bundle was given for {names}."
            warnings.append(EvaluationWarning(False, text))
        return warnings

    @property
    def quotable(self) -> bool:
        """Whether no warning is severe: the images are new to the bundles, as far as is known."""
        return not any(warning.severe for warning in self.warnings)

    def _training_overlap(self, fold: Fold) -> TrainingOverlap:
        split, training = self.plan.split.info, fold.classifier.bundle.info.training
        if self.plan.protocol:
            return TrainingOverlap(split.name, split.sha256, True, checked=True)
        if fold.name:
            # The bundle was matched to its fold by the hash of the fold's split.
            split = msgspec.structs.replace(split, sha256=training["split"]["sha256"])
        names = zip(self.records, self.folds, strict=True)
        return training_overlap.training_overlap(
            training, split, [record for record, name in names if name == fold.name]
        )


def evaluate(
    plan: EvaluationPlan,
    manifest: Manifest,
    *,
    part: str = TEST,
    with_controls: bool = True,
    sampling: Sampling = resampling.DEFAULT,
    command: str = "",
    progress: Progress | None = None,
    control_progress: Progress | None = None,
) -> Evaluation:
    """Score each fold's bundle on the images that are in ``part`` for it, and pool the answers.

    Images of other parts and ``excluded`` ones are not scored. Controls are fitted on the ``train``
    part of each fold, and left out if there is none. Raises ``DatasetError`` for files that cannot
    be read, and if no image in ``part`` has a correct answer. The progress callbacks are for
    scoring, and for reading the images for the controls.
    """
    folds = plan.folds
    classes = _classes(folds, manifest, part)
    pooled = _pool(folds, manifest, part, progress)
    answerable = np.array([r.label not in UNANSWERABLE for r in pooled.records], dtype=np.bool_)
    if not answerable.any():
        raise DatasetError(
            f"no image of the manifest is in the part {part!r}"
            + (" with a label that has a correct answer" if len(answerable) else "")
        )
    others = Others(tuple(compress(pooled.records, ~answerable)), pooled.probabilities[~answerable])
    records = tuple(compress(pooled.records, answerable))
    names = tuple(compress(pooled.folds, answerable))
    labels = metrics.truths([record.label for record in records], classes)
    groups = tuple(record.unit for record in records)
    probabilities = pooled.probabilities[answerable]
    predicted = metrics.most_probable(probabilities)
    decided = pooled.decided.where(answerable)
    overlap = Overlap(pooled.overlap.duplicate[answerable], pooled.overlap.same_group[answerable])
    subsets = training_overlap.subsets(overlap)
    beside: tuple[Control, ...] = ()
    if with_controls:
        beside = controls.run(
            manifest, [fold.parts for fold in folds], part, groups, subsets, sampling,
            control_progress, classes,
        )  # fmt: skip
    return Evaluation(
        plan=plan,
        data_sha256=manifest.sha256,
        command=command,
        part=part,
        records=records,
        labels=labels,
        probabilities=probabilities,
        decided=decided,
        groups=groups,
        folds=names,
        overlap=overlap,
        measured=tuple(
            _measure(s, labels, probabilities, groups, sampling, classes) for s in subsets
        ),
        breakdowns=breakdowns(
            records, names, Answered(labels, predicted, decided, groups, classes), sampling
        ),
        patients=patients.vote(records, labels, probabilities, groups, sampling, classes),
        selective=selective(labels, probabilities, groups, sampling, classes),
        others=others,
        controls=beside,
        sampling=sampling,
        classes=classes,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _Pooled:
    """The answers of all folds, concatenated."""

    records: tuple[Record, ...]
    folds: tuple[str, ...]
    probabilities: NDArray[np.float64]
    decided: Decisions
    overlap: Overlap


def _classes(folds: Sequence[Fold], manifest: Manifest, part: str) -> ClassSet:
    """The classes of all bundles; raise if they differ, or an image has an unknown class."""
    classes = folds[0].classifier.classes
    if any(fold.classifier.classes.names != classes.names for fold in folds):
        raise DatasetError("the bundles have different classes")
    require_known([r.label for fold in folds for r in fold.scored(manifest, part)], classes)
    return classes


def _pool(
    folds: Sequence[Fold], manifest: Manifest, part: str, progress: Progress | None
) -> _Pooled:
    chosen = [fold.scored(manifest, part) for fold in folds]
    total = sum(map(len, chosen))
    tables, decided, overlap = [np.zeros((0, len(folds[0].classifier.classes)))], [], []
    done = 0
    for fold, records in zip(folds, chosen, strict=True):
        if records:
            rule, classes = fold.classifier.bundle.info.decision, fold.classifier.classes
            scored = score(fold.classifier, manifest, records, part_of(progress, done, total))
            tables.append(scored.probabilities)
            decided.append(decisions_by_sequence(tables[-1], rule, scored.sequences, classes))
        overlap.append(training_overlap.find_overlap(manifest, fold.parts, part))
        done += len(records)
    return _Pooled(
        tuple(record for records in chosen for record in records),
        tuple(fold.name for fold, records in zip(folds, chosen, strict=True) for _ in records),
        np.concatenate(tables),
        Decisions.joined(decided),
        Overlap(
            np.concatenate([k.duplicate for k in overlap]),
            np.concatenate([k.same_group for k in overlap]),
        ),
    )


class Scored(NamedTuple):
    """The answers of a classifier for N images."""

    probabilities: NDArray[np.float64]
    """(N, C)."""
    sequences: list[str | None]
    """The known sequence of each image; None if no sequence has its own thresholds."""


def score(
    classifier: Classifier,
    manifest: Manifest,
    records: Sequence[Record],
    progress: Progress | None = None,
) -> Scored:
    """Classify each record.

    Raises ``DatasetError`` with the files that cannot be scored: without them the accuracy would be
    that of another set.
    """
    rows: list[list[float]] = []
    sequences: list[str | None] = []
    failures: list[Failure] = []
    files = [manifest.file(record) for record in records]
    by_sequence = bool(classifier.bundle.info.decision.by_sequence)
    stream = outcomes(classifier, files, batch_size=BATCH_SIZE)
    for outcome in reported(stream, len(files), progress):
        answer = outcome.result
        if isinstance(answer, Failure):
            failures.append(answer)
        elif not isinstance(answer, Prediction):
            error = VolumeError(f"{answer.path}: a volume, where a single image is needed")
            failures.append(Failure.from_error(answer.path, error))
        else:
            rows.append(list((answer.probabilities or {}).values()))
            known = known_sequence(answer.sequence, stated_sequence(outcome.facts))
            sequences.append(known if by_sequence else None)
    if failures:
        raise _unreadable(failures, len(files))
    return Scored(np.array(rows, dtype=np.float64), sequences)


def _measure(
    subset: Subset,
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    groups: Sequence[str],
    sampling: Sampling,
    classes: ClassSet,
) -> Measured:
    labels, probabilities = labels[subset.member], probabilities[subset.member]
    names = subset.select(groups)

    estimates = resampling.named(
        metrics.names(classes),
        lambda weights: metrics.measure(labels, probabilities, weights, classes),
        names,
        sampling,
    )
    return Measured(subset, len(set(names)), estimates)


def _unreadable(failures: Sequence[Failure], total: int) -> DatasetError:
    named = listed([failure.summary for failure in failures], _NAMED_FAILURES)
    return DatasetError(
        f"{len(failures)} of {total} images cannot be scored: {named}. "
        "Repair or remove them, and import the set again"
    )

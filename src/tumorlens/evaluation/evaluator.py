"""Score a classifier on one part of a split: answers, metrics with intervals, controls."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.splits import TEST
from tumorlens.errors import DatasetError
from tumorlens.evaluation import controls, exposure, metrics, resampling
from tumorlens.evaluation.controls import Control
from tumorlens.evaluation.exposure import Kinship, Subset
from tumorlens.evaluation.resampling import Estimate, Sampling
from tumorlens.inference.classifier import Classifier, Failure
from tumorlens.labels import CLASSES

Progress = Callable[[int, int], None]
"""Called with (done, total) as images are scored."""

BATCH_SIZE: Final = 64
_NAMED_FAILURES: Final = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """Metrics of one subset of the images."""

    subset: Subset
    groups: int
    """Groups that its images belong to."""
    estimates: Mapping[str, Estimate]
    """Keyed by ``metrics.NAMES``."""

    @property
    def images(self) -> int:
        """Images in the subset."""
        return int(self.subset.member.sum())


@dataclasses.dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that was found; a report adds nothing but presentation."""

    part: str
    records: tuple[Record, ...]
    labels: NDArray[np.int64]
    """(N,) the truth, as indices of ``labels.CLASSES``."""
    probabilities: NDArray[np.float64]
    """(N, 4), after temperature; rows sum to 1."""
    groups: tuple[str, ...]
    kinship: Kinship
    measured: tuple[Measured, ...]
    """All images first, then the subsets that differ from them."""
    controls: tuple[Control, ...]
    """Empty where they were not asked for or could not be fitted."""
    sampling: Sampling

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(N,) the most probable class of each image."""
        answers: NDArray[np.int64] = self.probabilities.argmax(axis=1).astype(np.int64)
        return answers

    @property
    def estimates(self) -> Mapping[str, Estimate]:
        """Metrics over all images, keyed by ``metrics.NAMES``."""
        return self.measured[0].estimates

    def mistakes(self, limit: int) -> list[int]:
        """Positions of wrong answers, the most confident first."""
        wrong = np.flatnonzero(self.predicted != self.labels)
        confidence = self.probabilities.max(axis=1)[wrong]
        ranked: list[int] = wrong[np.argsort(-confidence, kind="stable")].tolist()
        return ranked[:limit]


def evaluate(
    classifier: Classifier,
    manifest: Manifest,
    parts: Sequence[str],
    *,
    part: str = TEST,
    with_controls: bool = True,
    sampling: Sampling = resampling.DEFAULT,
    progress: Progress | None = None,
    control_progress: Progress | None = None,
) -> Evaluation:
    """Score ``classifier`` on the images of ``manifest`` whose entry in ``parts`` is ``part``.

    ``parts`` is what ``Split.parts`` gives; images of other parts, ``excluded`` ones among them,
    are not scored. Controls are fitted on the ``train`` part and left out where it is empty.
    Raises ``DatasetError`` naming files that cannot be read, and where no image is in ``part``.
    The progress callbacks are for scoring, and for reading the pictures the controls need.
    """
    records = tuple(r for r, name in zip(manifest, parts, strict=True) if name == part)
    if not records:
        raise DatasetError(f"no image of the manifest is in the part {part!r}")
    labels = np.array([CLASSES.index(record.label) for record in records], dtype=np.int64)
    groups = tuple(exposure.group_of(record) for record in records)
    probabilities = score(classifier, manifest, records, progress)
    kin = exposure.kinship(manifest, parts, part)
    subsets = exposure.subsets(kin)
    measured = [_measure(s, labels, probabilities, groups, sampling) for s in subsets]
    beside: tuple[Control, ...] = ()
    if with_controls:
        beside = controls.run(manifest, parts, part, groups, subsets, sampling, control_progress)
    return Evaluation(
        part=part,
        records=records,
        labels=labels,
        probabilities=probabilities,
        groups=groups,
        kinship=kin,
        measured=tuple(measured),
        controls=beside,
        sampling=sampling,
    )


def score(
    classifier: Classifier,
    manifest: Manifest,
    records: Sequence[Record],
    progress: Progress | None = None,
) -> NDArray[np.float64]:
    """Return the classifier's probabilities for each record, (N, 4).

    Raises ``DatasetError`` naming the files that cannot be scored: leaving them out quietly would
    make the accuracy that of an easier set.
    """
    rows: list[list[float]] = []
    failures: list[Failure] = []
    files = [manifest.file(record) for record in records]
    for done, answer in enumerate(classifier.predict_paths(files, BATCH_SIZE), start=1):
        if isinstance(answer, Failure):
            failures.append(answer)
        else:
            rows.append([answer.probabilities[name] for name in CLASSES])
        if progress is not None:
            progress(done, len(files))
    if failures:
        raise _unreadable(failures, len(files))
    return np.array(rows, dtype=np.float64)


def _measure(
    subset: Subset,
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    groups: Sequence[str],
    sampling: Sampling,
) -> Measured:
    labels, probabilities = labels[subset.member], probabilities[subset.member]
    names = subset.of(groups)

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return metrics.measure(labels, probabilities, weights)

    estimates = resampling.bootstrap(statistic, names, sampling)
    return Measured(subset, len(set(names)), dict(zip(metrics.NAMES, estimates, strict=True)))


def _unreadable(failures: Sequence[Failure], total: int) -> DatasetError:
    named = "; ".join(failure.error.message for failure in failures[:_NAMED_FAILURES])
    more = len(failures) - _NAMED_FAILURES
    rest = f"; and {more} more" if more > 0 else ""
    return DatasetError(
        f"{len(failures)} of {total} images cannot be scored: {named}{rest}. "
        "Mend or remove them and import the set again"
    )

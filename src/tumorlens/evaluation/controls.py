"""The two controls beside every accuracy, with intervals over the same groups."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tumorlens.datasets import controls as blind
from tumorlens.datasets.fingerprints import Progress, fingerprint
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import TRAIN
from tumorlens.evaluation import metrics, resampling
from tumorlens.evaluation.exposure import Subset
from tumorlens.evaluation.resampling import Estimate, Sampling


@dataclasses.dataclass(frozen=True, slots=True)
class Control:
    """A classifier that knows nothing of tumours, on the images that the model is scored on."""

    name: str
    """``hash_neighbour`` or ``frame_classifier``."""
    description: str
    predicted: NDArray[np.int64]
    """(N,) its answers, as indices of ``labels.CLASSES``."""
    accuracy: Mapping[str, Estimate]
    """Keyed by the name of the subset."""


def run(
    manifest: Manifest,
    parts: Sequence[str],
    part: str,
    groups: Sequence[str],
    subsets: Sequence[Subset],
    sampling: Sampling,
    progress: Progress | None = None,
) -> tuple[Control, ...]:
    """Fit both on the ``train`` part and score them on ``part``; none where they cannot be fitted.

    ``groups`` (N,) and the subsets are over the images of ``part``, in the manifest's order. Reads
    every picture of the two parts.
    """
    if part == TRAIN or TRAIN not in parts:
        return ()
    used = [i for i, name in enumerate(parts) if name in (TRAIN, part)]
    chosen = Manifest(tuple(manifest.records[i] for i in used), manifest.folder)
    role = np.array([parts[i] for i in used])
    train, test = np.flatnonzero(role == TRAIN), np.flatnonzero(role == part)
    prints = fingerprint(chosen, progress)
    results = (
        blind.hash_neighbour(prints, train, test),
        blind.frame_classifier(prints, train, test),
    )
    return tuple(
        Control(
            result.name,
            blind.DESCRIPTIONS[result.name],
            result.predicted,
            {s.name: accuracy(result.correct, groups, s, sampling) for s in subsets},
        )
        for result in results
    )


def accuracy(
    correct: NDArray[np.bool_], groups: Sequence[str], subset: Subset, sampling: Sampling
) -> Estimate:
    """Share of right answers in ``subset`` with its interval over groups."""
    right = correct[subset.member].astype(np.float64)

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return metrics.ratio(weights @ right, weights.sum(axis=1))[:, np.newaxis]

    return resampling.bootstrap(statistic, subset.of(groups), sampling)[0]

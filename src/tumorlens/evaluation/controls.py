"""Score the two control classifiers, with intervals over the same groups."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tumorlens.datasets import controls as blind
from tumorlens.datasets.fingerprints import fingerprint
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import TRAIN
from tumorlens.evaluation import metrics, resampling
from tumorlens.evaluation.resampling import Estimate, Sampling
from tumorlens.evaluation.training_overlap import Subset
from tumorlens.labels import BRAIN_TUMORS, ClassSet
from tumorlens.progress import Progress


@dataclasses.dataclass(frozen=True, slots=True)
class Control:
    """A classifier that does not look at tumours, on the images that the model is scored on."""

    name: str
    """``hash_neighbour`` or ``frame_classifier``."""
    description: str
    predicted: NDArray[np.int64]
    """(N,) its answers, as indices of the classes."""
    accuracy: Mapping[str, Estimate]
    """Keyed by the name of the subset."""


def run(
    manifest: Manifest,
    folds: Sequence[Sequence[str]],
    part: str,
    groups: Sequence[str],
    subsets: Sequence[Subset],
    sampling: Sampling,
    progress: Progress | None = None,
    classes: ClassSet = BRAIN_TUMORS,
) -> tuple[Control, ...]:
    """Fit both on the ``train`` part and score them on ``part``; empty if they cannot be fitted.

    ``folds`` are the parts of the images in each fold; answers are pooled over the folds. The
    controls are fitted on images of a known class and scored on images with a correct answer.
    ``groups`` (N,) and the subsets are over the scored images, fold by fold, in the order of the
    manifest. Reads every image once.
    """
    labels = [record.label for record in manifest]
    pairs = [_rows(parts, labels, part, classes) for parts in folds]
    if part == TRAIN or not pairs or not all(len(t) and len(s) for t, s in pairs):
        return ()
    used = np.unique(np.concatenate([rows for pair in pairs for rows in pair]))
    chosen = Manifest(tuple(manifest.records[i] for i in used), manifest.folder)
    prints = fingerprint(chosen, progress)
    truth = metrics.truths([labels[i] for _, scored in pairs for i in scored], classes)
    scored_controls = []
    for name, control in blind.CONTROLS.items():
        predicted = np.concatenate(
            [
                control(
                    prints, np.searchsorted(used, known), np.searchsorted(used, scored), classes
                )
                for known, scored in pairs
            ]
        )
        correct = metrics.correct_table(classes)[truth, predicted].astype(np.float64)
        accuracies = {
            s.name: resampling.mean(correct[s.member], s.select(groups), sampling) for s in subsets
        }
        scored_controls.append(Control(name, blind.DESCRIPTIONS[name], predicted, accuracies))
    return tuple(scored_controls)


def _rows(
    parts: Sequence[str], labels: Sequence[str], part: str, classes: ClassSet
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to fit on and rows to score."""
    pairs = list(enumerate(zip(parts, labels, strict=True)))
    train = [i for i, (name, label) in pairs if name == TRAIN and label in classes.names]
    scored = [i for i, (name, label) in pairs if name == part and label in classes.answerable]
    return np.array(train, dtype=np.int64), np.array(scored, dtype=np.int64)

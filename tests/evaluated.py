"""An evaluation for tests, of stated answers instead of a network's."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from tests.answers import shares

from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Record
from tumorlens.evaluation import metrics, patients, resampling, training_overlap
from tumorlens.evaluation.breakdown import Answered, breakdowns
from tumorlens.evaluation.evaluator import Evaluation, Measured, Others
from tumorlens.evaluation.folds import EvaluationPlan, Fold
from tumorlens.evaluation.resampling import Sampling
from tumorlens.evaluation.selective import selective
from tumorlens.evaluation.training_overlap import Overlap
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.decision import Decisions
from tumorlens.labels import BRAIN_TUMORS, ClassSet

FEW = Sampling(50)


def record(path: str, label: str, **known: Any) -> Record:
    """An image; its hash is its path in hexadecimal."""
    sha256 = path.encode().hex()
    facts = {"split": "", "group": "", "source": "s", "pixel_sha256": sha256} | known
    return Record(path=path, label=label, sha256=sha256, width=4, height=4, mode="L", **facts)


def evaluated(
    classifier: Classifier,
    answers: Sequence[tuple[Record, dict[str, float]]],
    *,
    others: Sequence[tuple[Record, dict[str, float]]] = (),
    folds: Sequence[str] = ("",),
    twins: Sequence[bool] = (),
    classes: ClassSet = BRAIN_TUMORS,
) -> Evaluation:
    """Score the probabilities of every image; every answer is classified.

    The folds take turns. ``twins`` says which images have a copy in training.
    """
    records = tuple(image for image, _ in answers)
    rows = [splits.SplitRow(r.sha256, r.label, r.unit, "test") for r in records]
    split = splits.build("mine", "for tests", rows, disjoint=True)
    parts = tuple(row.part for row in rows)
    names = tuple(folds[k % len(folds)] for k in range(len(records)))
    labels = metrics.truths([r.label for r in records], classes)
    table = np.array([list(row.values()) for _, row in answers], dtype=np.float64)
    predicted = table.argmax(axis=1).astype(np.int64)
    decided = Decisions(np.ones(len(records), dtype=np.int8), predicted)
    groups = tuple(r.unit for r in records)
    copied = np.array(twins or [False] * len(records), dtype=np.bool_)
    overlap = Overlap(copied, np.zeros_like(copied))
    measured = []
    for subset in training_overlap.subsets(overlap):
        member = subset.member
        of = subset.select(groups)
        estimates = resampling.named(
            metrics.names(classes),
            partial(metrics.measure, labels[member], table[member], classes=classes),
            of,
            FEW,
        )
        measured.append(Measured(subset, len(set(of)), estimates))
    return Evaluation(
        plan=EvaluationPlan(split, tuple(Fold(classifier, parts, name) for name in folds)),
        data_sha256="d" * 64,
        command="tumorlens evaluate tiny",
        part="test",
        records=records,
        labels=labels,
        probabilities=table,
        decided=decided,
        groups=groups,
        folds=names,
        overlap=overlap,
        measured=tuple(measured),
        breakdowns=breakdowns(
            records, names, Answered(labels, predicted, decided, groups, classes), FEW
        ),
        patients=patients.vote(records, labels, table, groups, FEW, classes),
        selective=selective(labels, table, groups, FEW, classes),
        others=Others(
            tuple(image for image, _ in others),
            np.array([list(row.values()) for _, row in others]).reshape(-1, len(classes)),
        ),
        controls=(),
        sampling=FEW,
        classes=classes,
    )


def few(classifier: Classifier, groups: int = 3, **more: Any) -> Evaluation:
    """Two images of each group: one glioma that is found, one that is called no tumour."""
    answers = [
        (record(f"{k}/{j}.png", "glioma", group=f"g{k}"), shares(glioma=share))
        for k in range(groups)
        for j, share in enumerate((0.9, 0.2))
    ]
    return evaluated(classifier, answers, **more)

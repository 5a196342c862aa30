"""An evaluation for programs: ``evaluation.json`` and ``predictions.csv``.

They contain no times and no absolute paths, so two runs of a command give the same bytes.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tumorlens import __version__
from tumorlens.datasets.tables import csv_bytes
from tumorlens.evaluation import (
    abstention,
    breakdown,
    conformal,
    metrics,
    resampling,
    selective,
)
from tumorlens.evaluation.abstention import AbstentionOutcome
from tumorlens.evaluation.conformal import Sets
from tumorlens.evaluation.controls import Control
from tumorlens.evaluation.corruptions import run as corruption_run
from tumorlens.evaluation.corruptions.run import Corruptions
from tumorlens.evaluation.evaluator import Evaluation, Measured
from tumorlens.evaluation.patients import PatientLevel
from tumorlens.evaluation.probes import result
from tumorlens.evaluation.probes.result import ProbeResult
from tumorlens.evaluation.protocols import Protocol
from tumorlens.evaluation.resampling import Estimate, rounded
from tumorlens.files import json_bytes, spreadsheet_safe
from tumorlens.labels import BRAIN_TUMORS, RESEARCH_NOTICE, ClassSet, sorted_labels

_DIGITS: Final = 6
_COLUMNS: Final = ("path", "sha256", "group", "label", "predicted")


def to_json(
    evaluation: Evaluation,
    probes: Sequence[ProbeResult] = (),
    corruptions: Corruptions | None = None,
) -> bytes:
    """``as_dict`` with probes and corruptions as indented JSON; undefined is null."""
    record = as_dict(evaluation)
    if probes:
        record["probes"] = {probe.name: result.as_dict(probe) for probe in probes}
    if corruptions is not None:
        record["corruptions"] = corruption_run.as_dict(corruptions)
    return json_bytes(record)


def as_dict(evaluation: Evaluation) -> dict[str, Any]:
    """All results as JSON types; every metric is ``{"value", "low", "high"}``."""
    whole, *subsets = evaluation.measured
    overlap, sets = evaluation.overlap, prediction_sets(evaluation)
    return {
        "tumorlens": __version__,
        "notice": RESEARCH_NOTICE,
        "command": evaluation.command,
        **_provenance(evaluation),
        "n": whole.images,
        "n_groups": whole.groups,
        "n_with_training_duplicate": int(overlap.duplicate.sum()),
        "n_of_training_groups": int(overlap.same_group.sum()),
        "interval": resampling.interval_facts(evaluation.sampling),
        "classes": list(evaluation.classes.names),
        "metrics": nested(whole.estimates, evaluation.classes),
        "confusion_matrix": metrics.confusion_matrix(
            evaluation.labels, evaluation.predicted, evaluation.classes
        ).tolist(),
        "answers": answers(evaluation),
        "breakdown": {table.field: breakdown.as_dict(table) for table in evaluation.breakdowns},
        **_folds(evaluation),
        "patients": _patients(evaluation.patients),
        "selective": selective.as_dict(evaluation.selective),
        "abstention": abstention.as_dict(abstention_outcome(evaluation)),
        "prediction_sets": conformal.as_dict(sets) if sets else None,
        "subsets": {
            measured.subset.name: _subset(measured, evaluation.classes) for measured in subsets
        },
        "controls": {control.name: _control(control) for control in evaluation.controls},
        "paper": _paper(evaluation.protocol),
        "definitions": metrics.definitions(evaluation.classes),
    }


def answers(evaluation: Evaluation) -> dict[str, dict[str, int]]:
    """Number of images by label and answer, including other diseases."""
    names = evaluation.classes.names
    table: dict[str, dict[str, int]] = {}
    for images in (evaluation, evaluation.others):
        for record, answer in zip(images.records, images.predicted, strict=True):
            row = table.setdefault(record.label, dict.fromkeys(names, 0))
            row[names[answer]] += 1
    return {label: table[label] for label in sorted_labels(table)}


def abstention_outcome(evaluation: Evaluation) -> AbstentionOutcome:
    """The rates at the thresholds of the bundles."""
    correct = metrics.correct_table(evaluation.classes)[evaluation.labels]
    return abstention.outcome_of(evaluation.decided, correct, evaluation.classes)


def prediction_sets(evaluation: Evaluation) -> Sets | None:
    """Coverage of the bundle's prediction sets; None for several bundles, or without sets."""
    info = evaluation.bundle.info
    if len(evaluation.plan.folds) > 1 or info.prediction_sets is None:
        return None
    return conformal.measure_sets(
        evaluation.probabilities,
        evaluation.labels,
        evaluation.groups,
        info.prediction_sets,
        evaluation.decided.names,
        evaluation.sampling,
        evaluation.classes,
    )


def nested(estimates: Mapping[str, Estimate], classes: ClassSet = BRAIN_TUMORS) -> dict[str, Any]:
    """Turn ``metric.class`` keys into ``{"per_class": {class: {metric: ...}}}``."""
    overall = {name: rounded(estimates[name]) for name in metrics.OVERALL}
    per_class = {
        name: {metric: rounded(estimates[f"{metric}.{name}"]) for metric in metrics.PER_CLASS}
        for name in classes.names
    }
    return {**overall, "per_class": per_class}


def predictions_csv(evaluation: Evaluation) -> bytes:
    """One row for each image: path, sha256, group, label, predicted, the probabilities, fold.

    Images of other diseases are last; there is no column ``fold`` if there is only one fold.
    """
    pooled, names = any(evaluation.folds), evaluation.classes.names
    rows = [(*_COLUMNS, *map(_column, names), *(("fold",) if pooled else ()))]
    others = evaluation.others
    answered = zip(
        (*evaluation.records, *others.records),
        (*evaluation.predicted, *others.predicted),
        (*evaluation.probabilities, *others.probabilities),
        (*evaluation.folds, *("" for _ in others.records)),
        strict=True,
    )
    for record, answer, row, name in answered:
        texts = (record.path, record.sha256, record.unit, record.label, names[answer])
        about = map(spreadsheet_safe, texts)
        columns = (f"{share:.{_DIGITS}f}" for share in row)
        rows.append((*about, *columns, *((name,) if pooled else ())))
    return csv_bytes(rows)


def _column(name: str) -> str:
    return f"probability_{name}" if name in (*_COLUMNS, "fold") else name


def _provenance(evaluation: Evaluation) -> dict[str, Any]:
    split, bundle = evaluation.plan.split.info, evaluation.bundle
    overlap = evaluation.training_overlap
    return {
        "protocol": evaluation.protocol.name,
        "split": {
            "name": split.name,
            "sha256": split.sha256,
            "disjoint": split.disjoint,
            "description": split.description,
        },
        "part": evaluation.part,
        "data_sha256": evaluation.data_sha256,
        "bundle": {
            "name": bundle.info.name,
            "version": bundle.info.version,
            "model_sha256": bundle.sha256,
            "temperature": bundle.info.temperature,
            "parameters": bundle.info.network.parameters,
        },
        "quotable": evaluation.quotable,
        "trained_on_other_split": overlap.other_split,
        "trained_on": overlap.facts(),
        "warnings": [warning.text for warning in evaluation.warnings],
    }


def _folds(evaluation: Evaluation) -> dict[str, Any]:
    """The bundles of a pooled evaluation, with mean and deviation of their accuracies."""
    by_fold = next((b for b in evaluation.breakdowns if b.field == breakdown.FOLD), None)
    summary = None
    if by_fold is not None:
        mean, low, high = rounded(by_fold.means["accuracy"]).values()
        deviation = round(by_fold.deviation, _DIGITS)
        summary = {"mean": mean, "low": low, "high": high, "deviation": deviation}
    bundles = [
        {"fold": fold.name, "name": bundle.info.name, "model_sha256": bundle.sha256}
        for fold, bundle in zip(evaluation.plan.folds, evaluation.plan.bundles, strict=True)
        if fold.name
    ]
    return {"folds": bundles, "accuracy_over_folds": summary}


def _patients(level: PatientLevel | None) -> dict[str, Any] | None:
    if level is None:
        return None
    rates = {name: rounded(estimate) for name, estimate in level.estimates.items()}
    return {"n": level.patients, **rates}


def _subset(measured: Measured, classes: ClassSet) -> dict[str, Any]:
    return {
        "description": measured.subset.description,
        "n": measured.images,
        "n_groups": measured.groups,
        "metrics": nested(measured.estimates, classes),
    }


def _control(control: Control) -> dict[str, Any]:
    whole, *subsets = control.accuracy.items()
    return {
        "description": control.description,
        "accuracy": rounded(whole[1]),
        "subsets": {name: {"accuracy": rounded(estimate)} for name, estimate in subsets},
    }


def _paper(protocol: Protocol) -> dict[str, Any] | None:
    if protocol.paper is None:
        return None
    return {
        **dataclasses.asdict(protocol.paper),
        "protocol": "folder",
        "comparable": protocol.comparable,
        "comparison": protocol.comparison,
    }

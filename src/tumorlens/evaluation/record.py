"""An evaluation for programs: ``evaluation.json`` and ``predictions.csv``.

Neither holds a time or a place, so two runs of one command give the same bytes.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import msgspec

from tumorlens import __version__
from tumorlens.bundle import Bundle
from tumorlens.datasets.splits import SplitInfo
from tumorlens.datasets.tables import csv_bytes
from tumorlens.evaluation import (
    abstention,
    breakdown,
    conformal,
    metrics,
    protocols,
    resampling,
    selective,
)
from tumorlens.evaluation.abstention import AbstentionOutcome
from tumorlens.evaluation.conformal import Sets
from tumorlens.evaluation.controls import Control
from tumorlens.evaluation.corruptions import run as corruption_run
from tumorlens.evaluation.corruptions.run import Corruptions
from tumorlens.evaluation.evaluator import Evaluation, Measured
from tumorlens.evaluation.folds import EvaluationPlan
from tumorlens.evaluation.patients import PatientLevel
from tumorlens.evaluation.probes import result
from tumorlens.evaluation.probes.result import ProbeResult
from tumorlens.evaluation.protocols import Protocol
from tumorlens.evaluation.resampling import Estimate, rounded
from tumorlens.evaluation.training_overlap import (
    EvaluationWarning,
    TrainingOverlap,
    group_of,
    overlap_warnings,
    site_warnings,
    training_overlap,
)
from tumorlens.files import spreadsheet_safe
from tumorlens.labels import BRAIN_TUMORS, RESEARCH_NOTICE, ClassSet, sorted_labels

_DIGITS: Final = 6
_COLUMNS: Final = ("path", "sha256", "group", "label", "predicted")


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """What was evaluated, on what, by which command."""

    bundle: Bundle
    split: SplitInfo
    data_sha256: str
    command: str
    """The command line that makes the report; empty where there was none."""
    protocol_name: str = ""
    """Where the split does not say it: ``external``, ``leave-one-source-out``."""
    peers: tuple[Bundle, ...] = ()
    """Bundles of the folds after the first."""
    fold_names: tuple[str, ...] = ("",)
    """One for each bundle: the fold or source it is scored on."""
    missing: tuple[str, ...] = ()
    """Folds that no bundle was given for."""

    @classmethod
    def of_plan(cls, plan: EvaluationPlan, data_sha256: str, command: str) -> Self:
        """Describe what ``plan`` scores."""
        first, *peers = (one.classifier.bundle for one in plan.folds)
        return cls(
            bundle=first,
            split=plan.split.info,
            data_sha256=data_sha256,
            command=command,
            protocol_name=plan.protocol,
            peers=tuple(peers),
            fold_names=tuple(one.name for one in plan.folds),
            missing=plan.missing,
        )

    @property
    def bundles(self) -> tuple[Bundle, ...]:
        """One for each fold."""
        return (self.bundle, *self.peers)

    @property
    def title(self) -> str:
        """Name of the bundle, or how many there are."""
        return f"{len(self.bundles)} bundles" if self.peers else self.bundle.info.name

    def protocol(self, evaluation: Evaluation) -> Protocol:
        """Return what the numbers may be held against."""
        return protocols.protocol_of(self.split, evaluation.part, self.protocol_name)

    def training_overlap(self, evaluation: Evaluation) -> TrainingOverlap:
        """Return what the bundles have seen of the images; of several, what one saw most."""
        pairs = zip(self.bundles, self.fold_names, strict=True)
        found = [self._training_overlap(one, name, evaluation) for one, name in pairs]
        return min(found, key=lambda seen: (seen.unseen, -(seen.images or 0)))

    def warnings(self, evaluation: Evaluation) -> list[EvaluationWarning]:
        """Return what a reader must know first."""
        found = overlap_warnings(
            evaluation.part, self.training_overlap(evaluation), evaluation.overlap
        )
        for one in self.bundles:
            found += site_warnings(one.info.site, evaluation.records)
        if self.missing:
            names = ", ".join(self.missing)
            found.append(
                EvaluationWarning(False, f"Not complete: no bundle was given for {names}.")
            )
        return found

    def _training_overlap(self, one: Bundle, fold: str, evaluation: Evaluation) -> TrainingOverlap:
        split, training = self.split, one.info.training
        if self.protocol_name:
            return TrainingOverlap(split.name, split.sha256, True, checked=True)
        if any(self.fold_names):
            # That each bundle is of its fold was checked by hash when they were matched.
            split = msgspec.structs.replace(split, sha256=training["split"]["sha256"])
        scored = [
            record
            for record, name in zip(evaluation.records, evaluation.folds, strict=True)
            if name == fold
        ]
        return training_overlap(training, split, scored)


def to_json(
    evaluation: Evaluation,
    setting: Setting,
    probes: Sequence[ProbeResult] = (),
    corruptions: Corruptions | None = None,
) -> bytes:
    """Encode ``as_dict`` as indented JSON, with what was asked for beyond it; undefined is null."""
    record = as_dict(evaluation, setting)
    if probes:
        record["probes"] = {one.name: result.as_dict(one) for one in probes}
    if corruptions is not None:
        record["corruptions"] = corruption_run.as_dict(corruptions)
    encoded = msgspec.json.encode(record)
    return msgspec.json.format(encoded, indent=2) + b"\n"


def as_dict(evaluation: Evaluation, setting: Setting) -> dict[str, Any]:
    """Everything found, as JSON types; every metric is ``{"value", "low", "high"}``."""
    whole, *subsets = evaluation.measured
    overlap, sets = evaluation.overlap, prediction_sets(evaluation, setting)
    return {
        "tumorlens": __version__,
        "notice": RESEARCH_NOTICE,
        "command": setting.command,
        **_provenance(evaluation, setting),
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
        "breakdown": {one.field: breakdown.as_dict(one) for one in evaluation.breakdowns},
        **_folds(evaluation, setting),
        "patients": _patients(evaluation.patients),
        "selective": selective.as_dict(evaluation.selective),
        "abstention": abstention.as_dict(abstention_outcome(evaluation)),
        "prediction_sets": conformal.as_dict(sets) if sets else None,
        "subsets": {
            measured.subset.name: _subset(measured, evaluation.classes) for measured in subsets
        },
        "controls": {control.name: _control(control) for control in evaluation.controls},
        "paper": _paper(setting.protocol(evaluation)),
        "definitions": metrics.definitions(evaluation.classes),
    }


def answers(evaluation: Evaluation) -> dict[str, dict[str, int]]:
    """Images by label and answer, labels without any left out; other diseases included."""
    names = evaluation.classes.names
    table: dict[str, dict[str, int]] = {}
    for found in (evaluation, evaluation.others):
        for record, answer in zip(found.records, found.predicted, strict=True):
            row = table.setdefault(record.label, dict.fromkeys(names, 0))
            row[names[answer]] += 1
    return {label: table[label] for label in sorted_labels(table)}


def abstention_outcome(evaluation: Evaluation) -> AbstentionOutcome:
    """What the bundles' own rules of abstention do to the images that each of them scored."""
    correct = metrics.correct_table(evaluation.classes)[evaluation.labels]
    return abstention.outcome_of(evaluation.decided, correct, evaluation.classes)


def prediction_sets(evaluation: Evaluation, setting: Setting) -> Sets | None:
    """What the bundle's prediction sets hold; None for several bundles, or where there are none."""
    info = setting.bundle.info
    if setting.peers or info.prediction_sets is None:
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
    """One row an image: path, sha256, group, label, predicted, the probabilities, fold.

    Images of other diseases stand last; there is no column ``fold`` where there is one only.
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
        texts = (record.path, record.sha256, group_of(record), record.label, names[answer])
        about = map(spreadsheet_safe, texts)
        columns = (f"{share:.{_DIGITS}f}" for share in row)
        rows.append((*about, *columns, *((name,) if pooled else ())))
    return csv_bytes(rows)


def _column(name: str) -> str:
    return f"probability_{name}" if name in (*_COLUMNS, "fold") else name


def _provenance(evaluation: Evaluation, setting: Setting) -> dict[str, Any]:
    protocol, seen = setting.protocol(evaluation), setting.training_overlap(evaluation)
    found = setting.warnings(evaluation)
    bundle = setting.bundle
    return {
        "protocol": protocol.name,
        "split": {
            "name": setting.split.name,
            "sha256": setting.split.sha256,
            "disjoint": setting.split.disjoint,
            "description": setting.split.description,
        },
        "part": evaluation.part,
        "data_sha256": setting.data_sha256,
        "bundle": {
            "name": bundle.info.name,
            "version": bundle.info.version,
            "model_sha256": bundle.sha256,
            "temperature": bundle.info.temperature,
            "parameters": bundle.info.network.parameters,
        },
        "quotable": not any(warning.severe for warning in found),
        "trained_on_other_split": seen.other_split,
        "trained_on": seen.facts(),
        "warnings": [warning.text for warning in found],
    }


def _folds(evaluation: Evaluation, setting: Setting) -> dict[str, Any]:
    """The bundles of a pooled evaluation, and how their accuracies scatter."""
    by_fold = next((b for b in evaluation.breakdowns if b.field == breakdown.FOLD), None)
    summary = None
    if by_fold is not None:
        mean = rounded(by_fold.means["accuracy"])
        summary = {
            "mean": round(by_fold.mean, 6),
            "low": mean["low"],
            "high": mean["high"],
            "deviation": round(by_fold.deviation, 6),
        }
    bundles = [
        {"fold": name, "name": one.info.name, "model_sha256": one.sha256}
        for name, one in zip(setting.fold_names, setting.bundles, strict=True)
    ]
    return {"folds": bundles if any(setting.fold_names) else [], "accuracy_over_folds": summary}


def _patients(found: PatientLevel | None) -> dict[str, Any] | None:
    if found is None:
        return None
    rates = {name: rounded(estimate) for name, estimate in found.estimates.items()}
    return {"n": found.patients, **rates}


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

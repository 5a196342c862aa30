"""An evaluation for programs: ``evaluation.json`` and ``predictions.csv``.

Neither holds a time or a place, so two runs of one command give the same bytes.
"""

import csv
import dataclasses
import io
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tumorlens import __version__
from tumorlens.bundle import Bundle
from tumorlens.datasets.splits import SplitInfo
from tumorlens.evaluation import metrics, protocols, resampling
from tumorlens.evaluation.controls import Control
from tumorlens.evaluation.evaluator import Evaluation, Measured
from tumorlens.evaluation.exposure import Caution, Exposure, cautions, exposure
from tumorlens.evaluation.protocols import PAPER, Protocol
from tumorlens.evaluation.resampling import Estimate, rounded
from tumorlens.labels import CLASSES, RESEARCH_NOTICE

_DIGITS: Final = 6
"""Decimals kept: the last bits of a sum differ between processors."""


@dataclasses.dataclass(frozen=True, slots=True)
class Setting:
    """What was evaluated, on what, by which command."""

    bundle: Bundle
    split: SplitInfo
    data_sha256: str
    command: str
    """The command line that makes the report; empty where there was none."""

    def protocol(self, evaluation: Evaluation) -> Protocol:
        """Return what the numbers may be held against."""
        return protocols.protocol_of(self.split, evaluation.part)

    def exposure(self, evaluation: Evaluation) -> Exposure:
        """Return what the bundle has seen of the images."""
        return exposure(self.bundle.info.training, self.split, evaluation.records)

    def cautions(self, evaluation: Evaluation) -> list[Caution]:
        """Return what a reader must know first."""
        return cautions(evaluation.part, self.exposure(evaluation), evaluation.kinship)


def to_json(evaluation: Evaluation, setting: Setting) -> bytes:
    """Encode ``as_dict`` as indented JSON; undefined values are null."""
    encoded = msgspec.json.encode(as_dict(evaluation, setting))
    return msgspec.json.format(encoded, indent=2) + b"\n"


def as_dict(evaluation: Evaluation, setting: Setting) -> dict[str, Any]:
    """Everything found, as JSON types; every metric is ``{"value", "low", "high"}``."""
    whole, *subsets = evaluation.measured
    kin = evaluation.kinship
    return {
        "tumorlens": __version__,
        "notice": RESEARCH_NOTICE,
        "command": setting.command,
        **_provenance(evaluation, setting),
        "n": whole.images,
        "n_groups": whole.groups,
        "n_with_training_twin": int(kin.twin.sum()),
        "n_of_training_groups": int(kin.group.sum()),
        "interval": {
            "level": resampling.LEVEL,
            "method": "cluster bootstrap over groups, percentile",
            "resamples": evaluation.sampling.resamples,
            "seed": evaluation.sampling.seed,
        },
        "classes": list(CLASSES),
        "metrics": nested(whole.estimates),
        "confusion_matrix": metrics.confusion_matrix(
            evaluation.labels, evaluation.predicted
        ).tolist(),
        "subsets": {measured.subset.name: _subset(measured) for measured in subsets},
        "controls": {control.name: _control(control) for control in evaluation.controls},
        "paper": _paper(setting.protocol(evaluation)),
        "definitions": dict(metrics.DEFINITIONS),
    }


def nested(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    """Turn ``metric.class`` keys into ``{"per_class": {class: {metric: ...}}}``."""
    overall = {name: rounded(estimates[name]) for name in metrics.OVERALL}
    per_class = {
        name: {metric: rounded(estimates[f"{metric}.{name}"]) for metric in metrics.PER_CLASS}
        for name in CLASSES
    }
    return {**overall, "per_class": per_class}


def predictions_csv(evaluation: Evaluation) -> bytes:
    """One row an image: path, sha256, group, label, predicted, and the four probabilities."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("path", "sha256", "group", "label", "predicted", *CLASSES))
    answers = zip(
        evaluation.records, evaluation.groups, evaluation.predicted, evaluation.probabilities,
        strict=True,
    )  # fmt: skip
    for record, group, answer, row in answers:
        shares = (f"{share:.{_DIGITS}f}" for share in row)
        writer.writerow((record.path, record.sha256, group, record.label, CLASSES[answer], *shares))
    return out.getvalue().encode("utf-8")


def _provenance(evaluation: Evaluation, setting: Setting) -> dict[str, Any]:
    protocol, seen = setting.protocol(evaluation), setting.exposure(evaluation)
    found = setting.cautions(evaluation)
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
        "quotable": not any(caution.severe for caution in found),
        "trained_on_other_split": seen.other_split,
        "trained_on": {
            "split_name": seen.split_name,
            "split_sha256": seen.split_sha256,
            "images_scored_here": seen.images,
            "groups_scored_here": seen.groups,
        },
        "cautions": [caution.text for caution in found],
    }


def _subset(measured: Measured) -> dict[str, Any]:
    return {
        "description": measured.subset.description,
        "n": measured.images,
        "n_groups": measured.groups,
        "metrics": nested(measured.estimates),
    }


def _control(control: Control) -> dict[str, Any]:
    whole, *subsets = control.accuracy.items()
    return {
        "description": control.description,
        "accuracy": rounded(whole[1]),
        "subsets": {name: {"accuracy": rounded(estimate)} for name, estimate in subsets},
    }


def _paper(protocol: Protocol) -> dict[str, Any]:
    return {
        **dataclasses.asdict(PAPER),
        "protocol": "folder",
        "comparable": protocol.comparable,
        "comparison": protocol.comparison,
    }

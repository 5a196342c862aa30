"""Compare several bundles on the same images: metrics of each, paired differences to the first.

Overlapping intervals do not mean that two bundles are equally good. Both answer the same images, so
the difference on each resample of patients is used. McNemar's exact test (1947) considers the
images for which exactly one bundle is correct. It assumes independent images, but slices of one
patient are not independent, so the interval of the difference is more reliable.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from tumorlens import __version__
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import Split
from tumorlens.errors import EvaluationError
from tumorlens.evaluation import evaluator, metrics, resampling, selective
from tumorlens.evaluation.evaluator import Evaluation
from tumorlens.evaluation.folds import EvaluationPlan, Fold
from tumorlens.evaluation.resampling import Estimate, Sampling, rounded
from tumorlens.inference.classifier import Classifier
from tumorlens.labels import RESEARCH_NOTICE
from tumorlens.progress import Progress, part_of

COMPARED: Final = (
    "accuracy", "macro_f1", "log_loss", "missed_tumor_rate", "false_alarm_rate",
    "expected_calibration_error",
)  # fmt: skip
"""Metrics that are compared."""
_COLUMNS: Final = [metrics.NAMES.index(name) for name in COMPARED]


@dataclasses.dataclass(frozen=True, slots=True)
class ComparedNetwork:
    """One bundle and its evaluation."""

    name: str
    evaluation: Evaluation


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """One bundle against the first, on the same images."""

    name: str
    reference: str
    estimates: Mapping[str, Estimate]
    """This bundle's metric less that of the reference, keyed by ``COMPARED``."""
    only_right: int
    """Images for which this bundle is correct and the reference is not."""
    only_reference_right: int
    p_value: float
    """p-value of McNemar's exact test, two-sided; not corrected for multiple comparisons."""


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """All bundles on one part of one split, the reference first."""

    networks: tuple[ComparedNetwork, ...]
    differences: tuple[Difference, ...]
    """One for each bundle but the first."""
    command: str

    @property
    def first(self) -> ComparedNetwork:
        """The reference."""
        return self.networks[0]


def compare(
    classifiers: Mapping[str, Classifier],
    manifest: Manifest,
    split: Split,
    *,
    part: str,
    sampling: Sampling = resampling.DEFAULT,
    command: str = "",
    progress: Progress | None = None,
) -> Comparison:
    """Score each of ``classifiers``, keyed by the name to show, on the images in ``part``.

    Raises ``EvaluationError`` if there are fewer than two, or their classes differ.
    """
    _require_same_classes(classifiers)
    parts = tuple(split.parts(manifest))
    count = parts.count(part)
    networks = []
    for done, (name, classifier) in enumerate(classifiers.items()):
        report = part_of(progress, done * count, len(classifiers) * count)
        evaluation = evaluator.evaluate(
            EvaluationPlan(split, (Fold(classifier, parts),)), manifest, part=part,
            with_controls=False, sampling=sampling, progress=report,
        )  # fmt: skip
        networks.append(ComparedNetwork(name, evaluation))
    first, *others = networks
    return Comparison(
        tuple(networks), tuple(_difference(network, first, sampling) for network in others), command
    )


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Exact two-sided p-value for correctness (N,) of two classifiers of the same images.

    1 if they are correct for the same images.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    apart = only_first + only_second
    return float(binomtest(only_first, apart, 0.5).pvalue) if apart else 1.0


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """JSON types; every metric is ``{"value", "low", "high"}``."""
    evaluation = comparison.first.evaluation
    split = evaluation.plan.split.info
    words = metrics.definitions(evaluation.classes)
    return {
        "tumorlens": __version__,
        "notice": RESEARCH_NOTICE,
        "command": comparison.command,
        "split": {"name": split.name, "sha256": split.sha256},
        "part": evaluation.part,
        "data_sha256": evaluation.data_sha256,
        "n": len(evaluation.records),
        "n_groups": len(set(evaluation.groups)),
        "interval": resampling.interval_facts(evaluation.sampling),
        "bundles": [_network(network) for network in comparison.networks],
        "differences": [_difference_dict(difference) for difference in comparison.differences],
        "definitions": {name: text for name, text in words.items() if name in COMPARED},
    }


def _require_same_classes(classifiers: Mapping[str, Classifier]) -> None:
    if len(classifiers) < 2:
        raise EvaluationError("a comparison needs at least two bundles")
    (first, classes), *others = (
        (name, classifier.bundle.info.classes.names) for name, classifier in classifiers.items()
    )
    for name, own in others:
        if set(own) != set(classes):  # each is scored with its own order
            raise EvaluationError(
                f"bundles {first} and {name} have different classes, so they cannot be "
                f"compared: {', '.join(classes)}; and {', '.join(own)}"
            )


def _difference(network: ComparedNetwork, first: ComparedNetwork, sampling: Sampling) -> Difference:
    own, reference = network.evaluation, first.evaluation

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        pair = [
            metrics.measure(
                evaluation.labels, evaluation.probabilities, weights, evaluation.classes
            )[:, _COLUMNS]
            for evaluation in (own, reference)
        ]
        return pair[0] - pair[1]

    return Difference(
        network.name,
        first.name,
        resampling.named(COMPARED, statistic, own.groups, sampling),
        int((own.correct & ~reference.correct).sum()),
        int((reference.correct & ~own.correct).sum()),
        mcnemar(own.correct, reference.correct),
    )


def _network(network: ComparedNetwork) -> dict[str, Any]:
    evaluation = network.evaluation
    info = evaluation.bundle.info
    return {
        "name": network.name,
        "version": info.version,
        "model_sha256": evaluation.bundle.sha256,
        "parameters": info.network.parameters,
        "metrics": {name: rounded(evaluation.estimates[name]) for name in COMPARED},
        "selective": selective.as_dict(evaluation.selective),
        "quotable": evaluation.quotable,
        "trained_on": evaluation.training_overlap.facts(),
        "warnings": [warning.text for warning in evaluation.warnings],
    }


def _difference_dict(difference: Difference) -> dict[str, Any]:
    return {
        "name": difference.name,
        "reference": difference.reference,
        "metrics": {name: rounded(estimate) for name, estimate in difference.estimates.items()},
        "only_right": difference.only_right,
        "only_reference_right": difference.only_reference_right,
        "mcnemar_p": float(f"{difference.p_value:.6g}"),
    }


def unique_names(given: Sequence[str], names: Sequence[str]) -> list[str]:
    """The name to show for each bundle: with the argument if several have the same name."""
    return [
        name if names.count(name) == 1 else f"{name} ({argument})"
        for argument, name in zip(given, names, strict=True)
    ]

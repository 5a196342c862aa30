"""Rates for each fold, source, sequence and plane, which an average would hide."""

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import compress
from statistics import stdev
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.datasets.manifest import Record
from tumorlens.evaluation import abstention, metrics, resampling
from tumorlens.evaluation.abstention import AbstentionOutcome
from tumorlens.evaluation.resampling import Estimate, Sampling
from tumorlens.inference.decision import Decisions
from tumorlens.labels import BRAIN_TUMORS, ClassSet

FOLD: Final = "fold"
UNKNOWN: Final = "not known"
TITLES: Final[Mapping[str, str]] = {
    FOLD: "Fold",
    "source": "Source",
    "family": "Family of sources",
    "sequence": "Sequence",
    "plane": "Plane",
    "skull_stripped": "Skull",
}
_SKULL: Final = {"1": "removed", "0": "shown"}


@dataclasses.dataclass(frozen=True, slots=True)
class Answered:
    """N images and their answers."""

    labels: NDArray[np.int64]
    """(N,) the truth, as indices of ``ClassSet.answerable``."""
    predicted: NDArray[np.int64]
    """(N,) the most probable class."""
    decided: Decisions
    """The decisions at the thresholds of the image's bundle."""
    groups: Sequence[str]
    classes: ClassSet = BRAIN_TUMORS

    def where(self, member: NDArray[np.bool_]) -> "Answered":
        """The images for which ``member`` (N,) is true."""
        return Answered(
            self.labels[member],
            self.predicted[member],
            self.decided.where(member),
            list(compress(self.groups, member)),
            self.classes,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """The images that have one value."""

    value: str
    images: int
    groups: int
    tumors: int
    """Images of a tumour among them."""
    estimates: Mapping[str, Estimate]
    """Keyed by ``metrics.RATES``."""
    abstention: AbstentionOutcome
    """Rates at the thresholds of the bundles."""


@dataclasses.dataclass(frozen=True, slots=True)
class Breakdown:
    """One field of the records, and the rates for each of its values, most images first."""

    field: str
    rows: tuple[Row, ...]
    means: Mapping[str, Estimate] = dataclasses.field(default_factory=dict)
    """For folds: the unweighted mean of the rows, keyed by ``metrics.RATES``, with intervals over
    the groups of all folds."""

    @property
    def title(self) -> str:
        """Name of the field, for people."""
        return TITLES[self.field]

    @property
    def accuracies(self) -> list[float]:
        """The accuracy of each row."""
        return [row.estimates["accuracy"].value for row in self.rows]

    @property
    def deviation(self) -> float:
        """Sample standard deviation of the rows' accuracies; 0 for one row."""
        return stdev(self.accuracies) if len(self.rows) > 1 else 0.0


def breakdowns(
    records: Sequence[Record],
    folds: Sequence[str],
    answered: Answered,
    sampling: Sampling,
) -> tuple[Breakdown, ...]:
    """Break N answers down by fold and by each field in which the records differ."""
    columns = {
        FOLD: list(folds),
        "source": [r.source for r in records],
        "family": [r.family or r.source for r in records],
        "sequence": [r.sequence for r in records],
        "plane": [r.plane for r in records],
        "skull_stripped": [_SKULL.get(r.skull_stripped, "") for r in records],
    }
    if columns["family"] == columns["source"]:
        del columns["family"]
    return tuple(
        Breakdown(
            field,
            _rows(values, answered, sampling),
            _means(values, answered, sampling) if field == FOLD else {},
        )
        for field, values in columns.items()
        if len(set(values)) > 1
    )


def _means(values: Sequence[str], answered: Answered, sampling: Sampling) -> dict[str, Estimate]:
    """The mean over ``values`` (N,) of each rate."""
    names = np.array(values)
    members = [names == value for value in sorted(set(values))]

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        rates = [
            metrics.rates(
                answered.labels[member],
                answered.predicted[member],
                weights[:, member],
                answered.classes,
            )
            for member in members
        ]
        return np.asarray(np.mean(rates, axis=0))

    return resampling.named(metrics.RATES, statistic, answered.groups, sampling)


def as_dict(breakdown: Breakdown) -> dict[str, Any]:
    """JSON types: values in the order of the rows."""
    return {
        row.value: {
            "n": row.images,
            "n_groups": row.groups,
            "n_tumors": row.tumors,
            **{name: resampling.rounded(row.estimates[name]) for name in metrics.RATES},
            "abstention": abstention.as_dict(row.abstention),
        }
        for row in breakdown.rows
    }


def _rows(values: Sequence[str], answered: Answered, sampling: Sampling) -> tuple[Row, ...]:
    column = np.array(values)
    rows = [
        _row(value or UNKNOWN, answered.where(column == value), sampling)
        for value in sorted(set(values))
    ]
    in_order = any(value.startswith("fold ") for value in values)
    return tuple(rows if in_order else sorted(rows, key=lambda row: -row.images))


def _row(value: str, answered: Answered, sampling: Sampling) -> Row:
    estimates = resampling.named(
        metrics.RATES,
        lambda weights: metrics.rates(
            answered.labels, answered.predicted, weights, answered.classes
        ),
        answered.groups,
        sampling,
    )
    correct = metrics.correct_table(answered.classes)[answered.labels]
    asked = answered.classes.no_finding_index
    return Row(
        value,
        len(answered.labels),
        len(set(answered.groups)),
        len(answered.labels) if asked is None else int(np.count_nonzero(answered.labels != asked)),
        estimates,
        abstention.outcome_of(answered.decided, correct, answered.classes),
    )

"""The same rates for each fold, source, sequence and plane: an average hides where it fails."""

import dataclasses
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.datasets.manifest import Record
from tumorlens.evaluation import metrics, resampling
from tumorlens.evaluation.resampling import Estimate, Sampling
from tumorlens.labels import NO_TUMOR_INDEX

ROUND: Final = "round"
UNKNOWN: Final = "not known"
TITLES: Final[Mapping[str, str]] = {
    ROUND: "Round",
    "source": "Source",
    "family": "Family of sources",
    "sequence": "Sequence",
    "plane": "Plane",
    "skull_stripped": "Skull",
}
_SKULL: Final = {"1": "removed", "0": "shown"}


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


@dataclasses.dataclass(frozen=True, slots=True)
class Breakdown:
    """One field of the records, and the rates for each of its values, most images first."""

    field: str
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """The field for people."""
        return TITLES[self.field]

    @property
    def accuracies(self) -> list[float]:
        """Of each row."""
        return [row.estimates["accuracy"].value for row in self.rows]

    @property
    def mean(self) -> float:
        """Unweighted mean of the rows' accuracies."""
        return fmean(self.accuracies)

    @property
    def deviation(self) -> float:
        """Sample standard deviation of the rows' accuracies; of one row, 0."""
        return stdev(self.accuracies) if len(self.rows) > 1 else 0.0


def breakdowns(
    records: Sequence[Record],
    rounds: Sequence[str],
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    groups: Sequence[str],
    sampling: Sampling,
) -> tuple[Breakdown, ...]:
    """Break N answers down by round and by each field in which the records differ."""
    columns = {
        ROUND: list(rounds),
        "source": [r.source for r in records],
        "family": [r.family or r.source for r in records],
        "sequence": [r.sequence for r in records],
        "plane": [r.plane for r in records],
        "skull_stripped": [_SKULL.get(r.skull_stripped, "") for r in records],
    }
    if columns["family"] == columns["source"]:
        del columns["family"]
    return tuple(
        Breakdown(field, _rows(values, labels, predicted, groups, sampling))
        for field, values in columns.items()
        if len(set(values)) > 1
    )


def as_dict(breakdown: Breakdown) -> dict[str, Any]:
    """JSON types: values in the order of the rows."""
    return {
        row.value: {
            "n": row.images,
            "n_groups": row.groups,
            "n_tumors": row.tumors,
            **{name: resampling.rounded(row.estimates[name]) for name in metrics.RATES},
        }
        for row in breakdown.rows
    }


def _rows(
    values: Sequence[str],
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    groups: Sequence[str],
    sampling: Sampling,
) -> tuple[Row, ...]:
    column, names = np.array(values), np.array(groups)
    rows = [
        _row(value or UNKNOWN, column == value, labels, predicted, names, sampling)
        for value in sorted(set(values))
    ]
    in_order = any(value.startswith("fold ") for value in values)
    return tuple(rows if in_order else sorted(rows, key=lambda row: -row.images))


def _row(
    value: str,
    member: NDArray[np.bool_],
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    groups: NDArray[np.str_],
    sampling: Sampling,
) -> Row:
    truth, answer, names = labels[member], predicted[member], groups[member].tolist()
    estimates = resampling.bootstrap(lambda w: metrics.rates(truth, answer, w), names, sampling)
    return Row(
        value,
        int(member.sum()),
        len(set(names)),
        int(np.count_nonzero(truth != NO_TUMOR_INDEX)),
        dict(zip(metrics.RATES, estimates, strict=True)),
    )

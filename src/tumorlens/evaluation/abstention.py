"""Choose from which probability an answer is given, on images that trained nothing."""

import dataclasses
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import DecisionRule
from tumorlens.inference.decision import is_confident
from tumorlens.labels import NO_TUMOR_INDEX

MISSED_TARGET: Final = 0.005
"""Largest share of tumour images that may be answered "no tumour"."""
ERROR_TARGET: Final = 0.03
"""Largest share of wrong answers among the answers of a tumour class."""
SHIFTED_MISSED_TARGET: Final = 0.1
"""As ``MISSED_TARGET``, of tumours of a source that took no part in training."""
SHIFTED_HEALTHY_TARGET: Final = 0.9
"""Least share of right answers among the answered images without tumour of such a source."""
MAX_THRESHOLD: Final = 0.99
_ROUNDING: Final = 1e-9
"""Nine right answers at a share of 0.9 allow one alarm, whatever binary fractions make of it."""


@dataclasses.dataclass(frozen=True, slots=True)
class AbstentionOutcome:
    """What a rule does to N images."""

    coverage: float
    """Share of images that are answered."""
    accuracy: float
    """Share of right answers among them; NaN where nothing is answered."""
    missed_tumor_rate: float
    """Share of all tumour images answered "no tumour"; NaN where there are none."""
    false_alarm_rate: float
    """Share of all images without tumour answered with one; NaN where there are none."""
    healthy_accuracy: float
    """Share of right answers among the answered images without tumour; NaN where none is."""


def fit_thresholds(
    probabilities: NDArray[np.float64],
    correct: NDArray[np.bool_],
    *,
    missed: float = MISSED_TARGET,
    error: float = ERROR_TARGET,
) -> DecisionRule:
    """Return the lowest thresholds that keep both targets on these images.

    ``probabilities`` (N, 4); ``correct`` (N, 4) says which classes are correct for each image,
    several where only "some tumour" is known. "No tumour" is answered from the lowest probability
    at which at most ``missed`` of the tumour images still are; a tumour class from the lowest at
    which at most ``error`` of its answers are wrong. No threshold is above ``MAX_THRESHOLD``.
    """
    answered, top = probabilities.argmax(axis=1), probabilities.max(axis=1)
    ill = ~correct[:, NO_TUMOR_INDEX]
    wrong = ~correct[np.arange(len(correct)), answered]
    said_healthy = answered == NO_TUMOR_INDEX
    return DecisionRule(
        tumor_threshold=_least_wrong(top[~said_healthy], wrong[~said_healthy], error),
        notumor_threshold=_missing_few(top, said_healthy, ill, missed),
    )


def fit_shifted_thresholds(
    probabilities: NDArray[np.float64],
    correct: NDArray[np.bool_],
    *,
    missed: float = SHIFTED_MISSED_TARGET,
    healthy: float = SHIFTED_HEALTHY_TARGET,
) -> DecisionRule:
    """Return the lowest thresholds that keep both targets on images of held-out sources.

    Arguments as of ``fit_thresholds``. "No tumour" as there; a tumour class is answered from the
    lowest probability at which at least ``healthy`` of the answers about images without tumour are
    correct. Which kind of tumour is not asked: no threshold helps there: the wrong kind is
    named with as much confidence as the right one.
    """
    answered, top = probabilities.argmax(axis=1), probabilities.max(axis=1)
    ill = ~correct[:, NO_TUMOR_INDEX]
    said_healthy = answered == NO_TUMOR_INDEX
    notumor = _missing_few(top, said_healthy, ill, missed)
    told_right = int((said_healthy & ~ill & (top >= notumor)).sum())
    budget = int(told_right * (1 - healthy) / healthy + _ROUNDING)
    return DecisionRule(
        tumor_threshold=_above(top[~said_healthy & ~ill], budget), notumor_threshold=notumor
    )


def stricter(one: DecisionRule, other: DecisionRule) -> DecisionRule:
    """The higher of each threshold: keeps the targets of both."""
    return DecisionRule(
        tumor_threshold=max(one.tumor_threshold, other.tumor_threshold),
        notumor_threshold=max(one.notumor_threshold, other.notumor_threshold),
    )


def outcome(
    probabilities: NDArray[np.float64], correct: NDArray[np.bool_], rule: DecisionRule
) -> AbstentionOutcome:
    """What ``rule`` does to these images; arguments as of ``fit_thresholds``."""
    return outcome_of(probabilities.argmax(axis=1), is_confident(probabilities, rule), correct)


def outcome_of(
    answered: NDArray[np.int64], confident: NDArray[np.bool_], correct: NDArray[np.bool_]
) -> AbstentionOutcome:
    """What holding back does: most probable class (N,), whether it is given (N,), right (N, 4)."""
    hit = correct[np.arange(len(correct)), answered]
    healthy = correct[:, NO_TUMOR_INDEX]
    said_healthy = answered == NO_TUMOR_INDEX
    return AbstentionOutcome(
        float(confident.mean()),
        _share(hit[confident]),
        _share((said_healthy & confident)[~healthy]),
        _share((~said_healthy & confident)[healthy]),
        _share(hit[healthy & confident]),
    )


def as_dict(found: AbstentionOutcome) -> dict[str, float | None]:
    """An outcome as JSON types; undefined is null."""
    return {k: None if v != v else round(v, 6) for k, v in dataclasses.asdict(found).items()}


def _share(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _missing_few(
    top: NDArray[np.float64], said_healthy: NDArray[np.bool_], ill: NDArray[np.bool_], missed: float
) -> float:
    """The lowest threshold at which at most ``missed`` of the tumours are called "no tumour"."""
    return _above(top[said_healthy & ill], int(missed * ill.sum()))


def _above(values: NDArray[np.float64], budget: int) -> float:
    """The lowest threshold that at most ``budget`` of ``values`` pass."""
    if len(values) <= budget:
        return 0.0
    ranked = np.sort(values)[::-1]
    return min(MAX_THRESHOLD, float(np.nextafter(ranked[budget], 1.0)))


def _least_wrong(top: NDArray[np.float64], wrong: NDArray[np.bool_], error: float) -> float:
    """The lowest of ``top`` from which on at most ``error`` of the answers are wrong."""
    if not len(top):
        return 0.0
    order = np.argsort(-top, kind="stable")
    rate = np.cumsum(wrong[order]) / np.arange(1, len(top) + 1)
    kept = np.flatnonzero(rate <= error)
    if not len(kept):
        return MAX_THRESHOLD
    last = int(kept[-1])
    return 0.0 if last == len(top) - 1 else min(MAX_THRESHOLD, float(top[order[last]]))

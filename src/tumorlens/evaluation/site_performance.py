"""Performance of a bundle on labelled cases of a site, before and after calibration."""

import dataclasses
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import BundleInfo, ConformalThresholds
from tumorlens.errors import EvaluationError
from tumorlens.evaluation.abstention import is_healthy
from tumorlens.evaluation.conformal import sets_of
from tumorlens.evaluation.labelled_cases import LabelledCases
from tumorlens.evaluation.site_calibration import fit_site
from tumorlens.evaluation.small_samples import patient_weights
from tumorlens.inference.decision import decisions_by_sequence
from tumorlens.inference.postprocessing import softmax

Floats = NDArray[np.float64]

FOLDS: Final = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Performance:
    """Shares in which each patient counts once. NaN if undefined."""

    classified: float
    """Images whose kind is named, or that are reported as no tumour."""
    answered: float
    """Images for which a tumour or no tumour is reported."""
    accuracy: float
    """Correct answers among the classified images."""
    missed_tumor_rate: float
    """Tumour images that are reported as no tumour."""
    false_alarm_rate: float
    """Other images that are reported as a tumour."""
    coverage: float
    """Prediction sets that contain a correct class; answers without a set are not counted."""
    coverage_of_findings: float
    """The same for images with a finding, such as a tumour."""
    mean_size: float
    """Mean number of classes in a set."""


NAMES: Final = tuple(field.name for field in dataclasses.fields(Performance))


def performance(info: BundleInfo, cases: LabelledCases) -> Performance:
    """Measure thresholds and sets of ``info`` on ``cases``, without the gate."""
    return _mean(_table(info, cases), patient_weights(cases.groups))


def cross_validated(info: BundleInfo, cases: LabelledCases, coverage: float) -> Performance | None:
    """Calibrate to four fifths of the patients, measure on the others, in turn.

    So the measured patients were not used for fitting, which has a fifth fewer patients. None if
    one of the parts is too small to calibrate to.
    """
    patients = np.random.default_rng(0).permutation(sorted(set(cases.groups)))
    fold_of = {name: position % FOLDS for position, name in enumerate(patients.tolist())}
    folds = np.array([fold_of[group] for group in cases.groups])
    table = np.full((len(folds), len(NAMES)), np.nan)
    for fold in np.unique(folds):
        held = folds == fold
        try:
            fit = fit_site(info, cases.where(~held), coverage)
        except EvaluationError:
            return None
        table[held] = _table(fit.applied(info), cases.where(held))
    return _mean(table, patient_weights(cases.groups))


def _mean(table: Floats, weights: Floats) -> Performance:
    """Mean of each column over the images for which it is defined."""
    means = {}
    for name, column in zip(NAMES, table.T, strict=True):
        defined = np.isfinite(column)
        total = weights[defined].sum()
        means[name] = float((column * weights)[defined].sum() / total) if total else np.nan
    return Performance(**means)


def _table(info: BundleInfo, cases: LabelledCases) -> Floats:
    """(N, K): each column of ``NAMES`` for each image; NaN if it is not defined."""
    probabilities = softmax(cases.logits, info.temperature)
    decided = decisions_by_sequence(probabilities, info.decision, cases.sequences, info.classes)
    classified = decided.label >= 0
    is_correct = cases.correct[np.arange(len(classified)), decided.label]
    hit, size = _sets(info.prediction_sets, probabilities, decided.names, cases.correct)
    healthy = is_healthy(cases.correct, info.classes)
    missed = np.where(healthy, np.nan, decided.presence == 0)
    alarms = np.where(healthy, decided.presence == 1, np.nan)
    accuracy = np.where(classified, is_correct, np.nan)
    of_findings = np.where(healthy, np.nan, hit)
    answered = decided.presence >= 0
    columns = [classified, answered, accuracy, missed, alarms, hit, of_findings, size]
    return np.column_stack(columns).astype(np.float64)


def _sets(
    rule: ConformalThresholds | None,
    probabilities: Floats,
    decided: NDArray[np.str_],
    correct: NDArray[np.bool_],
) -> tuple[Floats, Floats]:
    """(N,) whether each set contains a correct class, and its size; NaN without a set."""
    sets = np.zeros_like(correct) if rule is None else sets_of(probabilities, decided, rule)
    given = sets.any(axis=1)
    hit = np.where(given, (sets & correct).any(axis=1), np.nan)
    return hit, np.where(given, sets.sum(axis=1), np.nan)

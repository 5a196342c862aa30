"""Ways to calibrate probabilities and to make prediction sets, compared on validation patients.

    python -m experiments.calibration --data nickparvar.csv --split clean --output calibration.json

No test image is read. Each way is fitted on some validation patients and scored on the others:
calibration in five folds, repeated many times; prediction sets by drawing 60% of the patients,
repeated many times, because coverage varies between groups of patients.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from benchmarks import options as option_parser
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import binomtest
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

from experiments import shared
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.evaluation import metrics
from tumorlens.evaluation.calibration import fit_temperature
from tumorlens.evaluation.conformal import COVERAGE, fit_sets
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.conformal import prediction_sets
from tumorlens.inference.postprocessing import softmax
from tumorlens.labels import CLASSES

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Map = Callable[[Floats], Floats]
"""From logits (N, 4) to probabilities, or from probabilities to sets, as 0 and 1."""
Fit = Callable[[Floats, Labels], Map]
_SHOWN: Final = ("expected_calibration_error", "log_loss", "brier_score", "accuracy")
_CALIBRATION_SHARE: Final = 0.6
_RAPS: Final = 0.1, 1
"""Penalty for each further class, and the number of classes without one."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison."""
    parser = option_parser.parser(__doc__, data="manifest", bundle=True, cache=True)
    parser.add_argument("--repeats", type=int, default=10, help="of the five folds")
    parser.add_argument("--draws", type=int, default=300, help="of patients, for the sets")
    options = parser.parse_args(arguments)
    classifier = Classifier.load(options.bundle, 1, answer_all=True)
    manifest = Manifest.load(options.data)
    validation = shared.images_of(manifest, options.split, splits.VALIDATION)
    chosen = [i for i in validation if manifest.records[i].label in CLASSES]
    records = [manifest.records[i] for i in chosen]
    labels = np.array([CLASSES.index(record.label) for record in records])
    groups = np.array([record.unit for record in records])
    logits = shared.logits_of(classifier, manifest, chosen, options.cache)
    scaling = [_calibration(name, fit, logits, labels, groups, options.repeats)
               for name, fit in SCALINGS.items()]  # fmt: skip
    sets = [_sets(name, fit, logits, labels, groups, options.draws) for name, fit in SETS.items()]
    option_parser.print_rows("calibration, five folds of patients", scaling)
    option_parser.print_rows(f"prediction sets of {COVERAGE:.0%} on other patients", sets)
    result = {
        "benchmark": "calibration",
        "bundle": classifier.bundle.info.name,
        "sha256": classifier.bundle.sha256,
        "split": options.split,
        "part": splits.VALIDATION,
        "n": len(labels),
        "groups": len(set(groups)),
        "groups_by_class": {name: len(set(groups[labels == k])) for k, name in enumerate(CLASSES)},
        "calibration": scaling,
        "prediction_sets": sets,
    }
    option_parser.save(options.output, result)


def temperature(logits: Floats, labels: Labels) -> Map:
    """One factor for all logits."""
    factor = fit_temperature(logits, labels)
    return lambda other: softmax(other, factor)


def biased(logits: Floats, labels: Labels, factors: int) -> Map:
    """A bias for each class, and one factor for all (1) or one for each (4: vector scaling)."""

    def scale(rows: Floats, parameters: Floats) -> Floats:
        return rows * np.exp(parameters[:factors]) + parameters[factors:]

    def loss(parameters: Floats) -> float:
        scaled = scale(logits, parameters)
        return float(np.mean(logsumexp(scaled, axis=1) - scaled[np.arange(len(labels)), labels]))

    fitted = minimize(loss, np.zeros(factors + len(CLASSES)), method="L-BFGS-B").x
    return lambda other: softmax(scale(other, fitted))


def class_by_class(logits: Floats, labels: Labels, learn: Fit) -> Map:
    """After the temperature, a curve for each class against the rest; rows then sum to 1 again."""
    tempered = temperature(logits, labels)
    probabilities = tempered(logits)
    curves = [
        learn(probabilities[:, k], (labels == k).astype(np.int64)) for k in range(len(CLASSES))
    ]

    def calibrated(other: Floats) -> Floats:
        rows = tempered(other)
        curved = np.column_stack([curve(rows[:, k]) for k, curve in enumerate(curves)])
        normed: Floats = curved / curved.sum(axis=1, keepdims=True)
        return normed

    return calibrated


def isotonic(probabilities: Floats, truth: Labels) -> Map:
    """A rising step function."""
    low = 1e-3  # a probability of 0 would have an infinite loss
    fitted = IsotonicRegression(y_min=low, y_max=1 - low, out_of_bounds="clip").fit(
        probabilities, truth
    )
    return lambda other: np.asarray(fitted.predict(other), dtype=np.float64)


def beta(probabilities: Floats, truth: Labels) -> Map:
    """Beta calibration (Kull, Silva Filho and Flach, AISTATS 2017)."""

    def features(rows: Floats) -> Floats:
        inner = np.clip(rows, 1e-6, 1 - 1e-6)
        return np.column_stack([np.log(inner), -np.log(1 - inner)])

    fitted = LogisticRegression(C=1e3).fit(features(probabilities), truth)
    return lambda other: np.asarray(fitted.predict_proba(features(other))[:, 1], dtype=np.float64)


def by_class(probabilities: Floats, labels: Labels) -> Map:
    """The rule that ships: a threshold for each class."""
    rule = fit_sets(probabilities, labels)
    return lambda other: prediction_sets(other, rule).astype(np.float64)


def pooled(probabilities: Floats, labels: Labels, score: Map) -> Map:
    """One threshold for all classes on a score (lower is likelier), and the likeliest class."""
    own = np.sort(score(probabilities)[np.arange(len(labels)), labels])
    needed = int(np.ceil(round((len(own) + 1) * COVERAGE, 9)))
    threshold = own[needed - 1] if needed <= len(own) else np.inf

    def keep(other: Floats) -> Floats:
        inside = score(other) <= threshold
        inside[np.arange(len(inside)), other.argmax(axis=1)] = True
        return inside.astype(np.float64)

    return keep


def cumulative(probabilities: Floats, penalty: float = 0.0, free: int = 0) -> Floats:
    """APS: the mass of the classes at least as likely (Romano, Sesia and Candes, NeurIPS 2020).

    With a penalty for each class beyond ``free``: RAPS (Angelopoulos et al., ICLR 2021). Neither
    is randomised: an answer for a patient must not depend on chance.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    mass = np.cumsum(np.take_along_axis(probabilities, order, axis=1), axis=1)
    mass += penalty * np.clip(np.arange(1, probabilities.shape[1] + 1) - free, 0, None)
    scores = np.zeros_like(probabilities)
    np.put_along_axis(scores, order, mass, axis=1)
    return scores


SCALINGS: Final[dict[str, Fit]] = {
    "none": lambda _, __: softmax,
    "temperature": temperature,
    "temperature and bias": lambda x, y: biased(x, y, 1),
    "vector scaling": lambda x, y: biased(x, y, len(CLASSES)),
    "isotonic": lambda x, y: class_by_class(x, y, isotonic),
    "beta": lambda x, y: class_by_class(x, y, beta),
}
SETS: Final[dict[str, Fit]] = {
    "LAC": lambda x, y: pooled(x, y, lambda rows: 1 - rows),
    "LAC by class": by_class,
    "APS": lambda x, y: pooled(x, y, cumulative),
    "RAPS": lambda x, y: pooled(x, y, lambda rows: cumulative(rows, *_RAPS)),
}


def _calibration(
    name: str, fit: Fit, logits: Floats, labels: Labels, groups: NDArray[np.str_], repeats: int
) -> dict[str, Any]:
    rows = []
    for seed in range(repeats):
        probabilities = np.zeros_like(logits)
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        for fitted, held in folds.split(logits, labels, groups):
            probabilities[held] = fit(logits[fitted], labels[fitted])(logits[held])
        measured = dict(zip(metrics.NAMES, metrics.measure(labels, probabilities)[0], strict=True))
        rows.append([measured[metric] for metric in _SHOWN])
    mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0)
    values = {metric: round(float(value), 4) for metric, value in zip(_SHOWN, mean, strict=True)}
    return {"name": name, **values, "calibration_error_sd": round(float(spread[0]), 4)}


def _sets(
    name: str, fit: Fit, logits: Floats, labels: Labels, groups: NDArray[np.str_], draws: int
) -> dict[str, Any]:
    hits, sizes, classes = [], [], []
    drawn = GroupShuffleSplit(draws, train_size=_CALIBRATION_SHARE, random_state=0)
    inside = []
    for fitted, held in drawn.split(logits, labels, groups):
        tempered = temperature(logits[fitted], labels[fitted])
        sets = fit(tempered(logits[fitted]), labels[fitted])(tempered(logits[held]))
        hit = sets[np.arange(len(held)), labels[held]]
        interval = binomtest(int(hit.sum()), len(hit)).proportion_ci(method="exact")
        inside.append(interval.low <= COVERAGE <= interval.high)
        hits.append(hit.mean())
        sizes.append([sets.sum(axis=1).mean(), (sets.sum(axis=1) == 1).mean()])
        own = [hit[labels[held] == k] for k in range(len(CLASSES))]
        classes.append([class_hits.mean() if len(class_hits) else np.nan for class_hits in own])
    size, single = np.mean(sizes, axis=0)
    by_label = zip(CLASSES, np.nanmean(classes, axis=0), strict=True)
    return {
        "name": name,
        "coverage": round(float(np.mean(hits)), 4),
        "coverage_sd": round(float(np.std(hits)), 4),
        "within_binomial_interval": round(float(np.mean(inside)), 4),
        "mean_size": round(float(size), 4),
        "singletons": round(float(single), 4),
        **{f"coverage_{label}": round(float(value), 4) for label, value in by_label},
    }


if __name__ == "__main__":
    main()

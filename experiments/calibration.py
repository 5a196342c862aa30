"""Ways to mend confidence and to make prediction sets, compared on validation patients.

    python -m experiments.calibration --data nickparvar.csv --split clean --output calibration.json

No test image is read. Each way is fitted on some validation patients and scored on the others:
calibration in five folds, many times over; prediction sets by drawing 60% of the patients, many
times over, for what sets cover on new patients scatters, and that is the point.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from benchmarks import options as shared
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import binomtest
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

from tumorlens import bundle
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.evaluation import metrics
from tumorlens.evaluation.calibration import fit_temperature
from tumorlens.evaluation.conformal import COVERAGE, fit_sets
from tumorlens.evaluation.training_overlap import group_of
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.conformal import prediction_sets
from tumorlens.inference.postprocessing import softmax
from tumorlens.labels import CLASSES
from tumorlens.training import cache

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Map = Callable[[Floats], Floats]
"""From logits (N, 4) to probabilities, or from probabilities to sets, as 0 and 1."""
Fit = Callable[[Floats, Labels], Map]
_SHOWN: Final = ("expected_calibration_error", "log_loss", "brier_score", "accuracy")
_CALIBRATION_SHARE: Final = 0.6
_RAPS: Final = 0.1, 1
"""Penalty for each class beyond how many."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison."""
    parser = shared.parser(__doc__, data="manifest", bundle=True, cache=True)
    parser.add_argument("--repeats", type=int, default=10, help="of the five folds")
    parser.add_argument("--draws", type=int, default=300, help="of patients, for the sets")
    options = parser.parse_args(arguments)
    classifier = Classifier(bundle.load(options.bundle), threads=1, answer_all=True)
    manifest = Manifest.load(options.data)
    parts = splits.load(options.split).parts(manifest)
    pairs = zip(manifest, parts, strict=True)
    chosen = [i for i, (r, p) in enumerate(pairs) if p == splits.VALIDATION and r.label in CLASSES]
    records = [manifest.records[i] for i in chosen]
    labels = np.array([CLASSES.index(record.label) for record in records])
    groups = np.array([group_of(record) for record in records])
    folder = options.cache or cache.default_folder()
    config = classifier.bundle.info.preprocess
    images = cache.cached_images(manifest, chosen, config, folder)
    logits = classifier.logits(images).astype(np.float64)
    scaling = [_calibration(name, fit, logits, labels, groups, options.repeats)
               for name, fit in SCALINGS.items()]  # fmt: skip
    sets = [_sets(name, fit, logits, labels, groups, options.draws) for name, fit in SETS.items()]
    _show("calibration, five folds of patients", scaling)
    _show(f"prediction sets of {COVERAGE:.0%} on patients that fitted nothing", sets)
    if options.output:
        result = {
            "benchmark": "calibration",
            "bundle": classifier.bundle.info.name,
            "sha256": classifier.bundle.sha256,
            "split": options.split,
            "part": splits.VALIDATION,
            "n": len(labels),
            "groups": len(set(groups)),
            "groups_by_class": {
                name: len(set(groups[labels == k])) for k, name in enumerate(CLASSES)
            },
            "calibration": scaling,
            "prediction_sets": sets,
        }
        shared.save(options.output, result)


def temperature(logits: Floats, labels: Labels) -> Map:
    """One factor for all logits."""
    found = fit_temperature(logits, labels)
    return lambda other: softmax(other, found)


def biased(logits: Floats, labels: Labels, factors: int) -> Map:
    """A bias for each class, and one factor for all (1) or one for each (4: vector scaling)."""

    def scale(rows: Floats, parameters: Floats) -> Floats:
        scaled: Floats = rows * np.exp(parameters[:factors]) + parameters[factors:]
        return scaled

    def loss(parameters: Floats) -> float:
        scaled = scale(logits, parameters)
        return float(np.mean(logsumexp(scaled, axis=1) - scaled[np.arange(len(labels)), labels]))

    found = minimize(loss, np.zeros(factors + len(CLASSES)), method="L-BFGS-B").x
    return lambda other: softmax(scale(other, found))


def one_by_one(logits: Floats, labels: Labels, learn: Fit) -> Map:
    """After the temperature a curve for each class against the rest; then rows sum to 1 again."""
    heated = temperature(logits, labels)
    shares = heated(logits)
    curves = [learn(shares[:, k], (labels == k).astype(np.int64)) for k in range(len(CLASSES))]

    def mend(other: Floats) -> Floats:
        rows = heated(other)
        mended = np.column_stack([curve(rows[:, k]) for k, curve in enumerate(curves)])
        normed: Floats = mended / mended.sum(axis=1, keepdims=True)
        return normed

    return mend


def isotonic(shares: Floats, truth: Labels) -> Map:
    """A rising step function."""
    low = 1e-3  # a probability of 0 would have an infinite loss
    found = IsotonicRegression(y_min=low, y_max=1 - low, out_of_bounds="clip").fit(shares, truth)
    return lambda other: np.asarray(found.predict(other), dtype=np.float64)


def beta(shares: Floats, truth: Labels) -> Map:
    """Beta calibration (Kull, Silva Filho and Flach, AISTATS 2017)."""

    def features(rows: Floats) -> Floats:
        inner = np.clip(rows, 1e-6, 1 - 1e-6)
        return np.column_stack([np.log(inner), -np.log(1 - inner)])

    found = LogisticRegression(C=1e3).fit(features(shares), truth)
    return lambda other: np.asarray(found.predict_proba(features(other))[:, 1], dtype=np.float64)


def by_class(shares: Floats, labels: Labels) -> Map:
    """What ships: a bar for each class."""
    rule = fit_sets(shares, labels)
    return lambda other: prediction_sets(other, rule).astype(np.float64)


def pooled(shares: Floats, labels: Labels, score: Map) -> Map:
    """One bar for all classes on a score (the lower, the likelier), and the likeliest class."""
    own = np.sort(score(shares)[np.arange(len(labels)), labels])
    needed = int(np.ceil(round((len(own) + 1) * COVERAGE, 9)))
    bar = own[needed - 1] if needed <= len(own) else np.inf

    def keep(other: Floats) -> Floats:
        kept = score(other) <= bar
        kept[np.arange(len(kept)), other.argmax(axis=1)] = True
        return kept.astype(np.float64)

    return keep


def cumulative(shares: Floats, penalty: float = 0.0, free: int = 0) -> Floats:
    """APS: the mass of the classes at least as likely (Romano, Sesia and Candes, NeurIPS 2020).

    With a penalty for each class beyond ``free``: RAPS (Angelopoulos et al., ICLR 2021). Neither
    is randomised: an answer for a patient must not be drawn by lot.
    """
    order = np.argsort(-shares, axis=1, kind="stable")
    mass = np.cumsum(np.take_along_axis(shares, order, axis=1), axis=1)
    mass += penalty * np.clip(np.arange(1, shares.shape[1] + 1) - free, 0, None)
    scores = np.zeros_like(shares)
    np.put_along_axis(scores, order, mass, axis=1)
    return scores


SCALINGS: Final[dict[str, Fit]] = {
    "none": lambda _, __: softmax,
    "temperature": temperature,
    "temperature and bias": lambda x, y: biased(x, y, 1),
    "vector scaling": lambda x, y: biased(x, y, len(CLASSES)),
    "isotonic": lambda x, y: one_by_one(x, y, isotonic),
    "beta": lambda x, y: one_by_one(x, y, beta),
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
        shares = np.zeros_like(logits)
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        for fitted, held in folds.split(logits, labels, groups):
            shares[held] = fit(logits[fitted], labels[fitted])(logits[held])
        found = dict(zip(metrics.NAMES, metrics.measure(labels, shares)[0], strict=True))
        rows.append([found[metric] for metric in _SHOWN])
    mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0)
    told = {metric: round(float(value), 4) for metric, value in zip(_SHOWN, mean, strict=True)}
    return {"name": name, **told, "calibration_error_sd": round(float(spread[0]), 4)}


def _sets(
    name: str, fit: Fit, logits: Floats, labels: Labels, groups: NDArray[np.str_], draws: int
) -> dict[str, Any]:
    hits, sizes, classes = [], [], []
    drawn = GroupShuffleSplit(draws, train_size=_CALIBRATION_SHARE, random_state=0)
    inside = []
    for fitted, held in drawn.split(logits, labels, groups):
        heated = temperature(logits[fitted], labels[fitted])
        kept = fit(heated(logits[fitted]), labels[fitted])(heated(logits[held]))
        hit = kept[np.arange(len(held)), labels[held]]
        interval = binomtest(int(hit.sum()), len(hit)).proportion_ci(method="exact")
        inside.append(interval.low <= COVERAGE <= interval.high)
        hits.append(hit.mean())
        sizes.append([kept.sum(axis=1).mean(), (kept.sum(axis=1) == 1).mean()])
        own = [hit[labels[held] == k] for k in range(len(CLASSES))]
        classes.append([one.mean() if len(one) else np.nan for one in own])
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


def _show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    table = Table(title=title)
    for column in rows[0]:
        table.add_column(column.replace("_", " "), justify="left" if column == "name" else "right")
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()

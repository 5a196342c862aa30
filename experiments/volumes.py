"""Rules that combine the answers of slices to one for the volume, compared on validation patients.

    python -m experiments.volumes --data nickparvar.csv --split clean --output volumes.json

No available public set has whole volumes of the four classes, so they are composed: some
neighbouring slices of one patient of Cheng et al. among slices of a few groups of healthy heads,
and healthy heads alone; 18 to 30 slices, 5.5 mm apart. All are of the split's validation part; no
test image is read. Such volumes have no ends of a real head, and no thin slices.

Each rule's probabilities are compared with the bundle's thresholds, as a real volume's are. The
best rule reports the most correct answers, with at most 3% of the reported answers wrong and 1% of
the tumours missed.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from benchmarks import options as option_parser
from numpy.typing import NDArray

from experiments import shared
from tumorlens.bundle import BundleInfo
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.inference.aggregation import aggregate, smooth
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.conformal import prediction_sets
from tumorlens.inference.decision import decisions
from tumorlens.inference.postprocessing import softmax
from tumorlens.labels import CLASSES, NO_TUMOR, NO_TUMOR_INDEX, TUMOR_INDICES

Floats = NDArray[np.float64]
Rule = Callable[[Floats], Floats]
"""From smoothed slices (D, 4) to the whole (4,)."""

SPACING_MM: Final = 5.5
DEPTHS: Final = (18, 30)
TUMOR_SLICES: Final = (2, 7)
HEALTHY_GROUPS: Final = 6
SMOOTHING_MM: Final = (0.0, 6.5, 7.5, 10.0)
MAX_WRONG: Final = 0.03
MAX_MISSED: Final = 0.01
CONTRAST: Final = 3
"""Power of the suspicion that weights the slices, where all slices contribute."""


class Volume(NamedTuple):
    """Slices with their answers."""

    slices: Floats
    """(D, 4)."""
    label: int
    """Index of ``CLASSES``."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison."""
    parser = option_parser.parser(__doc__, data="manifest with masks", bundle=True, cache=True)
    parser.add_argument("--repeats", type=int, default=30, help="volumes of each patient")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    classifier = Classifier.load(options.bundle, 1, answer_all=True)
    manifest = Manifest.load(options.data)
    chosen = shared.images_of(manifest, options.split, splits.VALIDATION)
    records = [manifest.records[i] for i in chosen]
    info = classifier.bundle.info
    logits = shared.logits_of(classifier, manifest, chosen, options.cache)
    probabilities = softmax(logits, info.temperature)
    patients, healthy = tumor_runs(records), healthy_groups(records)
    random = np.random.default_rng(options.seed)
    volumes = list(compose(probabilities, patients, healthy, options.repeats, random))
    rows = [measure(name, radius, rule, volumes, info) for name, radius, rule in candidates()]
    rows.sort(key=lambda row: (not row["within_targets"], -row["correct"]))
    shipped = measure("shipped", None, _shipped, volumes, info)
    option_parser.print_rows("the shipped rule, and the best of the others", [shipped, *rows[:20]])
    result = {
        "benchmark": "volumes",
        "bundle": info.name,
        "sha256": classifier.bundle.sha256,
        "split": options.split,
        "part": splits.VALIDATION,
        "volumes": len(volumes),
        "tumor_patients": len(patients),
        "healthy_groups": len(healthy),
        "shipped": shipped,
        "rules": rows,
    }
    option_parser.save(options.output, result)


def tumor_runs(records: Sequence[Record]) -> list[tuple[int, list[int]]]:
    """Class and slices, in the source's order, of each patient with outlined tumours."""
    runs: dict[tuple[str, str], list[int]] = {}
    for index, record in enumerate(records):
        if record.mask and record.patient and record.label in CLASSES:
            runs.setdefault((record.patient, record.label), []).append(index)
    return [
        (CLASSES.index(label), sorted(indices, key=lambda i: int(Path(records[i].mask).stem)))
        for (_, label), indices in runs.items()
    ]


def healthy_groups(records: Sequence[Record]) -> list[list[int]]:
    """Slices of each group of healthy heads."""
    groups: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        if record.label == NO_TUMOR:
            groups.setdefault(record.unit, []).append(index)
    return list(groups.values())


def compose(
    probabilities: Floats,
    patients: Sequence[tuple[int, list[int]]],
    healthy: Sequence[list[int]],
    repeats: int,
    random: np.random.Generator,
) -> Iterator[Volume]:
    """Volumes, as many with a tumour as without one."""
    for _, (label, indices) in itertools.product(range(repeats), patients):
        count = min(len(indices), int(random.integers(TUMOR_SLICES[0], TUMOR_SLICES[1] + 1)))
        start = int(random.integers(len(indices) - count + 1))
        rows = _healthy(healthy, random)
        at = int(random.integers(len(rows) - count + 1))
        rows[at : at + count] = indices[start : start + count]
        yield Volume(probabilities[rows], label)
        yield Volume(probabilities[_healthy(healthy, random)], NO_TUMOR_INDEX)


def candidates() -> Iterator[tuple[str, float, Rule]]:
    """Name, smoothing in millimetres, and rule."""
    rules: dict[str, Rule] = {"maximum": partial(_mean_of_top, least=1, share=0.0)}
    for least, share in ((3, 0.1), (5, 0.0), (3, 0.2)):
        name = f"mean of the top {least}" + (f" or {share:.0%}" if share else "")
        rules[name] = partial(_mean_of_top, least=least, share=share)
    for weight in (0.05, 0.1, 0.2):
        rules[f"noisy-or, weight {weight}"] = partial(_noisy_or, weight=weight)
    for share in (0.1, 0.2, 0.3):
        rules[f"{share:.0%} of the slices"] = partial(_quantile, at=1 - share)
    for count in (2, 3, 4):
        rules[f"mean of {count} neighbours"] = partial(_run, count=count, strength=np.mean)
        rules[f"weakest of {count} neighbours"] = partial(_run, count=count, strength=np.min)
    for radius in SMOOTHING_MM:
        yield from ((name, radius, rule) for name, rule in rules.items())


def measure(
    name: str, radius: float | None, rule: Rule, volumes: Sequence[Volume], info: BundleInfo
) -> dict[str, Any]:
    """Rates over the volumes, at the bundle's thresholds."""
    rows = (
        v.slices if radius is None else smooth(v.slices, _along(v.slices), radius) for v in volumes
    )
    combined = np.stack([rule(slices) for slices in rows])
    labels = np.array([volume.label for volume in volumes])
    answer, ill = combined.argmax(axis=1), labels != NO_TUMOR_INDEX
    # Slices put together state no geometry that would tell the head's upper end.
    decided = decisions(combined, info.volume_decisions.get("other", info.decision))
    confident, correct = decided.label >= 0, answer == labels
    reported = confident & correct
    wrong = float(1 - correct[confident].mean()) if confident.any() else 0.0
    missed = float(((answer == NO_TUMOR_INDEX) & confident)[ill].mean())
    values = {
        "accuracy_of_all": correct.mean(),
        "reported": confident.mean(),
        "correct": reported.mean(),
        "wrong_of_reported": wrong,
        "missed_tumors": missed,
        "false_alarms": ((answer != NO_TUMOR_INDEX) & confident)[~ill].mean(),
        "tumors_correct": reported[ill].mean(),
        "healthy_correct": reported[~ill].mean(),
        "tumors_detected": (decided.presence[ill] == 1).mean(),
        "healthy_reported_as_tumor": (decided.presence[~ill] == 1).mean(),
    }
    if info.prediction_sets is not None:
        sets = prediction_sets(combined, info.prediction_sets)
        values["set_coverage"] = sets[np.arange(len(labels)), labels].mean()
        values["mean_set_size"] = sets.sum(axis=1).mean()
    return {
        "rule": name,
        "smoothing_mm": radius,
        "within_targets": bool(wrong <= MAX_WRONG and missed <= MAX_MISSED),
        **{key: round(float(value), 4) for key, value in values.items()},
    }


def _shipped(slices: Floats) -> Floats:
    return aggregate(slices, _along(slices)).probabilities


def _mean_of_top(rows: Floats, least: int, share: float) -> Floats:
    count = max(min(least, len(rows)), round(share * len(rows)))
    top: Floats = rows[np.argsort(-_suspicion(rows), kind="stable")[:count]].mean(axis=0)
    return top


def _noisy_or(rows: Floats, weight: float) -> Floats:
    healthy = np.clip(rows[:, NO_TUMOR_INDEX], 1e-6, 1.0)
    return _whole(1 - float(np.exp(weight * np.log(healthy).sum())), rows)


def _quantile(rows: Floats, at: float) -> Floats:
    return _whole(float(np.quantile(_suspicion(rows), at)), rows)


def _run(rows: Floats, count: int, strength: Callable[..., Floats]) -> Floats:
    """The strongest of all runs of ``count`` slices."""
    windows = np.lib.stride_tricks.sliding_window_view(_suspicion(rows), count)
    strengths = strength(windows, axis=1)
    start = int(np.argmax(strengths))
    return _whole(float(strengths[start]), rows[start : start + count], contrast=1)


def _whole(tumor: float, rows: Floats, contrast: int = CONTRAST) -> Floats:
    """A tumour's probability, divided among the classes as in the suspicious slices."""
    weights = _suspicion(rows) ** (contrast - 1)
    classes = weights @ rows[:, TUMOR_INDICES]
    whole = np.zeros(len(CLASSES))
    whole[list(TUMOR_INDICES)] = tumor * classes / classes.sum()
    whole[NO_TUMOR_INDEX] = 1 - tumor
    return whole


def _suspicion(rows: Floats) -> Floats:
    return 1 - rows[:, NO_TUMOR_INDEX]


def _along(slices: Floats) -> Floats:
    return np.arange(len(slices), dtype=np.float64) * SPACING_MM


def _healthy(groups: Sequence[list[int]], random: np.random.Generator) -> NDArray[np.int64]:
    """Slices of a few groups, in any order: the neighbours of a healthy slice are not known."""
    depth = int(random.integers(DEPTHS[0], DEPTHS[1] + 1))
    chosen = random.permutation(len(groups))[:HEALTHY_GROUPS]
    pool = np.concatenate([groups[k] for k in chosen])
    return random.choice(pool, depth, replace=len(pool) < depth).astype(np.int64)


if __name__ == "__main__":
    main()

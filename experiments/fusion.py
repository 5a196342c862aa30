"""What several sequences of a patient say together, against the best of them alone.

    python -m experiments.fusion --data more.csv --split more --output fusion.json

All images are of the validation part, so neither the network nor its teachers know the patients.
Tumours are slice positions of patients of ``tcga_lgg_110`` that have each of the sequences. Slices
without a tumour are of other positions of patients with gliomas, drawn at random for each sequence:
few positions without a tumour have all of the sequences. Weights are those of a logistic regression
on log-odds, none below 0, fitted without the patients that they are judged on (five folds). Misses
are compared at equal false alarms, and with equal weights.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from benchmarks import options as option_parser
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from experiments import shared
from tumorlens import bundle
from tumorlens.bundle import FusionRule
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.postprocessing import softmax
from tumorlens.labels import NO_TUMOR, NO_TUMOR_INDEX

Floats = NDArray[np.float64]
SOURCE: Final = "tcga_lgg_110"
NEGATIVE_SOURCES: Final = (SOURCE, "tcga_gbm_skull")
SEQUENCES: Final = ("T1", "T1CE", "FLAIR")
FALSE_ALARMS: Final = (0.02, 0.05, 0.1)
_NEGATIVES: Final = 600
_FOLDS: Final = 5
_POSITION: Final = re.compile(r"(TCGA_[A-Z]+_[0-9A-Z]+)_(\d+)")


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit and judge."""
    parser = option_parser.parser(__doc__, data="manifest", bundle=True, cache=True)
    parser.add_argument("--write", type=Path, help="bundle folder that gets the weights")
    options = parser.parse_args(arguments)
    classifier = Classifier.load(options.bundle, 1, answer_all=True)
    manifest = Manifest.load(options.data)
    chosen = [
        i
        for i in shared.images_of(manifest, options.split, "validation")
        if _takes_part(manifest.records[i])
    ]
    logits = shared.logits_of(classifier, manifest, chosen, options.cache)
    none = softmax(logits, classifier.bundle.info.temperature)[:, NO_TUMOR_INDEX]
    none = np.clip(none, 1e-6, 1 - 1e-6)
    records = [manifest.records[i] for i in chosen]
    result = {
        "experiment": "fusion",
        "bundle": classifier.bundle.info.name,
        "sha256": classifier.bundle.sha256,
        **compare(records, np.log((1 - none) / none)),
    }
    print({key: value for key, value in result.items() if key != "sha256"})
    option_parser.save(options.output, result)
    if options.write:
        _write(options.write, result["weights"])


def _write(folder: Path, weights: Mapping[str, float]) -> None:
    """Put the weights, the largest as 1, into a bundle; other sequences count 1, too."""
    most = max(weights.values())
    loaded = bundle.load(folder.resolve())
    rule = FusionRule(
        weights={name: round(weight / most, 3) for name, weight in weights.items()},
        chosen_on=f"patients of {SOURCE} that did not train the network",
    )
    info = msgspec.structs.replace(loaded.info, fusion=rule)
    bundle.save(folder, info, loaded.model, loaded.gate)


def _takes_part(record: Record) -> bool:
    if record.sequence not in SEQUENCES:
        return False
    if record.label == NO_TUMOR:
        return record.source in NEGATIVE_SOURCES
    return record.source == SOURCE


def compare(records: Sequence[Record], odds: Floats) -> dict[str, Any]:
    """Weights, and misses at equal false alarms, of each sequence alone and of all."""
    patients, tumors = _positions(records, odds)
    random = np.random.default_rng(0)
    pools = {
        name: odds[[r.label == NO_TUMOR and r.sequence == name for r in records]]
        for name in SEQUENCES
    }
    negatives = np.column_stack([random.choice(pool, _NEGATIVES) for pool in pools.values()])
    fold_of = {
        patient: k % _FOLDS for k, patient in enumerate(random.permutation(np.unique(patients)))
    }
    tumor_folds = np.array([fold_of[patient] for patient in patients])
    negative_folds = np.arange(_NEGATIVES) % _FOLDS
    fused_tumors, fused_negatives = np.zeros(len(tumors)), np.zeros(_NEGATIVES)
    for fold in range(_FOLDS):
        weights = _fit(tumors[tumor_folds != fold], negatives[negative_folds != fold])
        fused_tumors[tumor_folds == fold] = tumors[tumor_folds == fold] @ weights
        fused_negatives[negative_folds == fold] = negatives[negative_folds == fold] @ weights
    return {
        "positions": len(tumors),
        "patients": len(set(patients.tolist())),
        "slices_without_tumor": {name: len(pool) for name, pool in pools.items()},
        "weights": dict(zip(SEQUENCES, _fit(tumors, negatives).round(4).tolist(), strict=True)),
        "alone": {name: _misses(tumors[:, k], negatives[:, k]) for k, name in enumerate(SEQUENCES)},
        "equal_weights": _misses(tumors.mean(axis=1), negatives.mean(axis=1)),
        "fused": _misses(fused_tumors, fused_negatives),
    }


def _positions(records: Sequence[Record], odds: Floats) -> tuple[NDArray[np.str_], Floats]:
    """Patient of each position with all sequences, and their log-odds (N, sequences)."""
    positions: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for record, value in zip(records, odds.tolist(), strict=True):
        match = _POSITION.search(record.path)
        if record.label != NO_TUMOR and match:
            positions[match.group(1), match.group(2)][record.sequence] = value
    whole: Mapping[tuple[str, str], Mapping[str, float]] = {
        key: values for key, values in positions.items() if len(values) == len(SEQUENCES)
    }
    patients = np.array([patient for patient, _ in whole])
    return patients, np.array([[values[name] for name in SEQUENCES] for values in whole.values()])


def _fit(tumors: Floats, negatives: Floats) -> Floats:
    """Weights that sum to 1, none below 0."""
    table = np.concatenate([tumors, negatives])
    labels = np.concatenate([np.ones(len(tumors)), np.zeros(len(negatives))])
    fitted = LogisticRegression(class_weight="balanced").fit(table, labels)
    weights = np.clip(fitted.coef_[0], 0.0, None)
    normalized: Floats = weights / max(float(weights.sum()), 1e-12)
    return normalized


def _misses(tumors: Floats, negatives: Floats) -> dict[str, float]:
    """Area under the curve, and the share of tumours missed at each rate of false alarms."""
    labels = np.concatenate([np.ones(len(tumors)), np.zeros(len(negatives))])
    scores = np.concatenate([tumors, negatives])
    result = {"auroc": round(float(roc_auc_score(labels, scores)), 4)}
    for rate in FALSE_ALARMS:
        threshold = np.quantile(negatives, 1 - rate)
        result[f"missed_at_{rate:g}"] = round(float((tumors <= threshold).mean()), 4)
    return result


if __name__ == "__main__":
    main()

"""How whole heads are answered, by thresholds that were fitted without their source.

    python -m experiments.volume_rule --volumes more/volumes-healthy.csv \
        --volumes more/volumes-tumour.csv --extra diverse.csv diverse --extra more.csv more \
        --output volume_rule.json

Healthy heads are left out by set, tumours by patient. The thresholds of a bundle are fitted on all
of the volumes: ``tumorlens calibrate --volumes``. With the training sets (``--extra``), volumes of
people that did not train the network are counted apart, too.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import options as option_parser
from numpy.typing import NDArray

from tumorlens import bundle
from tumorlens.bundle import DecisionRule
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import TRAIN
from tumorlens.evaluation.whole_heads import (
    PLANES,
    WholeHead,
    answer_list,
    fit_volume_decisions,
)
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.decision import decisions
from tumorlens.labels import NO_TUMOR


def main(arguments: Sequence[str] | None = None) -> None:
    """Answer the volumes and count."""
    parser = option_parser.parser(__doc__, bundle=True)
    parser.add_argument("--volumes", type=Path, action="append", required=True, help="list, CSV")
    parser.add_argument("--plane", choices=PLANES, action="append", help="default: all three")
    parser.add_argument(
        "--extra",
        nargs=2,
        action="append",
        default=[],
        metavar=("MANIFEST", "SPLIT"),
        help="a set that trained the network, with its split",
    )
    options = parser.parse_args(arguments)
    classifier = Classifier(bundle.load(options.bundle), threads=1)
    planes = options.plane or list(PLANES)
    heads = [head for path in options.volumes for head in answer_list(classifier, path, planes)]
    trained = trained_people(options.extra)
    answers = cross_validate(heads, classifier.bundle.info.decision).tolist()
    unseen = [k for k, head in enumerate(heads) if head.patient.replace("_", "-") not in trained]
    result = {
        "experiment": "volume_rule",
        "bundle": classifier.bundle.info.name,
        "sha256": classifier.bundle.sha256,
        "planes": {plane: counts(plane, heads, answers) for plane in planes},
        "unseen_people": {
            plane: counts(plane, [heads[k] for k in unseen], [answers[k] for k in unseen])
            for plane in planes
        },
        "heads": [
            {
                "file": head.file,
                "label": head.label,
                "plane": head.plane,
                "tumor_probability": round(1.0 - head.probabilities[2], 4),
                "reported": word,
            }
            for head, word in zip(heads, answers, strict=True)
        ],
    }
    print(result["planes"])
    option_parser.save(options.output, result)


def trained_people(sets: Sequence[tuple[str, str]]) -> set[str]:
    """Patients of the training parts of manifests, each with its split."""
    return {
        record.patient.replace("_", "-")
        for data, split in sets
        for manifest in [Manifest.load(data)]
        for record, part in zip(manifest, splits.load(split).parts(manifest), strict=True)
        if part == TRAIN and record.patient
    }


def cross_validate(heads: Sequence[WholeHead], slices: DecisionRule) -> NDArray[np.str_]:
    """How each head is answered by thresholds fitted without its group.

    (N,): ``notumor``, ``tumor`` or ``uncertain``.
    """
    decided = np.full(len(heads), "uncertain", dtype="<U9")
    for group in {head.group for head in heads}:
        rules = fit_volume_decisions([head for head in heads if head.group != group], slices)
        for index, head in enumerate(heads):
            if head.group != group or head.rejected:
                continue
            row = np.array([head.probabilities])
            presence = decisions(row, rules.get(head.kind, slices)).presence[0]
            decided[index] = {1: "tumor", 0: NO_TUMOR, -1: "uncertain"}[int(presence)]
    return decided


def counts(plane: str, heads: Sequence[WholeHead], answers: Sequence[str]) -> dict[str, Any]:
    """Volumes of one plane by what is reported of them."""
    rows: dict[str, Any] = {}
    for name, expected in (("healthy", NO_TUMOR), ("tumor", "tumor")):
        words = [
            word
            for head, word in zip(heads, answers, strict=True)
            if head.plane == plane and (head.label == NO_TUMOR) == (expected == NO_TUMOR)
        ]
        by_word = Counter(words)
        rows[name] = {
            "volumes": len(words),
            "reported_none": by_word[NO_TUMOR],
            "reported_tumor": by_word["tumor"],
            "uncertain": by_word["uncertain"],
            "share_right": round(by_word[expected] / len(words), 4) if words else None,
        }
    return rows


if __name__ == "__main__":
    main()

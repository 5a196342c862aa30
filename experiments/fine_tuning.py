r"""What 100 images of another source add: fine-tuned, from random weights, and unchanged.

    tumorlens data import more --from more --output more.csv
    python -m experiments.fine_tuning --data more.csv --runs runs/fine-tuning \
        --start runs/held-out/brats/student/bundle

The start is a network that no image of the family of BraTS trained: that rotation of
`experiments.held_out_families`. The source is TCGA-LGG, of that family: 109 patients, slices with
glioma and slices without tumour of the same patients. Patients are drawn until they have about 100
images; a fifth of these validates, all other patients test. The same images train the recipe
`finetune` from the start, and the recipe `default` from random weights, with as small batches and
twice the epochs. Written is experiments/records/fine-tuning.json: on the test patients of all
draws, the balanced accuracy of tumour against none, whatever the kind, its AUROC, and paired
differences; the intervals are over patients. Run again, it goes on with what is missing.
"""

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from benchmarks import options as option_parser
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from tumorlens import bundle
from tumorlens.bundle import BUNDLE_FOLDER
from tumorlens.config import TrainConfig, recipe_path
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import TEST, TRAIN, VALIDATION, Split, SplitRow
from tumorlens.evaluation.evaluator import score
from tumorlens.evaluation.resampling import bootstrap, rounded
from tumorlens.inference.classifier import Classifier
from tumorlens.labels import NO_TUMOR
from tumorlens.training.data import TrainingData
from tumorlens.training.progress import EpochBar
from tumorlens.training.provenance import RUN_FILE
from tumorlens.training.runner import RunOptions, train

UNCHANGED: Final = "unchanged"
FINE_TUNED: Final = "fine-tuned"
ARMS: Final = (UNCHANGED, FINE_TUNED, "from-scratch")
FIGURES: Final = ("balanced_accuracy", "auroc")
SCRATCH: Final = ("batch_size=16", "epochs=50")
"""Overrides of the recipe `default` for so few images."""
_OUTPUT: Final = Path("experiments/records/fine-tuning.json")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and score the draws that are missing, and write the record of all."""
    parser = option_parser.parser(__doc__, cache=True, output=_OUTPUT)
    parser.add_argument("--data", type=Path, required=True, help="manifest of `more`")
    parser.add_argument("--start", type=Path, required=True, help="bundle to start from")
    parser.add_argument("--source", default="tcga_lgg_110")
    parser.add_argument("--images", type=int, default=100, help="that train and validate")
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--arm", dest="arms", choices=ARMS, action="append")
    parser.add_argument("--set", dest="overrides", action="append", default=[],
                        metavar="KEY=VALUE", help="overrides of both recipes")  # fmt: skip
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    options.arms = options.arms or list(ARMS)
    everything = Manifest.load(options.data)
    own = Manifest(tuple(r for r in everything if r.source == options.source), everything.folder)
    done = [_draw(options, own, number) for number in range(options.draws)]
    record = {
        "source": options.source,
        "start": bundle.load(options.start).sha256,
        "overrides": options.overrides,
        "draws": [{name: draw[name] for name in ("images", "patients")} for draw in done],
        **summarize([row for draw in done for row in draw["answers"]]),
    }
    option_parser.save(options.output, record)


def _draw(options: argparse.Namespace, manifest: Manifest, number: int) -> dict[str, Any]:
    """Train on one draw of patients; answers of the networks wanted on the others."""
    folder = options.runs / f"draw-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    split = drawn_split(manifest, options.images, number)
    parts = split.parts(manifest)
    tested = [r for r, part in zip(manifest, parts, strict=True) if part == TEST]
    tables = {arm: _answers(options, folder, manifest, split, arm) for arm in options.arms}
    return {
        "images": dict(split.info.counts),
        "patients": {
            part: len({row.group for row in split.rows if row.part == part}) for part in set(parts)
        },
        "answers": [
            {"patient": r.group, "label": r.label, **{arm: tables[arm][i] for arm in options.arms}}
            for i, r in enumerate(tested)
        ],
    }


def _answers(
    options: argparse.Namespace, draw_folder: Path, manifest: Manifest, split: Split, arm: str
) -> list[float]:
    """Probability of a tumour for each test image; trains the network where that is its arm."""
    finished = draw_folder / f"{arm}.json"
    if not finished.exists():
        folder = (
            options.start
            if arm == UNCHANGED
            else _trained(options, draw_folder, manifest, split, arm)
        )
        parts = split.parts(manifest)
        tested = [r for r, part in zip(manifest, parts, strict=True) if part == TEST]
        classifier = Classifier.load(folder, answer_all=True)
        # A network that was trained on the source has its two classes, the start has four.
        none = classifier.model.class_set.names.index(NO_TUMOR)
        tumor = 1.0 - score(classifier, manifest, tested).probabilities[:, none]
        finished.write_text(json.dumps(tumor.round(6).tolist()), encoding="utf-8")
    probabilities: list[float] = json.loads(finished.read_text("utf-8"))
    return probabilities


def _trained(
    options: argparse.Namespace, draw_folder: Path, manifest: Manifest, split: Split, arm: str
) -> Path:
    out = draw_folder / arm
    if (out / RUN_FILE).exists():
        return out / BUNDLE_FOLDER
    tuned = arm == FINE_TUNED
    overrides = [*(() if tuned else SCRATCH), *options.overrides]
    config = TrainConfig.from_toml(recipe_path("finetune" if tuned else "default"), overrides)
    run = RunOptions(
        arm, True, options.cache, options.threads, init=options.start if tuned else None
    )
    with EpochBar(config.epochs) as bar:
        bundle_folder = train(config, TrainingData(manifest, split), out, run, [bar])
    assert bundle_folder is not None  # one process
    return bundle_folder


def drawn_split(manifest: Manifest, images: int, seed: int) -> Split:
    """Patients at random until they have ``images``; a fifth of them validates, the rest test."""
    patients = sorted({record.group for record in manifest})
    random.Random(seed).shuffle(patients)
    part_of: dict[str, str] = {}
    taken = 0
    for position, patient in enumerate(patients):
        count = sum(record.group == patient for record in manifest)
        if taken >= images:
            part_of[patient] = TEST
            continue
        part_of[patient] = VALIDATION if position % 5 == 4 else TRAIN
        taken += count
    rows = [SplitRow(r.sha256, r.label, r.group, part_of[r.group]) for r in manifest]
    return splits.build(f"draw-{seed}", f"About {images} images learn.", rows, disjoint=True)


def summarize(answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Figures of each network and of what fine-tuning adds, with intervals over patients."""
    arms = [arm for arm in ARMS if arm in answers[0]]
    tumor = {arm: np.array([row[arm] for row in answers]) for arm in arms}
    healthy = np.array([row["label"] == NO_TUMOR for row in answers])
    groups = [str(row["patient"]) for row in answers]

    others = [arm for arm in arms if arm != FINE_TUNED and FINE_TUNED in arms]

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        own = {arm: figures(healthy, tumor[arm], weights) for arm in arms}
        gains = [own[FINE_TUNED] - own[other] for other in others]
        return np.concatenate([*own.values(), *gains], axis=1)

    estimates = iter(bootstrap(statistic, groups))
    names = (*arms, *(f"{FINE_TUNED} minus {other}" for other in others))
    return {
        "test_images": len(answers),
        "test_patients": len(set(groups)),
        "figures": {
            name: {figure: rounded(next(estimates)) for figure in FIGURES} for name in names
        },
    }


def figures(
    healthy: NDArray[np.bool_], tumor: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(B, 2) of ``FIGURES``, for probabilities (N,) and weights (B, N).

    NaN where a resample lacks a class.
    """
    correct = (tumor <= 0.5) == healthy
    rows = []
    for weight in weights:
        if not weight[healthy].any() or not weight[~healthy].any():
            rows.append([np.nan, np.nan])
            continue
        recalls = [
            np.average(correct[member], weights=weight[member]) for member in (healthy, ~healthy)
        ]
        rows.append([np.mean(recalls), roc_auc_score(~healthy, tumor, sample_weight=weight)])
    return np.array(rows, dtype=np.float64)


if __name__ == "__main__":
    main()

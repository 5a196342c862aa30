r"""How networks do on families of sources that they were trained without, in rotation.

    python -m experiments.held_out_families train --data nickparvar.csv --runs runs/held-out \
        --extra diverse.csv diverse --extra more.csv more --extra heads.csv heads-split.csv \
        --extra br35h-tumor.csv br35h-tumor --without-teachers --set epochs=16
    python -m experiments.held_out_families score --data nickparvar.csv --runs runs/held-out \
        --extra diverse.csv diverse --extra more.csv more --extra br35h-tumor.csv br35h-tumor \
        --without-teachers --set epochs=16

`train` trains a network for each rotation without the rotation's families, and resumes where it
stopped. `score` fits the thresholds of each on validation images of the other sources, and on the
families of the other rotations as their networks answer them. Then it answers the images of the
families with the network that never saw them, and writes
experiments/records/held-out-families.json: per sequence the AUROC of tumour against healthy, missed
tumours, false alarms, the kind among tumours, the calibration error, how often the sequence is
named rightly, and what is reported at the thresholds. No test part is read. Families of healthy
heads and of tumours are scored together, since an AUROC needs both. With `--without-teachers`
students learn from labels alone, which takes a fifth of the time.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
from benchmarks import options as option_parser
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from tumorlens import bundle
from tumorlens.bundle import BUNDLE_FOLDER, Bundle, BundleInfo
from tumorlens.config import TrainConfig, recipe_path
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.splits import EXCLUDED, TEST, Split
from tumorlens.evaluation.abstention import outcome_of
from tumorlens.evaluation.conformal import sets_of
from tumorlens.evaluation.metrics import BINS, correct_of
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.decision import Decisions, decisions_by_sequence
from tumorlens.inference.postprocessing import softmax
from tumorlens.inference.record import CLASSIFIED
from tumorlens.inference.session import Outputs
from tumorlens.labels import CLASSES, NO_TUMOR, NO_TUMOR_INDEX, SEQUENCES, TUMOR_INDICES
from tumorlens.training import cache
from tumorlens.training.calibration import HeldOutSource, ValidationSet, calibrate
from tumorlens.training.data import Extra, TrainingData
from tumorlens.training.images import usable
from tumorlens.training.progress import EpochBar
from tumorlens.training.runner import RunOptions, train

ROTATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "brats": ("brats", "ds002748", "dicom_t1"),
    "br35h": ("br35h",),
    "medpix": ("medpix", "mni_hisub25_t2", "cobra_t2"),
    "nichart": ("nichart", "utsw_glioma_t2", "abide"),
    "jammu": ("jammu_gbm", "ixi", "henryford_t1", "csmri", "jif"),
}
"""Families that a rotation is trained without."""
_OUTPUT: Final = Path("experiments/records/held-out-families.json")
_UNREAD: Final = (TEST, EXCLUDED)
_TUMORS: Final = np.array(TUMOR_INDICES)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the rotations, or score them."""
    parser = option_parser.parser(__doc__, cache=True, output=_OUTPUT)
    parser.add_argument("what", choices=["train", "score"])
    parser.add_argument("--data", type=Path, required=True, help="manifest of the 7,023 images")
    parser.add_argument("--extra", nargs=2, action="append", default=[],
                        metavar=("MANIFEST", "SPLIT"), help="as of `tumorlens train`")  # fmt: skip
    parser.add_argument("--runs", type=Path, required=True, help="folder of the rotations' runs")
    parser.add_argument("--rotation", choices=list(ROTATIONS), action="append")
    parser.add_argument("--without-teachers", action="store_true", help="train on labels alone")
    parser.add_argument("--set", dest="overrides", action="append", default=[],
                        metavar="KEY=VALUE", help="overrides of both recipes")  # fmt: skip
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    {"train": _train, "score": _score}[options.what](options)


def _train(options: argparse.Namespace) -> None:
    sets = _sets(options)
    (manifest, split), *others = sets
    for name in options.rotation or ROTATIONS:
        folder = options.runs / name
        data = TrainingData(
            manifest, split, [Extra(*image_set) for image_set in others], ROTATIONS[name]
        )
        teacher = None if options.without_teachers else folder / "teacher"
        if teacher is not None:
            _train_recipe(options, "teacher", data, teacher, None)
        _train_recipe(options, "default", data, folder / "student", teacher)


def _train_recipe(
    options: argparse.Namespace, recipe: str, data: TrainingData, out: Path, teacher: Path | None
) -> None:
    if (out / "run.json").exists():
        return
    config = TrainConfig.from_toml(recipe_path(recipe), options.overrides)
    run = RunOptions(recipe, True, options.cache, options.threads, teacher=teacher)
    with EpochBar(config.epochs) as bar:
        train(config, data, out, run, [bar])


def _score(options: argparse.Namespace) -> None:
    sets = _sets(options)
    folders = {
        name: options.runs / name / "student" / BUNDLE_FOLDER
        for name in options.rotation or ROTATIONS
    }
    trained = {name: bundle.load(str(path)) for name, path in folders.items() if path.is_dir()}
    folder = options.cache or cache.default_folder()
    unseen = {
        name: [
            HeldOutSource(network, *image_set)
            for image_set in sets
            if any(_belongs(r, name) for r in image_set[0])
        ]
        for name, network in trained.items()
    }
    main, *further = (ValidationSet(*image_set) for image_set in sets)
    networks = {}
    for name, network in trained.items():
        others = [source for other in trained if other != name for source in unseen[other]]
        networks[name], _ = calibrate(network, main, further, folder, held_out=others)
    for name, network in networks.items():
        bundle.save(folders[name], network.info, network.model, network.gate)
    answers = {name: _answers(network, name, sets, folder) for name, network in networks.items()}
    record = {
        "overrides": options.overrides,
        "teachers": not options.without_teachers,
        "sequence_balanced_accuracy": sequence_balanced_accuracy(list(answers.values())),
        "rotations": {
            name: {
                "families": ROTATIONS[name],
                "validation": network.info.metrics["validation"],
                "rows": summarize(answers[name]),
                "at_thresholds": decided(answers[name], network.info),
            }
            for name, network in networks.items()
        },
    }
    option_parser.save(options.output, record)


def _sets(options: argparse.Namespace) -> list[tuple[Manifest, Split]]:
    """The public set with its split `clean`, and the further manifests with theirs."""
    pairs = [(options.data, "clean"), *options.extra]
    return [(Manifest.load(path), splits.load(split)) for path, split in pairs]


def _answers(
    network: Bundle, name: str, sets: Sequence[tuple[Manifest, Split]], folder: Path
) -> "Answers":
    """What a rotation's network says of the families that it never saw."""
    chosen = [
        (
            manifest,
            [i for i, r in enumerate(manifest) if parts[i] not in _UNREAD and _belongs(r, name)],
        )
        for manifest, split in sets
        for parts in [split.parts(manifest)]
    ]
    return Answers.collect(Classifier(network, answer_all=True), chosen, folder)


class Answers(NamedTuple):
    """What a network says of N images."""

    records: Sequence[Record]
    probabilities: NDArray[np.float64]
    """(N, 4)."""
    sequences: NDArray[np.str_]
    """(N,): the sequences that the network predicts."""

    @classmethod
    def collect(
        cls,
        classifier: Classifier,
        chosen: Sequence[tuple[Manifest, Sequence[int]]],
        folder: Path | None,
    ) -> Self:
        """Answer the chosen images of some manifests."""
        records: list[Record] = []
        outputs: list[Outputs] = []
        info = classifier.bundle.info
        for manifest, own in chosen:
            if own:
                images = cache.cached_images(
                    manifest, own, info.preprocess, folder or cache.default_folder()
                )
                outputs.append(classifier.forward(images))
                records += [manifest.records[i] for i in own]
        logits = np.concatenate([output.logits for output in outputs])
        sequences = [
            output.sequence.argmax(axis=1) for output in outputs if output.sequence is not None
        ]
        named = np.array(SEQUENCES)[np.concatenate(sequences)]
        return cls(records, softmax(logits, info.temperature), named)


def _belongs(record: Record, rotation: str) -> bool:
    return usable(record) and record.is_from(ROTATIONS[rotation])


def summarize(answers: Answers) -> list[dict[str, Any]]:
    """Rows for all images and for each sequence, by the manifest."""
    records, probabilities, named = answers
    sequences = np.array([record.sequence or "unknown" for record in records])
    labels = np.array([record.label for record in records])
    rows = [{"sequence": "all", **_figures(labels, probabilities)}]
    for sequence in sorted(set(sequences)):
        own = sequences == sequence
        rows.append({"sequence": sequence, **_figures(labels[own], probabilities[own])})
        if sequence in SEQUENCES:
            rows[-1]["sequence_correct"] = _share(named[own] == sequence)
    return rows


def sequence_balanced_accuracy(parts: Sequence[Answers]) -> float:
    """Mean, over the sequences, of how often an image of any rotation is given its own."""
    stated = np.array([record.sequence for answers in parts for record in answers.records])
    named = np.concatenate([answers.sequences for answers in parts])
    known = [name for name in SEQUENCES if (stated == name).any()]
    rates = [(named[stated == name] == name).mean() for name in known]
    return round(float(np.mean(rates)), 4)


def decided(answers: Answers, info: BundleInfo) -> dict[str, float | None]:
    """What is reported of the images at the bundle's thresholds, as shares of them.

    `held_back_sets_hold` is the share of the prediction sets of unclassified answers that contain
    the true class.
    """
    correct = correct_of([record.label for record in answers.records], info.classes)
    decisions = decisions_by_sequence(
        answers.probabilities, info.decision, answers.sequences.tolist()
    )
    outcome = outcome_of(decisions, correct, info.classes)
    return {
        "presence_correct": round(outcome.presence_right, 4),
        "presence_wrong": round(outcome.presence_wrong, 4),
        "missed": _rounded(outcome.missed_tumor_rate),
        "false_alarms": _rounded(outcome.false_alarm_rate),
        "classified": round(outcome.coverage, 4),
        "classified_correct": _rounded(outcome.accuracy),
        "held_back_sets_hold": _held_back_sets(answers.probabilities, correct, decisions, info),
    }


def _held_back_sets(
    probabilities: NDArray[np.float64],
    correct: NDArray[np.bool_],
    decisions: Decisions,
    info: BundleInfo,
) -> float | None:
    if info.prediction_sets is None:
        return None
    sets = sets_of(probabilities, decisions.names, info.prediction_sets)
    given = sets.any(axis=1) & (decisions.names != CLASSIFIED)
    return _share((sets & correct)[given].any(axis=1))


def _figures(labels: NDArray[np.str_], probabilities: NDArray[np.float64]) -> dict[str, Any]:
    tumor, predicted = labels != NO_TUMOR, probabilities.argmax(axis=1)
    present = probabilities[:, _TUMORS].sum(axis=1)
    known = np.isin(labels, [CLASSES[i] for i in TUMOR_INDICES])
    kinds = _TUMORS[probabilities[:, _TUMORS].argmax(axis=1)]
    correct_kind = np.array(CLASSES)[kinds] == labels
    missed, alarms = predicted == NO_TUMOR_INDEX, predicted != NO_TUMOR_INDEX
    both = bool(tumor.any() and (~tumor).any())
    return {
        "tumours": int(tumor.sum()),
        "healthy": int((~tumor).sum()),
        "auroc": round(float(roc_auc_score(tumor, present)), 4) if both else None,
        "missed": _share(missed[tumor]),
        "false_alarms": _share(alarms[~tumor]),
        "kind_correct": _share(correct_kind[known]),
        "presence_calibration_error": _calibration_error(present, tumor),
    }


def _calibration_error(probabilities: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Mean distance between the probability of a tumour and its frequency, in 15 bins."""
    bins = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    distances = np.bincount(bins, probabilities - truth, minlength=BINS)
    return round(float(np.abs(distances).sum() / counts.sum()), 4)


def _share(values: NDArray[np.bool_]) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


if __name__ == "__main__":
    main()

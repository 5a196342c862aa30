r"""What each lever against shortcuts does, alone and together, on validation and on strangers.

    python -m experiments.ablations --data nickparvar.csv --diverse diverse.csv \
        --br35h br35h-tumor.csv

Trains small versions (112x112 pixels, a third of the epochs) of the `robust` recipe with levers
added one by one to none, and taken one by one from all. Some collections take no part in any
training; how their images are answered is the honest sign of what another hospital would see. No
test image is read. A variant whose result file exists is not trained again.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tumorlens import bundle
from tumorlens.config import LesionConfig, StyleConfig, TrainConfig, recipe_path
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.postprocessing import softmax
from tumorlens.labels import CLASSES, NO_TUMOR, NO_TUMOR_INDEX, OTHER_PATHOLOGY, correct_classes
from tumorlens.training import cache
from tumorlens.training.data import Extra, TrainingData
from tumorlens.training.runner import RunOptions, train

STRANGERS: Final = ("utsw_glioma_t2", "jammu_gbm", "henryford_t1", "cobra_t2")
"""Families that no variant trains on: stripped and whole gliomas, healthy T1 and T2."""
LEVERS: Final = ("mask", "paste", "partial", "style", "diverse")
VARIANTS: Final[Mapping[str, tuple[str, ...]]] = {
    "plain": (),
    "all": LEVERS,
    **{f"only {lever}": (lever,) for lever in LEVERS},
    **{f"all but {lever}": tuple(x for x in LEVERS if x != lever) for lever in LEVERS},
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and score the variants that have no result yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the 7,023 images, with masks")
    parser.add_argument("--diverse", type=Path, required=True)
    parser.add_argument("--br35h", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("experiments/records/ablations"))
    parser.add_argument("--variant", choices=list(VARIANTS), action="append")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--image-size", type=int, default=112)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2, help="variants at a time")
    parser.add_argument("--cache", type=Path, help="folder of preprocessed images")
    options = parser.parse_args(arguments)
    wanted = options.variant or list(VARIANTS)
    waiting = [name for name in wanted if not _result_file(options, name).exists()]
    if len(waiting) == 1:
        _run(options, waiting[0])
    elif waiting:
        with ThreadPoolExecutor(options.processes) as pool:
            list(pool.map(lambda name: _in_process(options, name), waiting))


def _in_process(options: argparse.Namespace, name: str) -> None:
    words = ["--data", options.data, "--diverse", options.diverse, "--br35h", options.br35h]
    words += ["--output", options.output, "--epochs", options.epochs, "--seed", options.seed]
    words += ["--image-size", options.image_size, "--variant", name]
    words += ["--cache", options.cache] if options.cache else []
    command = [sys.executable, "-m", "experiments.ablations", *map(str, words)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def _run(options: argparse.Namespace, name: str) -> None:
    levers = VARIANTS[name]
    config = variant(levers, options.epochs, options.image_size, options.seed)
    main_set, diverse, br35h = (
        Manifest.load(path) for path in (options.data, options.diverse, options.br35h)
    )
    extras = [Extra(diverse)] if "diverse" in levers else []
    if "partial" in levers:
        extras.append(Extra(br35h, splits.load(splits.BR35H_TUMOR)))
    data = TrainingData(main_set, splits.load("clean"), extras, STRANGERS)
    folder = options.cache or cache.default_folder()
    with tempfile.TemporaryDirectory() as run:
        made = train(config, data, Path(run), RunOptions(name=name, cache_folder=folder, threads=1))
        assert made is not None
        history = (Path(run) / "metrics.csv").read_text("utf-8").splitlines()
        classifier = Classifier(bundle.load(made), threads=1)
        result = {
            "variant": name,
            "levers": list(levers),
            "recipe": msgspec.to_builtins(config),
            "seconds": float(history[-1].split(",")[-1]),
            "measured": score(classifier, main_set, diverse, br35h, folder),
        }
    file = _result_file(options, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(name, json.dumps(result["measured"]))


def variant(levers: Sequence[str], epochs: int, image_size: int, seed: int) -> TrainConfig:
    """The `robust` recipe with only these levers, made smaller."""
    config = TrainConfig.from_toml(recipe_path("robust"))
    lesions = config.augment.lesions
    chosen = LesionConfig(
        mask_loss=lesions.mask_loss if "mask" in levers else 0.0,
        paste=lesions.paste if "paste" in levers else 0.0,
        erase=lesions.erase if "paste" in levers else 0.0,
    )
    style = config.augment.style if "style" in levers else StyleConfig()
    shares = {2: config.extra_share, 1: config.extra_share / 2, 0: 0.0}
    return msgspec.structs.replace(
        config,
        epochs=epochs,
        seed=seed,
        extra_share=shares[sum(lever in levers for lever in ("diverse", "partial"))],
        preprocess=msgspec.structs.replace(config.preprocess, image_size=image_size),
        augment=msgspec.structs.replace(config.augment, lesions=chosen, style=style),
    )


def score(
    classifier: Classifier, main_set: Manifest, diverse: Manifest, br35h: Manifest, folder: Path
) -> dict[str, Any]:
    """Answers on validation images and on the strangers; shares of images."""
    validation = _part(main_set, "clean")
    shares = _answers(classifier, main_set, validation, folder)
    truth = np.array([CLASSES.index(main_set.records[i].label) for i in validation])
    right = shares.argmax(1) == truth
    ill = truth != NO_TUMOR_INDEX
    stranger = [i for i, r in enumerate(diverse) if r.family in STRANGERS]
    other = [i for i, r in enumerate(diverse) if r.label == OTHER_PATHOLOGY]
    held = _part(br35h, splits.BR35H_TUMOR)
    gliomas = [i for i in stranger if diverse.records[i].label == "glioma"]
    healthy = [i for i in stranger if diverse.records[i].label == NO_TUMOR]
    return {
        "validation_accuracy": float(right.mean()),
        "validation_log_loss": float(-np.log(shares[np.arange(len(truth)), truth]).mean()),
        "validation_missed": float((shares[ill].argmax(1) == NO_TUMOR_INDEX).mean()),
        "br35h_tumor_missed": _said_healthy(_answers(classifier, br35h, held, folder)),
        "stranger_glioma_missed": _said_healthy(_answers(classifier, diverse, gliomas, folder)),
        "stranger_glioma_right": _correct(classifier, diverse, gliomas, folder),
        "stranger_healthy_right": _correct(classifier, diverse, healthy, folder),
        "sclerosis_called_tumor": 1 - _said_healthy(_answers(classifier, diverse, other, folder)),
        "by_family": {
            family: _correct(
                classifier, diverse, [i for i in stranger if diverse.records[i].family == family],
                folder,
            )
            for family in STRANGERS
        },
    }  # fmt: skip


def _part(manifest: Manifest, split: str) -> list[int]:
    parts = splits.load(split).parts(manifest)
    return [i for i, part in enumerate(parts) if part == splits.VALIDATION]


def _answers(
    classifier: Classifier, manifest: Manifest, chosen: Sequence[int], folder: Path
) -> NDArray[np.float64]:
    info = classifier.bundle.info
    images = cache.cached_images(manifest, chosen, info.preprocess, folder)
    return softmax(classifier.logits(images), info.temperature)


def _said_healthy(shares: NDArray[np.float64]) -> float:
    return float((shares.argmax(1) == NO_TUMOR_INDEX).mean())


def _correct(
    classifier: Classifier, manifest: Manifest, chosen: Sequence[int], folder: Path
) -> float:
    found = _answers(classifier, manifest, chosen, folder).argmax(1)
    answers = [correct_classes(manifest.records[i].label) for i in chosen]
    return float(np.mean([int(a) in right for a, right in zip(found, answers, strict=True)]))


def _result_file(options: argparse.Namespace, name: str) -> Path:
    return Path(options.output) / f"{name.replace(' ', '-')}.json"


if __name__ == "__main__":
    main()

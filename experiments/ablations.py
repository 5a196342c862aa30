r"""What each component of the recipe `robust` does, on validation images and held-out sources.

    python -m experiments.ablations --data nickparvar.csv --diverse diverse.csv \
        --br35h br35h-tumor.csv

Trains small versions (112x112 pixels, a third of the epochs) of the recipe with single components,
and with all components but one. Some collections are held out from all trainings; the answers on
their images show what to expect in another hospital. No test image is read. A variant whose result
file exists is not trained again.
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

from experiments import shared
from tumorlens import bundle
from tumorlens.config import LesionConfig, StyleConfig, TrainConfig
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.postprocessing import softmax
from tumorlens.labels import BRAIN_TUMORS, CLASSES, NO_TUMOR, NO_TUMOR_INDEX, OTHER_PATHOLOGY
from tumorlens.training import cache
from tumorlens.training.data import Extra, TrainingData
from tumorlens.training.runner import RunOptions, train

HELD_OUT: Final = ("utsw_glioma_t2", "jammu_gbm", "henryford_t1", "cobra_t2")
"""Families that no variant trains on: gliomas with and without skull, healthy T1 and T2."""
_RECIPE: Final = Path(__file__).with_name("recipes") / "robust.toml"
COMPONENTS: Final = ("mask", "paste", "partial", "style", "diverse")
VARIANTS: Final[Mapping[str, tuple[str, ...]]] = {
    "plain": (),
    "all": COMPONENTS,
    **{f"only {component}": (component,) for component in COMPONENTS},
    **{
        f"all but {component}": tuple(x for x in COMPONENTS if x != component)
        for component in COMPONENTS
    },
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
    components = VARIANTS[name]
    config = variant(components, options.epochs, options.image_size, options.seed)
    main_set, diverse, br35h = (
        Manifest.load(path) for path in (options.data, options.diverse, options.br35h)
    )
    extras = [Extra(diverse)] if "diverse" in components else []
    if "partial" in components:
        extras.append(Extra(br35h, splits.load(splits.BR35H_TUMOR)))
    data = TrainingData(main_set, splits.load("clean"), extras, HELD_OUT)
    folder = options.cache or cache.default_folder()
    with tempfile.TemporaryDirectory() as run:
        exported = train(
            config, data, Path(run), RunOptions(name=name, cache_folder=folder, threads=1)
        )
        assert exported is not None
        history = (Path(run) / "metrics.csv").read_text("utf-8").splitlines()
        classifier = Classifier(bundle.load(exported), threads=1)
        result = {
            "variant": name,
            "components": list(components),
            "recipe": msgspec.to_builtins(config),
            "seconds": float(history[-1].split(",")[-1]),
            "measured": score(classifier, main_set, diverse, br35h, folder),
        }
    file = _result_file(options, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(name, json.dumps(result["measured"]))


def variant(components: Sequence[str], epochs: int, image_size: int, seed: int) -> TrainConfig:
    """The recipe `robust` with only these components, and smaller."""
    config = TrainConfig.from_toml(_RECIPE)
    lesions = config.augment.lesions
    chosen = LesionConfig(
        mask_loss=lesions.mask_loss if "mask" in components else 0.0,
        paste=lesions.paste if "paste" in components else 0.0,
        erase=lesions.erase if "paste" in components else 0.0,
    )
    style = config.augment.style if "style" in components else StyleConfig()
    shares = {2: config.extra_share, 1: config.extra_share / 2, 0: 0.0}
    return msgspec.structs.replace(
        config,
        epochs=epochs,
        seed=seed,
        extra_share=shares[sum(component in components for component in ("diverse", "partial"))],
        preprocess=msgspec.structs.replace(config.preprocess, image_size=image_size),
        augment=msgspec.structs.replace(config.augment, lesions=chosen, style=style),
    )


def score(
    classifier: Classifier, main_set: Manifest, diverse: Manifest, br35h: Manifest, folder: Path
) -> dict[str, Any]:
    """Rates of images, on validation images and held-out families."""
    validation = shared.images_of(main_set, "clean", splits.VALIDATION)
    probabilities = _answers(classifier, main_set, validation, folder)
    truth = np.array([CLASSES.index(main_set.records[i].label) for i in validation])
    correct = probabilities.argmax(1) == truth
    ill = truth != NO_TUMOR_INDEX
    held_out = [i for i, r in enumerate(diverse) if r.family in HELD_OUT]
    other = [i for i, r in enumerate(diverse) if r.label == OTHER_PATHOLOGY]
    tumors = shared.images_of(br35h, splits.BR35H_TUMOR, splits.VALIDATION)
    gliomas = [i for i in held_out if diverse.records[i].label == "glioma"]
    healthy = [i for i in held_out if diverse.records[i].label == NO_TUMOR]
    return {
        "validation_accuracy": float(correct.mean()),
        "validation_log_loss": float(-np.log(probabilities[np.arange(len(truth)), truth]).mean()),
        "validation_missed": float((probabilities[ill].argmax(1) == NO_TUMOR_INDEX).mean()),
        "br35h_tumor_missed": _no_tumor_rate(_answers(classifier, br35h, tumors, folder)),
        "held_out_glioma_missed": _no_tumor_rate(_answers(classifier, diverse, gliomas, folder)),
        "held_out_glioma_accuracy": _correct(classifier, diverse, gliomas, folder),
        "held_out_healthy_accuracy": _correct(classifier, diverse, healthy, folder),
        "sclerosis_called_tumor": 1 - _no_tumor_rate(_answers(classifier, diverse, other, folder)),
        "by_family": {
            family: _correct(
                classifier, diverse, [i for i in held_out if diverse.records[i].family == family],
                folder,
            )
            for family in HELD_OUT
        },
    }  # fmt: skip


def _answers(
    classifier: Classifier, manifest: Manifest, chosen: Sequence[int], folder: Path
) -> NDArray[np.float64]:
    logits = shared.logits_of(classifier, manifest, chosen, folder)
    return softmax(logits, classifier.bundle.info.temperature)


def _no_tumor_rate(probabilities: NDArray[np.float64]) -> float:
    return float((probabilities.argmax(1) == NO_TUMOR_INDEX).mean())


def _correct(
    classifier: Classifier, manifest: Manifest, chosen: Sequence[int], folder: Path
) -> float:
    answers = _answers(classifier, manifest, chosen, folder).argmax(1)
    correct = [BRAIN_TUMORS.correct_classes(manifest.records[i].label) for i in chosen]
    return float(np.mean([int(a) in c for a, c in zip(answers, correct, strict=True)]))


def _result_file(options: argparse.Namespace, name: str) -> Path:
    return Path(options.output) / f"{name.replace(' ', '-')}.json"


if __name__ == "__main__":
    main()

"""Wall time until the weights selected on validation reach the published 98.44% on `folder`.

    python -m experiments.time_to_accuracy --data MANIFEST

Trains the recipe of the shipped bundle, `folder`, from a cold image cache. The clock starts before
Python does, so it counts start-up, decoding and validation. After each epoch the weights that
validation prefers so far are set aside; the test images are scored only when training is over, so
they decide nothing. Prints a row an epoch and the first time at which the set-aside weights pass.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks import options as option_parser
from rich.console import Console
from rich.progress import track

from experiments import shared
from tumorlens.config import TrainConfig, recipe_path
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.labels import CLASSES
from tumorlens.networks.registry import network_config
from tumorlens.networks.sepsenet import SepSENet
from tumorlens.training import cache, checkpoint, provenance

PUBLISHED_ACCURACY = 0.9844


@dataclass(frozen=True)
class Moment:
    """The weights that validation preferred after ``epoch``."""

    epoch: int
    best_epoch: int
    seconds: float
    validation_accuracy: float
    test_accuracy: float


@dataclass(frozen=True)
class _Snapshot:
    seconds: float
    file: Path


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = option_parser.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="manifest of the 7,023 images")
    parser.add_argument("--recipe", default="folder")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override of the recipe"
    )
    parser.add_argument(
        "--processes", type=int, default=1, help="of torchrun; each has a batch of its own"
    )
    parser.add_argument("--run", type=Path, help="folder that keeps the run")
    parser.add_argument("--target", type=float, default=PUBLISHED_ACCURACY)
    options = parser.parse_args(arguments)
    config = TrainConfig.from_toml(recipe_path(options.recipe), options.set)
    with tempfile.TemporaryDirectory() as folder:
        snapshots = _train(options, Path(folder))
        moments = _score(snapshots, config, Manifest.load(options.data), Path(folder))
    passed = next((m for m in moments if m.test_accuracy >= options.target), None)
    option_parser.print_rows("weights after each epoch", [_printed(m) for m in moments])
    when = f"passed after {passed.seconds:.0f} s, epoch {passed.epoch}" if passed else "not reached"
    print(f"{options.target:.2%} {when}")
    result = {
        "benchmark": "time_to_accuracy",
        "protocol": "folder",
        "recipe": options.recipe,
        "overrides": options.set,
        "target": options.target,
        "processes": options.processes,
        "seconds_to_target": passed.seconds if passed else None,
        "moments": [asdict(m) for m in moments],
        "hardware": provenance.hardware(),
        "versions": provenance.package_versions(),
    }
    option_parser.save(options.output, result)


def _train(options: argparse.Namespace, folder: Path) -> list[_Snapshot]:
    """Run the ordinary command, copying its checkpoint after each epoch."""
    run = options.run or folder / "run"
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    prefix = [*launch, str(options.processes)] if options.processes > 1 else []
    command = [
        *(sys.executable, *prefix, "-m", "tumorlens", "train", options.recipe),
        *("--data", str(options.data), "--split", "folder", "--out", str(run)),
        *("--threads", "1", "--cache", str(folder / "cache")),
        *(word for override in options.set for word in ("--set", override)),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    snapshots: list[_Snapshot] = []
    started = time.monotonic()
    with subprocess.Popen(command, env=environment) as process:
        while process.poll() is None:
            if _epochs(run) > len(snapshots):
                seconds = time.monotonic() - started
                copy = folder / f"{len(snapshots)}.safetensors"
                shutil.copyfile(run / "checkpoint.safetensors", copy)
                snapshots.append(_Snapshot(seconds, copy))
            time.sleep(0.1)
    if process.returncode != 0:
        sys.exit(process.returncode)
    return snapshots


def _epochs(run: Path) -> int:
    metrics = run / "metrics.csv"
    return len(metrics.read_text("utf-8").splitlines()) - 1 if metrics.exists() else 0


def _score(
    snapshots: Sequence[_Snapshot], config: TrainConfig, manifest: Manifest, folder: Path
) -> list[Moment]:
    chosen = shared.images_of(manifest, "folder", splits.TEST)
    images = cache.cached_images(manifest, chosen, config.preprocess, folder / "cache")
    labels = np.array([CLASSES.index(manifest.records[i].label) for i in chosen])
    network = SepSENet(network_config(config))
    moments: list[Moment] = []
    for snapshot in track(snapshots, "scoring the test images", console=Console(stderr=True)):
        tensors, state = checkpoint.load_checkpoint(snapshot.file)
        best = state.history[state.best_epoch - 1]
        if moments and moments[-1].best_epoch == state.best_epoch:
            test = moments[-1].test_accuracy
        else:
            network.load_state_dict(checkpoint.without_prefix("best", tensors))
            test = _accuracy(network, images, labels, config)
        moments.append(
            Moment(
                state.epoch,
                state.best_epoch,
                round(snapshot.seconds, 1),
                best["validation_accuracy"],
                test,
            )
        )
    return moments


@torch.no_grad()
def _accuracy(
    network: SepSENet, images: np.ndarray, labels: np.ndarray, config: TrainConfig
) -> float:
    network.eval()
    settings = config.preprocess
    correct = 0
    for start in range(0, len(labels), 128):
        batch = torch.from_numpy(np.array(images[start : start + 128]))[:, None].float() / 255
        batch = (batch - settings.mean) / settings.std
        logits = network(batch)
        if config.flip_at_test:
            logits = logits + network(batch.flip(3))
        correct += int((logits.argmax(1).numpy() == labels[start : start + 128]).sum())
    return correct / len(labels)


def _printed(moment: Moment) -> dict[str, Any]:
    accuracies = ("validation_accuracy", "test_accuracy")
    return asdict(moment) | {name: f"{getattr(moment, name):.2%}" for name in accuracies}


if __name__ == "__main__":
    main()

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from tests.answers import predict_inputs

from tumorlens import bundle
from tumorlens.config import TrainConfig
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import Split
from tumorlens.errors import CheckpointError, OutputExistsError
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.record import Prediction
from tumorlens.training.data import TrainingData
from tumorlens.training.runner import RunOptions, train

Data = tuple[Manifest, Split]


def test_network_learns_and_the_bundle_answers(finished: Path, square_set: Data) -> None:
    manifest, split = square_set
    classifier = Classifier(bundle.load(finished / "bundle"))
    parts = split.parts(manifest)
    held = [r for r, part in zip(manifest, parts, strict=True) if part == "validation"]
    answers = list(predict_inputs(classifier, [manifest.file(r) for r in held]))
    right = [
        isinstance(a, Prediction) and a.label == r.label for a, r in zip(answers, held, strict=True)
    ]
    assert sum(right) / len(right) > 0.8


def test_record_is_complete(finished: Path, square_set: Data, tiny_config: TrainConfig) -> None:
    manifest, split = square_set
    run = json.loads((finished / "run.json").read_text())
    assert run["recipe"] == json.loads(msgspec.json.encode(tiny_config))
    assert run["data_sha256"] == manifest.sha256
    assert run["split"] == {"name": "squares", "sha256": split.info.sha256, "disjoint": True}
    assert run["images"] == {"train": 60, "validation": 20}
    assert run["seed"] == 0
    assert {"python", "torch", "onnxruntime"} <= set(run["versions"])
    assert run["hardware"]["threads"] == 1
    assert run["wall_time_s"] > 0
    assert run["bundle"]["model_sha256"] == bundle.load(finished / "bundle").sha256


def test_journal_has_every_epoch(finished: Path, tiny_config: TrainConfig) -> None:
    rows = _metrics(finished)
    assert [int(row["epoch"]) for row in rows] == list(range(1, tiny_config.epochs + 1))
    best = json.loads((finished / "run.json").read_text())["best_epoch"]
    losses = [float(row["validation_loss"]) for row in rows]
    assert losses[best - 1] == min(losses)
    assert (finished / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert list((finished / "tensorboard").iterdir())


def test_the_epoch_is_chosen_by_losses_as_bundles_have_them(finished: Path) -> None:
    measured = bundle.load(finished / "bundle").info.metrics["validation"]["log_loss"]
    losses = [float(row["validation_loss"]) for row in _metrics(finished)]
    assert min(losses) == pytest.approx(measured, rel=0.02)


def test_run_in_the_way_is_kept(finished: Path, square_set: Data, tiny_config: TrainConfig) -> None:
    before = (finished / "checkpoint.safetensors").read_bytes()
    with pytest.raises(OutputExistsError, match="already contains a run"):
        train(tiny_config, TrainingData(*square_set), finished)
    assert (finished / "checkpoint.safetensors").read_bytes() == before


def test_checkpoint_of_another_recipe_is_refused(
    finished: Path, square_set: Data, tiny_config: TrainConfig
) -> None:
    other = msgspec.structs.replace(tiny_config, seed=5)
    with pytest.raises(CheckpointError, match="another recipe"):
        train(other, TrainingData(*square_set), finished, RunOptions(resume=True))


def test_killed_at_any_moment_and_resumed_gives_identical_weights(
    finished: Path, square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    command = _command(square_set, tiny_config, tmp_path, out)
    moment = random.Random(11)
    for epochs_before_kill in (3, 9, 17):
        with subprocess.Popen([*command, "--resume"], stderr=subprocess.DEVNULL) as process:
            _wait_for_epoch(out, epochs_before_kill, process)
            time.sleep(moment.uniform(0.0, 0.15))
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    # What a kill in the middle of a write leaves behind must not matter either.
    (out / ".checkpoint.safetensors.123").write_bytes(b"half a checkpoint")
    subprocess.run([*command, "--resume"], check=True, stderr=subprocess.DEVNULL)
    assert bundle.load(out / "bundle").model == bundle.load(finished / "bundle").model
    rows = _metrics(out)
    assert [int(row["epoch"]) for row in rows] == list(range(1, tiny_config.epochs + 1))


def test_two_processes_train_one_network(
    square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    out = tmp_path / "two"
    config = msgspec.structs.replace(tiny_config, epochs=2)
    arguments = _command(square_set, config, tmp_path, out)[3:]
    launch = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone"]
    subprocess.run(
        [*launch, "--nproc-per-node", "2", "-m", "tumorlens", *arguments],
        check=True,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    run = json.loads((out / "run.json").read_text())
    assert run["processes"] == 2
    assert bundle.load(out / "bundle").info.training["epochs"] == 2


def _command(data: Data, config: TrainConfig, folder: Path, out: Path) -> list[str]:
    """The command line that trains ``config``, as a user would write it."""
    recipe = folder / "recipe.toml"
    recipe.write_text(_toml(msgspec.to_builtins(config)))
    home = data[0].folder
    return [
        *(sys.executable, "-m", "tumorlens", "train", str(recipe)),
        *("--data", str(home / "manifest.csv"), "--split", str(home / "squares.csv")),
        *("--out", str(out), "--threads", "1", "--cache", str(folder / "cache")),
        *("--name", "squares"),
    ]


def _toml(values: dict[str, object], prefix: str = "") -> str:
    """Enough TOML for a recipe: JSON scalars and arrays, one section a table."""
    plain = {k: v for k, v in values.items() if v is not None and not isinstance(v, dict)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    for key, value in values.items():
        if isinstance(value, dict):
            lines += [f"[{prefix}{key}]", _toml(value, f"{prefix}{key}.")]
    return "\n".join(lines)


def _metrics(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))


def _wait_for_epoch(out: Path, epoch: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        metrics = out / "metrics.csv"
        if metrics.exists() and len(metrics.read_text().splitlines()) > epoch:
            return
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    pytest.fail(f"epoch {epoch} was not reached")

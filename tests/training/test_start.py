import csv
import json
from pathlib import Path

import msgspec
import pytest

from tumorlens import bundle
from tumorlens.config import TrainConfig
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import Split
from tumorlens.errors import CheckpointError
from tumorlens.evaluation import folds
from tumorlens.labels import CLASSES
from tumorlens.training.data import Extra, TrainingData
from tumorlens.training.runner import RunOptions, train

Data = tuple[Manifest, Split]


def _options(folder: Path, start: Path | None = None) -> RunOptions:
    return RunOptions("squares", threads=1, cache_folder=folder / "cache", start_from=start)


def _first_loss(run: Path) -> float:
    with (run / "metrics.csv").open() as file:
        return float(next(csv.DictReader(file))["train_loss"])


def _short(config: TrainConfig, rate: float) -> TrainConfig:
    optimizer = msgspec.structs.replace(config.optimizer, learning_rate=rate, warmup_epochs=0.0)
    return msgspec.structs.replace(config, epochs=1, optimizer=optimizer)


def test_a_run_starts_where_the_other_ended_and_says_so(
    finished: Path, square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    timid = _short(tiny_config, 1e-9)
    made = train(timid, TrainingData(*square_set), tmp_path, _options(tmp_path, finished))
    assert made is not None
    before = json.loads((finished / "run.json").read_text())
    after = json.loads((tmp_path / "run.json").read_text())
    told = after["start_from"]
    assert told["model_sha256"] == before["bundle"]["model_sha256"]
    assert told["train_images"] == before["train_images"]
    assert told["recipe"] == before["recipe"]
    assert _first_loss(tmp_path) < 0.85 * _first_loss(finished)
    assert bundle.load(made).info.training["start_from"] == told


def test_weights_that_saw_another_split_are_refused(
    finished: Path, square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    manifest, split = square_set
    info = msgspec.structs.replace(split.info, name="other", sha256="0" * 64)
    other = Split(info, split.rows)
    with pytest.raises(CheckpointError, match="may have trained it"):
        train(tiny_config, TrainingData(manifest, other), tmp_path, _options(tmp_path, finished))


def test_a_source_that_the_weights_saw_cannot_be_left_out(
    finished: Path, square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    data = TrainingData(*square_set, held_out_sources=["elsewhere"])
    with pytest.raises(CheckpointError, match="cannot leave out elsewhere"):
        train(tiny_config, data, tmp_path, _options(tmp_path, finished))


def test_a_network_of_other_dimensions_is_refused(
    finished: Path, square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    assert not isinstance(tiny_config.model, str)
    wider = tuple(2 * width for width in tiny_config.model.widths)
    model = msgspec.structs.replace(tiny_config.model, widths=wider)
    config = msgspec.structs.replace(tiny_config, model=model)
    with pytest.raises(CheckpointError, match="other dimensions"):
        train(config, TrainingData(*square_set), tmp_path, _options(tmp_path, finished))


def test_an_unfinished_run_is_refused(
    finished: Path, square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    half = tmp_path / "half"
    half.mkdir()
    (half / "checkpoint.safetensors").write_bytes(
        (finished / "checkpoint.safetensors").read_bytes()
    )
    with pytest.raises(CheckpointError, match="no finished run"):
        train(tiny_config, TrainingData(*square_set), tmp_path, _options(tmp_path, half))


def test_what_trained_the_first_weights_counts_as_seen(
    finished: Path, square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    """Or an evaluation would take the earlier run's images for another hospital's."""
    manifest, split = square_set
    half = Manifest(manifest.records[:40], manifest.folder)
    other = Manifest(tuple(r for r in manifest if r.label != CLASSES[0]), manifest.folder)
    config = msgspec.structs.replace(_short(tiny_config, 1e-3), extra_share=0.25)
    first, second = tmp_path / "first", tmp_path / "second"
    data = TrainingData(manifest, split, [Extra(half)])
    train(config, data, first, _options(tmp_path, finished))
    again = TrainingData(manifest, split, [Extra(other)])
    made = train(config, again, second, _options(tmp_path, first))
    assert made is not None
    seen = folds.data_hashes(bundle.load(made).info.training)
    assert seen == [manifest.sha256, other.sha256, half.sha256]

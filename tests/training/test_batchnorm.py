"""An exported network becomes one that can be trained on."""

from pathlib import Path

import msgspec
import pytest
import torch
from torch import Tensor

from tumorlens import bundle
from tumorlens.config import ModelConfig, TrainConfig, recipe_path
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import Split
from tumorlens.errors import CheckpointError
from tumorlens.networks import registry
from tumorlens.networks.sepsenet import SepSENet
from tumorlens.training import batchnorm
from tumorlens.training.data import TrainingData
from tumorlens.training.runner import RunOptions, train
from tumorlens.training.start import Start

TINY = ModelConfig(name="tiny", widths=(4, 8), depths=(1, 2), strides=(2, 2), kernel_size=3)


def _trained(seed: int) -> SepSENet:
    """A network none of whose vectors is at its start; the export joins equal ones."""
    torch.manual_seed(seed)
    network = SepSENet(TINY)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.ndim == 1:
                value.uniform_(0.5, 2.0)
    return network.eval()


def _folded(network: SepSENet) -> dict[str, Tensor]:
    from tumorlens.training.export import to_onnx

    return batchnorm.exported_weights(to_onnx(network, 32, flip=True))


def test_an_unfolded_network_answers_as_before_whatever_it_settles_on() -> None:
    before, after = _trained(0), SepSENet(TINY)
    images = torch.randn(6, 1, 32, 32)
    batchnorm.unfuse_batchnorm(after, _folded(before))
    with torch.no_grad():
        torch.testing.assert_close(after.eval()(images), before(images))
        batchnorm.recalibrate_batchnorm(after, 3 * torch.randn(8, 1, 32, 32) + 1)
        torch.testing.assert_close(after(images), before(images), rtol=1e-4, atol=1e-4)


def test_a_settled_network_answers_alike_in_training_mode() -> None:
    after = SepSENet(msgspec.structs.replace(TINY, dropout=0.0))
    batchnorm.unfuse_batchnorm(after, _folded(_trained(1)))
    images = torch.randn(64, 1, 32, 32)
    with torch.no_grad():
        expected = after.eval()(images)
        unsettled = (after.train()(images) - expected).abs().max()
        batchnorm.unfuse_batchnorm(after, _folded(_trained(1)))
        batchnorm.recalibrate_batchnorm(after, images)
        difference = (after.train()(images) - expected).abs().max()
    assert 10 * difference < unsettled


def test_what_does_not_fit_is_refused() -> None:
    folded = _folded(_trained(2))
    wider = SepSENet(msgspec.structs.replace(TINY, widths=(8, 16)))
    with pytest.raises(CheckpointError, match="other dimensions"):
        batchnorm.unfuse_batchnorm(wider, folded)
    lesion = SepSENet(msgspec.structs.replace(TINY, lesion_head=True))
    with pytest.raises(CheckpointError, match="other dimensions"):
        batchnorm.unfuse_batchnorm(lesion, folded)
    with pytest.raises(CheckpointError, match=r"lacks: unknown\.weight"):
        batchnorm.unfuse_batchnorm(SepSENet(TINY), folded | {"unknown.weight": torch.zeros(1)})


def test_the_bundle_in_the_box_can_be_trained_on() -> None:
    network = registry.build(TrainConfig.from_toml(recipe_path("default")))
    start = Start.load(Path("default"))
    images = torch.randn(2, 1, 144, 144)
    start.copy_into(network, images)
    from tumorlens.inference.session import Session

    expected = Session(bundle.load()).run(images.numpy()).logits
    with torch.no_grad():
        logits = network.eval()(images)
    torch.testing.assert_close(logits, torch.from_numpy(expected), rtol=1e-2, atol=1e-2)


def test_weights_without_symmetry_do_not_start_a_symmetric_network() -> None:
    network = registry.build(TrainConfig.from_toml(recipe_path("default")))
    with pytest.raises(CheckpointError, match="--set model=attentive"):
        Start.load(Path("folder")).copy_into(network, torch.randn(2, 1, 144, 144))


def test_a_head_that_the_bundle_lacks_starts_at_random(
    finished: Path, tiny_config: TrainConfig
) -> None:
    weights = batchnorm.exported_weights(bundle.load(finished / "bundle").model)
    assert not [name for name in weights if name.startswith("sequence.")]
    network = registry.build(msgspec.structs.replace(tiny_config, sequence_weight=0.1))
    assert network.sequence is not None
    before = {n: v.clone() for n, v in network.sequence.state_dict().items()}
    batchnorm.unfuse_batchnorm(network, weights)
    after = network.sequence.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    torch.testing.assert_close(network.state_dict()["classifier.bias"], weights["classifier.bias"])


def test_a_run_starts_from_a_bundle(
    finished: Path, square_set: tuple[Manifest, Split], tiny_config: TrainConfig, tmp_path: Path
) -> None:
    options = RunOptions(threads=1, cache_folder=tmp_path / "cache", init=finished / "bundle")
    config = msgspec.structs.replace(tiny_config, epochs=1)
    folder = train(config, TrainingData(*square_set), tmp_path / "run", options)
    assert folder is not None
    first, second = bundle.load(finished / "bundle"), bundle.load(folder)
    assert second.info.training["start_from"]["model_sha256"] == first.sha256
    # One epoch from random weights does not get there.
    assert second.info.metrics["validation"]["accuracy"] > 0.8

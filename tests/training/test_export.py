import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tumorlens.bundle import BundleInfo, NetworkFacts, load, save
from tumorlens.config import PreprocessConfig
from tumorlens.errors import BundleError
from tumorlens.inference.session import Session, open_graph
from tumorlens.labels import CLASSES
from tumorlens.networks.registry import ARCHITECTURES
from tumorlens.networks.sepsenet import SepSENet
from tumorlens.training import export

SIZE = 64


@pytest.fixture(scope="module")
def network() -> SepSENet:
    """Random weights, and batch-norm statistics that folding must get right."""
    torch.manual_seed(1)
    network = SepSENet(ARCHITECTURES["nano"])
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(0.5 + 2 * torch.randn(8, 1, SIZE, SIZE))
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.5, 0.5)
    return network.eval()


def _session(model: bytes, folder: object) -> Session:
    info = BundleInfo(
        name="n",
        version="0",
        preprocess=PreprocessConfig(image_size=SIZE),
        network=NetworkFacts(architecture={}, parameters=1, macs=1),
        training={},
        metrics={},
    )
    save(str(folder), info, model)
    return Session(load(str(folder)), threads=1)


def test_folding_norms_keeps_the_function(network: SepSENet) -> None:
    x = torch.randn(4, 1, SIZE, SIZE)
    fused = export.fuse_norms(network)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fused.modules())
    with torch.no_grad():
        torch.testing.assert_close(fused(x), network(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("flip", [False, True])
def test_file_agrees_with_torch_for_any_batch(
    network: SepSENet, flip: bool, tmp_path: object
) -> None:
    session = _session(export.to_onnx(network, SIZE, flip=flip), tmp_path)
    for count in (1, 5):
        x = np.random.default_rng(count).normal(size=(count, 1, SIZE, SIZE)).astype(np.float32)
        out = session.run(x)
        assert export.check_parity(network, out.logits, x, flip=flip) < 1e-4
        assert out.cam.shape == (count, 4, SIZE // 16, SIZE // 16)
        bias = network.classifier.bias.detach().numpy()
        np.testing.assert_allclose(out.cam.mean((2, 3)) + bias, out.logits, atol=1e-4)


def test_mirrored_image_gets_the_same_answer_and_a_mirrored_map(
    network: SepSENet, tmp_path: object
) -> None:
    session = _session(export.to_onnx(network, SIZE, flip=True), tmp_path)
    x = np.random.default_rng(0).normal(size=(2, 1, SIZE, SIZE)).astype(np.float32)
    one, other = session.run(x), session.run(x[..., ::-1].copy())
    np.testing.assert_allclose(one.logits, other.logits, atol=1e-5)
    np.testing.assert_allclose(one.cam, other.cam[..., ::-1], atol=1e-5)


def test_difference_is_refused(network: SepSENet) -> None:
    x = np.zeros((1, 1, SIZE, SIZE), dtype=np.float32)
    with pytest.raises(BundleError, match="differs from the trained one"):
        export.check_parity(network, np.full((1, 4), 9.0, dtype=np.float32), x, flip=False)


def test_file_says_nothing_of_the_machine_that_made_it(network: SepSENet) -> None:
    data = export.to_onnx(network, SIZE)
    onnx.checker.check_model(onnx.load_from_string(data))
    for trace in (b"site-packages", b".py", b"/home", b"tumorlens/training"):
        assert trace not in data
    assert data == export.to_onnx(network, SIZE)


def test_metadata_says_what_the_file_is_and_changes_no_answer(
    network: SepSENet, tmp_path: Path
) -> None:
    plain = export.to_onnx(network, SIZE)
    info = BundleInfo(
        name="n",
        version="7",
        preprocess=PreprocessConfig(image_size=SIZE),
        network=NetworkFacts(architecture={}, parameters=1, macs=1),
        training={},
        metrics={},
    )
    described = export.with_metadata(plain, info)
    assert export.with_metadata(described, info) == described
    x = np.random.default_rng(0).normal(size=(1, 1, SIZE, SIZE)).astype(np.float32)
    graphs = [open_graph(model, "graph", 1) for model in (plain, described)]
    np.testing.assert_array_equal(*(graph.run(["logits"], {"image": x})[0] for graph in graphs))
    stated = graphs[1].get_modelmeta().custom_metadata_map
    assert json.loads(stated["classes"]) == list(CLASSES)
    assert json.loads(stated["preprocess"])["image_size"] == SIZE
    assert (stated["name"], stated["version"], stated["licence"]) == ("n", "7", info.licence)
    bare = onnx.load_from_string(described)
    del bare.metadata_props[:]
    digest = hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest()
    assert stated["graph_sha256"] == digest

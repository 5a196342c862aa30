"""The gate learns to tell heads from drawn images, and its file answers as the network does."""

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from tumorlens.bundle import GateFacts
from tumorlens.datasets.importers import import_folder
from tumorlens.datasets.manifest import Manifest
from tumorlens.errors import BundleError
from tumorlens.imaging.raster import encode
from tumorlens.inference.gate import GATE_PREPROCESS, GATE_SIZE, REFUSAL, Gate
from tumorlens.labels import NOT_BRAIN_MRI, OTHER_PATHOLOGY
from tumorlens.preprocessing import normalize, preprocess
from tumorlens.training.data import Extra
from tumorlens.training.gate import (
    GateNetwork,
    GateRun,
    WeightedImages,
    draw_outliers,
    export_gate,
    load_images,
    train_gate,
)

FACTS = GateFacts(preprocess=GATE_PREPROCESS, threshold=0.0, chosen_on="for tests")


@pytest.fixture(scope="module")
def heads(head: np.ndarray) -> np.ndarray:
    """Forty noisy versions of one head."""
    rng = np.random.default_rng(0)
    noisy = [np.clip(head + rng.normal(0, 20, head.shape), 0, 255) for _ in range(40)]
    return np.stack([preprocess(one.astype(np.float32), GATE_PREPROCESS) for one in noisy])


@pytest.fixture(scope="module")
def network(heads: np.ndarray) -> GateNetwork:
    return train_gate(
        WeightedImages.alike(heads), run=GateRun(steps=120, batch_size=32, outliers=300)
    )


def test_heads_pass_and_drawn_images_do_not(network: GateNetwork, heads: np.ndarray) -> None:
    gate = Gate(FACTS, export_gate(network), "test")
    drawn = draw_outliers(np.random.default_rng(99), heads, 60)
    assert np.mean(gate.scores(heads)) > np.mean(gate.scores(drawn)) + 1
    refused = gate.refusals(gate.scores(drawn))
    assert np.mean([bool(reason) for reason in refused]) > 0.6
    assert set(refused) <= {"", REFUSAL}
    assert np.mean([not reason for reason in gate.refusals(gate.scores(heads))]) > 0.8


def test_near_misses_are_learnt(heads: np.ndarray) -> None:
    """Images that resemble heads, but are labelled as none, are told apart once they train."""
    near = WeightedImages.alike(255 - heads)
    run = GateRun(steps=120, batch_size=32, outliers=300)
    gate = Gate(FACTS, export_gate(train_gate(WeightedImages.alike(heads), near, run)), "test")
    assert np.mean(gate.scores(heads)) > np.mean(gate.scores(near.images)) + 2


def test_images_are_heads_or_near_misses_and_some_are_held_out(
    head: np.ndarray, tmp_path: Path
) -> None:
    (tmp_path / "glioma").mkdir()
    for index in range(6):
        (tmp_path / "glioma" / f"{index}.png").write_bytes(encode.png(head + np.uint8(index)))
    listed = import_folder(tmp_path, tmp_path / "m.csv")
    about: list[dict[str, Any]] = [
        {"source": "one"}, {"family": "two"}, {"label": OTHER_PATHOLOGY},
        {"label": NOT_BRAIN_MRI, "sequence": "head_ct"},
        {"label": NOT_BRAIN_MRI, "sequence": "fundus"},
        {"label": NOT_BRAIN_MRI, "source": "one", "sequence": "fundus"},
    ]  # fmt: skip
    records = [dataclasses.replace(r, **a) for r, a in zip(listed, about, strict=True)]
    sets = [Extra(Manifest(tuple(records), tmp_path))]
    heads, near = load_images(sets, [], tmp_path / "cache")
    assert (len(heads.images), len(near.images)) == (3, 3)
    assert heads.weights.sum() == near.weights.sum() == pytest.approx(1.0)
    heads, near = load_images(sets, ["one", "two", "head_ct"], tmp_path / "cache")
    assert (len(heads.images), len(near.images)) == (1, 1)


def test_exported_file_answers_as_the_network(network: GateNetwork, heads: np.ndarray) -> None:
    gate = Gate(FACTS, export_gate(network), "test")
    with torch.no_grad():
        expected = network(torch.from_numpy(normalize(heads[:5], GATE_PREPROCESS))).numpy()
    np.testing.assert_allclose(gate.scores(heads[:5]), expected, atol=1e-4)


def test_threshold_decides(network: GateNetwork, heads: np.ndarray) -> None:
    model = export_gate(network)
    strict = Gate(msgspec.structs.replace(FACTS, threshold=1e6), model, "test")
    assert all(strict.refusals(strict.scores(heads[:3])))
    lax = Gate(msgspec.structs.replace(FACTS, threshold=-1e6), model, "test")
    assert not any(lax.refusals(lax.scores(heads[:3])))


def test_a_file_that_is_no_gate(tiny_onnx: object) -> None:
    with pytest.raises(BundleError, match=r"gate\.onnx cannot be used"):
        Gate(FACTS, b"nonsense", "test")
    assert callable(tiny_onnx)
    with pytest.raises(BundleError, match="needed are"):
        Gate(FACTS, tiny_onnx(), "test")


def test_small(network: GateNetwork) -> None:
    assert sum(p.numel() for p in network.parameters()) < 50_000
    assert GATE_PREPROCESS.image_size == GATE_SIZE

"""The layout of a Hugging Face repository, on a folder: no hub is needed."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from numpy.typing import NDArray

import tumorlens
from tumorlens import bundle
from tumorlens.cli.models import command
from tumorlens.errors import OutputExistsError
from tumorlens.inference.session import open_graph
from tumorlens.labels import CLASSES
from tumorlens.training import huggingface
from tumorlens.training.start import Start

onnx = pytest.importorskip("onnx", reason="needs the train extra")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "phantom"
    result = CliRunner().invoke(command, ["export", "phantom", "--out", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


def test_the_folder_answers_as_the_bundle(exported: Path, head: NDArray[np.uint8]) -> None:
    found, before = tumorlens.load(exported, threads=1), tumorlens.load("phantom", threads=1)
    answer, expected = found.predict(head), before.predict(head)
    assert isinstance(answer, tumorlens.Answer)
    assert isinstance(expected, tumorlens.Answer)
    assert answer.result == expected.result
    assert bundle.load(exported).info == bundle.load("phantom").info


def test_weights_are_those_of_the_graph(exported: Path) -> None:
    from safetensors.numpy import load_file

    tensors = load_file(exported / huggingface.WEIGHTS_FILE)
    model = onnx.load(exported / bundle.MODEL_FILE)
    assert set(tensors) == {one.name for one in model.graph.initializer}
    # Put back into an empty graph they give the same logits.
    for one in model.graph.initializer:
        one.CopyFrom(onnx.numpy_helper.from_array(tensors[one.name], one.name))
    size = bundle.load(exported).info.preprocess.image_size
    image = np.random.default_rng(0).normal(size=(1, 1, size, size)).astype(np.float32)
    runs = [
        open_graph(data, "graph", 1).run(["logits"], {"image": image})[0]
        for data in (model.SerializeToString(), (exported / bundle.MODEL_FILE).read_bytes())
    ]
    np.testing.assert_array_equal(*runs)


def test_training_starts_from_it(exported: Path) -> None:
    mine, theirs = Start.load(exported), Start.load(Path("phantom"))
    assert mine.sha256 == theirs.sha256


def test_config_and_card(exported: Path) -> None:
    config = json.loads((exported / huggingface.CONFIG_FILE).read_text("utf-8"))
    assert tuple(config["id2label"].values()) == CLASSES
    assert config["label2id"]["glioma"] == 0
    assert config["image_size"] == bundle.load("phantom").info.preprocess.image_size
    _, header, text = (exported / huggingface.CARD_FILE).read_text("utf-8").split("---\n", 2)
    fields = yaml.safe_load(header)
    assert fields["license"] == "apache-2.0"
    assert fields["library_name"] == "tumorlens"
    assert fields["pipeline_tag"] == "image-classification"
    assert bundle.load("phantom").sha256 in text


def test_a_licence_with_its_reason_is_known() -> None:
    _, header, _ = huggingface.card(bundle.load("default")).split("---\n", 2)
    assert yaml.safe_load(header)["license"] == "cc-by-nc-sa-4.0"


def test_nothing_is_written_over(exported: Path) -> None:
    with pytest.raises(OutputExistsError, match="is not empty"):
        huggingface.export(bundle.load("phantom"), exported)

"""Networks of which it is known what they look at, and heads with known tumours."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from tumorlens import bundle
from tumorlens.config import PreprocessConfig
from tumorlens.datasets.manifest import Record
from tumorlens.evaluation.probes.data import ProbeData, answer
from tumorlens.inference.classifier import Classifier
from tumorlens.labels import CLASSES

SIDE = 64
LinearClassifier = Callable[[NDArray[np.float64], NDArray[np.float64]], Classifier]
Take = Callable[[Classifier, int], ProbeData]


@pytest.fixture(scope="session")
def linear_classifier(tmp_path_factory: pytest.TempPathFactory) -> LinearClassifier:
    """Makes a network whose logits are mean(image * weights) + bias; image 0 to 1."""

    def make(weights: NDArray[np.float64], bias: NDArray[np.float64]) -> Classifier:
        folder = tmp_path_factory.mktemp("linear")
        info = bundle.BundleInfo(
            name="linear",
            version="1.0.0",
            preprocess=PreprocessConfig(image_size=SIDE, mean=0.0, std=1.0),
            network=bundle.NetworkFacts(architecture={}, parameters=1, macs=1),
            training={},
            metrics={},
        )
        return Classifier(bundle.save(folder, info, _linear_onnx(weights, bias)), threads=1)

    return make


@pytest.fixture(scope="session")
def brightness_classifier(linear_classifier: LinearClassifier) -> Classifier:
    """Answers glioma for a bright head, no tumour for a darker one."""
    weights = np.zeros((4, SIDE, SIDE))
    weights[CLASSES.index("glioma")] = 100.0
    bias = np.array([0.0, -99.0, 19.9, -99.0])
    return linear_classifier(weights, bias)


@pytest.fixture(scope="session")
def take() -> Take:
    """Takes ``count`` heads with a bright tumour on one side and as many without one."""
    return _data


def _data(classifier: Classifier, count: int) -> ProbeData:
    rows, columns = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    head = np.hypot(rows / 0.9, columns / 0.75) < 1
    images, masks, labels = [], [], []
    for i in range(2 * count):
        ill = i % 2 == 0
        random = np.random.default_rng(i)
        texture = gaussian_filter(random.normal(size=(SIDE, SIDE)), 3)
        texture = (texture + texture[:, ::-1]) / 2
        image = np.where(head, 0.35 + 0.6 * texture, 0.0)
        y, x = random.uniform(-0.3, 0.3), random.choice([-0.35, 0.35])
        mask = np.hypot(rows - y, columns - x) < 0.24 if ill else np.zeros_like(head)
        images.append(np.where(mask, 0.95, image))
        masks.append(mask)
        labels.append(CLASSES.index("glioma" if ill else "notumor"))
    pixels = np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)
    return ProbeData(
        classifier,
        tuple(_record(i, CLASSES[label]) for i, label in enumerate(labels)),
        pixels,
        np.array(masks),
        np.array(labels),
        answer(classifier, pixels),
        tuple(f"P{i}" for i in range(2 * count)),
    )


def _record(i: int, label: str) -> Record:
    return Record(f"{i}.png", label, "", f"{i:08x}", "", SIDE, SIDE, "L", f"P{i}", "test")


def _linear_onnx(weights: NDArray[np.float64], bias: NDArray[np.float64]) -> bytes:
    onnx = pytest.importorskip("onnx", reason="needs the train extra")
    node, value, float_ = onnx.helper.make_node, onnx.helper.make_tensor_value_info, 1
    arrays = {
        "weights": weights[np.newaxis].astype(np.float32),
        "bias": bias.reshape(1, 4).astype(np.float32),
        "axes": np.array([2, 3], np.int64),
    }
    graph = onnx.helper.make_graph(
        [
            node("Mul", ["image", "weights"], ["cam"]),
            node("ReduceMean", ["cam", "axes"], ["embedding"], keepdims=0),
            node("Add", ["embedding", "bias"], ["logits"]),
        ],
        "linear",
        [value("image", float_, ["N", 1, SIDE, SIDE])],
        [
            value("logits", float_, ["N", 4]),
            value("cam", float_, ["N", 4, "h", "w"]),
            value("embedding", float_, ["N", 4]),
        ],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opset = onnx.helper.make_opsetid("", 18)
    made = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)
    data: bytes = made.SerializeToString()
    return data

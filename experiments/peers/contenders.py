"""What is compared: a bundle, or a published package."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
from experiments.peers import packages
from experiments.peers.packages import Package, Worker
from numpy.typing import NDArray

from tumorlens import bundle, preprocessing
from tumorlens.bundle import Bundle
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.errors import EvaluationError
from tumorlens.evaluation import evaluator
from tumorlens.evaluation.probes.data import answer
from tumorlens.imaging.raster import encode
from tumorlens.inference.classifier import Classifier
from tumorlens.labels import CLASSES

Answers = NDArray[np.int64]


class Contender(Protocol):
    """One row of the table."""

    name: str
    facts: dict[str, Any]
    """Its kind, size and cost; JSON types."""

    def answers(self, manifest: Manifest, records: Sequence[Record]) -> Answers:
        """The class of each record (N,)."""

    def corrupted_answers(self, versions: Sequence[NDArray[np.float32]]) -> Answers:
        """The class of each version (K,) of an image, 0 to about 1."""

    def predict(self, path: Path) -> object:
        """Classify one file, as users do; this is timed."""


class BundleContender:
    """A bundle of ours or of a peer, run on one core."""

    def __init__(self, name: str, loaded: Bundle) -> None:
        """It never abstains, because the network is measured."""
        self.name = name
        self._classifier = Classifier(loaded, threads=1, answer_all=True)
        info = loaded.info
        recipe = info.training.get("recipe", {})
        self.facts: dict[str, Any] = {
            "kind": "bundle",
            "sha256": loaded.sha256,
            "parameters": info.network.parameters,
            "macs": info.network.macs,
            "file_bytes": len(loaded.model),
            "image_size": info.preprocess.image_size,
            "epochs": recipe.get("epochs"),
            "seed": recipe.get("seed"),
        }

    def answers(self, manifest: Manifest, records: Sequence[Record]) -> Answers:
        """As ``Contender.answers``."""
        probabilities = evaluator.score(self._classifier, manifest, records).probabilities
        predicted: Answers = probabilities.argmax(axis=1).astype(np.int64)
        return predicted

    def corrupted_answers(self, versions: Sequence[NDArray[np.float32]]) -> Answers:
        """As ``Contender.corrupted_answers``."""
        config = self._classifier.bundle.info.preprocess
        return answer(
            self._classifier,
            np.stack([preprocessing.preprocess(version, config) for version in versions]),
        )

    def predict(self, path: Path) -> object:
        """As ``Contender.predict``."""
        return self._classifier.predict(path)


class PackageContender:
    """A package, in a process of its own."""

    def __init__(self, package: Package, worker: Worker) -> None:
        """The caller closes ``worker``."""
        self.name = package.name
        self._worker = worker
        facts = dict(worker.facts)
        graph = facts.pop("onnx", None)
        if graph is not None:
            facts["parameters"], facts["macs"] = graph_cost(Path(graph))
        self.facts: dict[str, Any] = {
            "kind": "package",
            "requirement": package.requirements[0],
            "licence": package.licence,
            "what": package.what,
            **facts,
        }

    def answers(self, manifest: Manifest, records: Sequence[Record]) -> Answers:
        """As ``Contender.answers``."""
        paths = [manifest.file(record) for record in records]
        return self._all(paths)

    def corrupted_answers(self, versions: Sequence[NDArray[np.float32]]) -> Answers:
        """As ``Contender.corrupted_answers``, from 8-bit PNG files: it takes only files."""
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{number}.png" for number in range(len(versions))]
            for path, pixels in zip(paths, versions, strict=True):
                scaled = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)
                path.write_bytes(encode.png(scaled))
            return self._all(paths)

    def predict(self, path: Path) -> object:
        """As ``Contender.predict``."""
        return self._worker.predict(path)

    def _all(self, paths: Sequence[Path]) -> Answers:
        names = [self._worker.predict(path) for path in paths]
        return np.array([CLASSES.index(name) for name in names], dtype=np.int64)


def graph_cost(path: Path) -> tuple[int, int]:
    """Parameters, and multiply-accumulates for a batch of one, of an ONNX file."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    weights = {
        tensor.name: list(tensor.dims) for tensor in graph.initializer if tensor.data_type == 1
    }
    shapes = {
        value.name: [side.dim_value or 1 for side in value.type.tensor_type.shape.dim]
        for value in [*graph.value_info, *graph.output]
    }
    macs = 0
    for node in graph.node:
        weight = weights.get(node.input[1]) if len(node.input) > 1 else None
        if weight is None:
            continue
        if node.op_type == "Conv":
            macs += int(np.prod(shapes[node.output[0]]) * np.prod(weight[1:]))
        elif node.op_type in {"Gemm", "MatMul"}:
            macs += int(np.prod(weight))
    return sum(int(np.prod(shape)) for shape in weights.values()), macs


def of_split(split: str, runs: Path | None, names: Sequence[str]) -> list[BundleContender]:
    """The trained runs below ``runs`` and the bundles ``names`` that were trained on ``split``.

    Raises ``EvaluationError`` where two have one name.
    """
    folders = sorted(file.parent for file in runs.glob("*/bundle/bundle.json")) if runs else []
    contenders: dict[str, BundleContender] = {}
    sources: list[str | Path] = [*folders, *names]
    for source in sources:
        loaded = bundle.load(source)
        if loaded.info.training.get("split", {}).get("name") != split:
            continue
        name = _name(loaded, source)
        if name in contenders:
            raise EvaluationError(f"{split}: two bundles are named {name!r}; score one of them")
        contenders[name] = BundleContender(name, loaded)
    return list(contenders.values())


@contextmanager
def of_packages(environments: Path | None) -> Iterator[list[PackageContender]]:
    """The packages that ``packages.install`` installed, running until the ``with`` ends."""
    with ExitStack() as stack:
        contenders = []
        if environments is not None:
            for package in packages.installed(environments):
                worker = Worker(packages.python(environments, package), package.name)
                contenders.append(PackageContender(package, stack.enter_context(worker)))
        yield contenders


def _name(loaded: Bundle, source: str | Path) -> str:
    """The bundle's name, or that of its run if it was never named."""
    return loaded.info.name if loaded.info.name != "model" else Path(source).resolve().parent.name

"""A bundle in the layout of a Hugging Face repository: a folder that needs no hub.

``model.safetensors`` holds the weights of the graph by name, ``config.json`` what a reader of
weights must know, ``README.md`` is the model card with its YAML header. ``bundle.json`` and the
ONNX files make the same folder a bundle, so that `tumorlens predict --bundle` and
`tumorlens train --init` take it as it is.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tumorlens import bundle
from tumorlens.bundle import Bundle, BundleInfo
from tumorlens.errors import OutputExistsError, needing
from tumorlens.files import write_file
from tumorlens.labels import RESEARCH_NOTICE
from tumorlens.reporting.html import render

WEIGHTS_FILE: Final = "model.safetensors"
CONFIG_FILE: Final = "config.json"
CARD_FILE: Final = "README.md"
_LICENCES: Final = frozenset({"apache-2.0", "mit", "cc-by-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-4.0"})
"""Identifiers of the hub that a bundle's licence may be."""


def export(exported: Bundle, folder: Path) -> Path:
    """Write ``exported`` into ``folder``, which must be new or empty; return it.

    Raises ``MissingExtraError`` without the extra ``train``, ``OutputExistsError`` where the
    folder holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputExistsError(f"{folder}: is not empty; name a new folder")
    tensors = weights(exported.model)
    with needing("train", "exporting safetensors"):
        from safetensors.numpy import save
    bundle.save(folder, exported.info, exported.model, exported.gate)
    tensor_file = save(tensors, {"format": "onnx", "sha256": exported.sha256})
    write_file(folder / WEIGHTS_FILE, tensor_file)
    text = json.dumps(config(exported.info), indent=2, ensure_ascii=False)
    write_file(folder / CONFIG_FILE, f"{text}\n".encode())
    write_file(folder / CARD_FILE, card(exported).encode())
    return folder


def weights(model: bytes) -> dict[str, NDArray[np.generic]]:
    """The tensors of an ONNX file by name; batch normalisations are folded into convolutions."""
    with needing("train", "exporting safetensors"):
        import onnx
    graph = onnx.load_from_string(model).graph
    arrays = ((tensor.name, onnx.numpy_helper.to_array(tensor)) for tensor in graph.initializer)
    return {name: np.ascontiguousarray(array) for name, array in arrays}


def config(info: BundleInfo) -> dict[str, Any]:
    """``config.json``: the usual keys of an image classifier, and those of a bundle."""
    names = info.classes.names
    return {
        "model_type": "tumorlens",
        "architectures": [info.network.architecture.get("name", "")],
        "num_labels": len(names),
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in enumerate(names)},
        "image_size": info.preprocess.image_size,
        "num_channels": 1,
        "temperature": info.temperature,
        "preprocess": msgspec.to_builtins(info.preprocess),
        "network": msgspec.to_builtins(info.network),
        "tumorlens_version": info.version,
    }


def card(exported: Bundle) -> str:
    """``README.md``: the YAML header that the hub reads, and a model card."""
    info = exported.info
    licence = info.licence.partition(":")[0].strip().lower().replace(" ", "-")
    known = licence in _LICENCES
    header: dict[str, Any] = {
        "license": licence if known else "other",
        **({} if known else {"license_name": info.licence}),
        "library_name": "tumorlens",
        "pipeline_tag": "image-classification",
        "tags": ["medical-imaging", "mri", "brain-tumor", "onnx"],
        "metrics": ["accuracy", "f1"],
    }
    return render(
        "model-card.md.jinja",
        header=[(key, json.dumps(value, ensure_ascii=False)) for key, value in header.items()],
        info=info,
        sha256=exported.sha256,
        measured=list(_measured(info.metrics)),
        sources=info.training.get("train_images", {}),
        notice=RESEARCH_NOTICE,
    )


def _measured(metrics: Mapping[str, Any]) -> "list[tuple[str, str]]":
    """What the bundle states of its own accuracy, each with its protocol."""
    return [
        (f"accuracy, {part}, protocol {facts.get('protocol') or 'own'}",
         f"{100 * facts['accuracy']:.2f}% of {facts.get('n', '?')} images")
        for part, facts in metrics.items()
        if isinstance(facts, dict) and "accuracy" in facts
    ]  # fmt: skip

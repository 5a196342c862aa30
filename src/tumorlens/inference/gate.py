"""The gate of a bundle, which rejects images that do not show a head."""

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
"""The input of gates: the whole image, small."""
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
        """The input of the gate for one image (H, W): uint8 (S, S).

        ``windowed`` is the image with the network's intensity window; it is used if the gate has
        the same window.
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
    """The gate of ``bundle``; None if it has none."""
    if bundle.info.gate is None or bundle.gate is None:
        return None
    return Gate(bundle.info.gate, bundle.gate, bundle.info.name, device)

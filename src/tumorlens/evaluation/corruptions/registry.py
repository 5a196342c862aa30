"""The ten corruptions by name, each with its five strengths.

After Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and
perturbations" (ICLR 2019), with corruptions of MR images. The strengths were chosen by looking at
images: the weakest is hardly visible, and with the strongest a head can still be recognised.
"""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.evaluation.corruptions import kinds

Floats = NDArray[np.float64]
STRENGTHS: Final = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Corruption:
    """One way to corrupt an image."""

    name: str
    title: str
    unit: str
    """Unit of the five amounts."""
    amounts: tuple[float, float, float, float, float]
    apply: Callable[[Floats, float, np.random.Generator], Floats]
    """(H, W), 0 to 1, to an image of about that range, perhaps of another size."""

    def __call__(self, pixels: NDArray[np.float32], strength: int, key: str) -> NDArray[np.float32]:
        """Corrupt an image (H, W) of any intensity range by strength 1 to 5.

        Random numbers are seeded with ``key`` and the corruption's name, so that for one image only
        the strength differs. The result has the range 0 to about 1.
        """
        low, high = float(pixels.min()), float(pixels.max())
        scaled = (pixels.astype(np.float64) - low) / max(high - low, 1e-12)
        digest = hashlib.sha256(f"{self.name}\t{key}".encode()).digest()
        random = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        return self.apply(scaled, self.amounts[strength - 1], random).astype(np.float32)


CORRUPTIONS: Final = (
    Corruption("noise", "Noise (Rician)", "standard deviation, white is 1",
               (0.02, 0.04, 0.08, 0.12, 0.18), kinds.noise),
    Corruption("blur", "Blur", "standard deviation as a share of the longer side",
               (0.002, 0.004, 0.006, 0.009, 0.013), kinds.blur),
    Corruption("low_resolution", "Low resolution", "pixels left of the longer side",
               (128, 96, 72, 56, 44), kinds.low_resolution),
    Corruption("bias_field", "Bias field", "largest logarithm of the gain",
               (0.25, 0.5, 0.8, 1.2, 1.6), kinds.bias_field),
    Corruption("gamma", "Gamma", "logarithm of the exponent, either sign",
               (0.15, 0.3, 0.5, 0.7, 1.0), kinds.gamma),
    Corruption("ghosting", "Ghosting", "share by which every n-th line is weakened",
               (0.2, 0.35, 0.5, 0.7, 0.9), kinds.ghosting),
    Corruption("motion", "Motion", "largest turn in degrees, with shifts",
               (2.0, 4.0, 7.0, 10.0, 14.0), kinds.motion),
    Corruption("jpeg", "JPEG", "quality", (40, 20, 10, 7, 5), kinds.jpeg),
    Corruption("rotation", "Rotation", "degrees, either way",
               (5.0, 10.0, 20.0, 30.0, 45.0), kinds.rotation),
    Corruption("crop", "Crop", "share of the head cut away on two sides",
               (0.04, 0.08, 0.12, 0.18, 0.25), kinds.crop),
)  # fmt: skip

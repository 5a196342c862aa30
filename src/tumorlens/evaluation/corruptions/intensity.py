"""Corruptions of intensity: noise, bias field, gamma. Pictures (H, W), 0 to 1; see ``registry``."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_ORDER = 3


def noise(picture: Floats, amount: float, random: np.random.Generator) -> Floats:
    """Rician noise, that of the magnitude of a complex signal; ``amount``: sigma, white is 1.

    Gudbjartsson and Patz, "The Rician distribution of noisy MRI data" (1995).
    """
    real, imaginary = random.normal(0.0, amount, (2, *picture.shape))
    magnitude: Floats = np.hypot(picture + real, imaginary)
    return magnitude


def bias_field(picture: Floats, amount: float, random: np.random.Generator) -> Floats:
    """Multiply by a smooth gain; ``amount``: largest absolute logarithm of the gain.

    The exponential of a random polynomial of order 3 in the place, as TorchIO's
    ``RandomBiasField`` (after Van Leemput et al., 1999).
    """
    rows, columns = (np.linspace(-1, 1, n) for n in picture.shape)
    coefficients = random.uniform(-1, 1, (_ORDER + 1, _ORDER + 1))
    coefficients[np.add.outer(np.arange(_ORDER + 1), np.arange(_ORDER + 1)) > _ORDER] = 0.0
    coefficients[0, 0] = 0.0
    field = np.polynomial.polynomial.polygrid2d(rows, columns, coefficients)
    shaded: Floats = picture * np.exp(amount * field / np.abs(field).max())
    return shaded


def gamma(picture: Floats, amount: float, random: np.random.Generator) -> Floats:
    """Raise to a power, brighter or darker by a draw; ``amount``: logarithm of the exponent."""
    sign = 1.0 if random.random() < 0.5 else -1.0
    curved: Floats = np.clip(picture, 0.0, 1.0) ** np.exp(sign * amount)
    return curved

"""Corruptions of the acquisition, in k-space: ghosting and motion.

An MR picture is the Fourier transform of what is measured line by line. Pictures (H, W), 0 to 1,
as in ``registry``. After TorchIO's ``RandomGhosting`` and ``RandomMotion`` (Pérez-García et al.,
2021; motion after Shaw et al., 2019), in two dimensions.
"""

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Floats = NDArray[np.float64]

_KEPT = 0.02
"""Share of the lines, in the middle of k-space, that ghosting leaves alone."""
_MOVES = 3
_RESTS_UNTIL = 0.52
"""Share of the lines that are measured before the head moves."""


def ghosting(picture: Floats, amount: float, random: np.random.Generator) -> Floats:
    """Faint copies along one axis; ``amount``: share by which every n-th line is weakened."""
    turned = picture.T if random.random() < 0.5 else picture
    ghosts = int(random.integers(3, 8))
    lines = fft.fftshift(fft.fft(turned, axis=0), axes=0)
    weakened = lines.copy()
    weakened[::ghosts] *= 1.0 - amount
    middle, kept = len(lines) // 2, max(1, round(_KEPT * len(lines) / 2))
    weakened[middle - kept : middle + kept] = lines[middle - kept : middle + kept]
    ghosted = np.abs(fft.ifft(fft.ifftshift(weakened, axes=0), axis=0))
    return ghosted.T if turned is not picture else ghosted


def motion(picture: Floats, amount: float, random: np.random.Generator) -> Floats:
    """The head moves while lines are measured; ``amount``: largest turn in degrees.

    Shifts are up to as many hundredths of the longer side as the turn has degrees, halved. The
    head rests until just past the middle of k-space, which carries most of the picture, and then
    moves three times.
    """
    lines = fft.fftshift(fft.fft2(picture), axes=0)
    edges = np.linspace(_RESTS_UNTIL, 1.0, _MOVES + 1) * len(lines)
    for start, end in itertools.pairwise(edges.astype(int).tolist()):
        degrees = amount * random.choice([-1.0, 1.0]) * random.uniform(0.5, 1.0)
        shift = random.uniform(-amount, amount, 2) / 200 * max(picture.shape)
        moved = fft.fftshift(fft.fft2(_moved(picture, degrees, shift)), axes=0)
        lines[start:end] = moved[start:end]
    return np.abs(fft.ifft2(fft.ifftshift(lines, axes=0)))


def _moved(picture: Floats, degrees: float, shift: Floats) -> Floats:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    center = (np.array(picture.shape) - 1) / 2
    offset = center - turn @ center + shift
    return ndimage.affine_transform(picture, turn, offset, order=1)

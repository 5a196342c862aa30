"""Functions that corrupt an image (H, W), 0 to 1: intensity, detail, acquisition, geometry.

Ghosting and motion change k-space, the Fourier transform of the image, which is measured line by
line. They are two-dimensional versions of TorchIO's ``RandomGhosting`` and ``RandomMotion``
(Pérez-García et al., 2021; motion after Shaw et al., 2019).
"""

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from tumorlens import preprocessing
from tumorlens.config import PreprocessConfig
from tumorlens.imaging import reader
from tumorlens.imaging.raster import encode

Floats = NDArray[np.float64]

_ORDER = 3
_KEPT = 0.02
"""Share of the lines, in the middle of k-space, that ghosting does not change."""
_MOVES = 3
_RESTS_UNTIL = 0.52
"""Share of the lines that are measured before the head moves."""
_HEAD = PreprocessConfig()


def noise(image: Floats, amount: float, random: np.random.Generator) -> Floats:
    """Rician noise, that of the magnitude of a complex signal; ``amount``: sigma, white is 1.

    Gudbjartsson and Patz, "The Rician distribution of noisy MRI data" (1995).
    """
    real, imaginary = random.normal(0.0, amount, (2, *image.shape))
    return np.asarray(np.hypot(image + real, imaginary))


def bias_field(image: Floats, amount: float, random: np.random.Generator) -> Floats:
    """Multiply by a smooth gain; ``amount``: largest absolute logarithm of the gain.

    The exponential of a random polynomial of order 3 of the position, as TorchIO's
    ``RandomBiasField`` (after Van Leemput et al., 1999).
    """
    rows, columns = (np.linspace(-1, 1, n) for n in image.shape)
    coefficients = random.uniform(-1, 1, (_ORDER + 1, _ORDER + 1))
    coefficients[np.add.outer(np.arange(_ORDER + 1), np.arange(_ORDER + 1)) > _ORDER] = 0.0
    coefficients[0, 0] = 0.0
    field = np.polynomial.polynomial.polygrid2d(rows, columns, coefficients)
    return np.asarray(image * np.exp(amount * field / np.abs(field).max()))


def gamma(image: Floats, amount: float, random: np.random.Generator) -> Floats:
    """Raise to a power, brighter or darker by a draw; ``amount``: logarithm of the exponent."""
    sign = 1.0 if random.random() < 0.5 else -1.0
    return np.asarray(np.clip(image, 0.0, 1.0) ** np.exp(sign * amount))


def blur(image: Floats, amount: float, _: np.random.Generator) -> Floats:
    """Gaussian blur; ``amount``: standard deviation as a share of the longer side."""
    return ndimage.gaussian_filter(image, amount * max(image.shape))


def low_resolution(image: Floats, amount: float, _: np.random.Generator) -> Floats:
    """Shrink with antialiasing and enlarge again; ``amount``: pixels left of the longer side.

    A smaller image is not changed.
    """
    height, width = image.shape
    side = max(height, width)
    if side <= amount:
        return image
    square = preprocessing.pad_square(image.astype(np.float32))
    coarse = preprocessing.resize(preprocessing.resize(square, int(amount)), side)
    top, left = (side - height) // 2, (side - width) // 2
    return coarse[top : top + height, left : left + width].astype(np.float64)


def jpeg(image: Floats, amount: float, _: np.random.Generator) -> Floats:
    """Save and read again; ``amount``: JPEG quality."""
    pixels = np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
    decoded = reader.read_bytes(encode.jpeg(pixels, int(amount)))
    return decoded.pixels.astype(np.float64) / 255.0


def ghosting(image: Floats, amount: float, random: np.random.Generator) -> Floats:
    """Faint copies along one axis; ``amount``: share by which every n-th line is weakened."""
    turned = image.T if random.random() < 0.5 else image
    ghosts = int(random.integers(3, 8))
    lines = fft.fftshift(fft.fft(turned, axis=0), axes=0)
    weakened = lines.copy()
    weakened[::ghosts] *= 1.0 - amount
    middle, half = len(lines) // 2, max(1, round(_KEPT * len(lines) / 2))
    weakened[middle - half : middle + half] = lines[middle - half : middle + half]
    ghosted = np.abs(fft.ifft(fft.ifftshift(weakened, axes=0), axis=0))
    return ghosted.T if turned is not image else ghosted


def motion(image: Floats, amount: float, random: np.random.Generator) -> Floats:
    """The head moves while lines are measured; ``amount``: largest turn in degrees.

    Shifts are up to as many hundredths of the longer side as the turn has degrees, halved. The
    head rests until just past the middle of k-space, which carries most of the image, and then
    moves three times.
    """
    lines = fft.fftshift(fft.fft2(image), axes=0)
    edges = np.linspace(_RESTS_UNTIL, 1.0, _MOVES + 1) * len(lines)
    for start, end in itertools.pairwise(edges.astype(int).tolist()):
        degrees = amount * random.choice([-1.0, 1.0]) * random.uniform(0.5, 1.0)
        shift = random.uniform(-amount, amount, 2) / 200 * max(image.shape)
        moved = fft.fftshift(fft.fft2(_moved(image, degrees, shift)), axes=0)
        lines[start:end] = moved[start:end]
    return np.abs(fft.ifft2(fft.ifftshift(lines, axes=0)))


def _moved(image: Floats, degrees: float, shift: Floats) -> Floats:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    center = (np.array(image.shape) - 1) / 2
    offset = center - turn @ center + shift
    return ndimage.affine_transform(image, turn, offset, order=1)


def rotation(image: Floats, amount: float, random: np.random.Generator) -> Floats:
    """Rotate to one side or the other by ``amount`` degrees; new corners are black."""
    degrees = amount if random.random() < 0.5 else -amount
    return ndimage.rotate(image, degrees, order=1, reshape=True)


def crop(image: Floats, amount: float, random: np.random.Generator) -> Floats:
    """Cut ``amount`` of the head's height and width away, at a random corner.

    The margin around the head does not matter, because preprocessing removes it.
    """
    windowed = preprocessing.window(image.astype(np.float32), _HEAD)
    box = preprocessing.head_box(windowed, _HEAD)
    top, left = box.top, box.left
    rows, columns = (round(amount * n) for n in (box.bottom - box.top, box.right - box.left))
    top, bottom = (top + rows, box.bottom) if random.random() < 0.5 else (top, box.bottom - rows)
    left, right = (
        (left + columns, box.right) if random.random() < 0.5 else (left, box.right - columns)
    )
    return image[top:bottom, left:right]

"""Plain pictures: JPEG, PNG, TIFF, BMP, GIF, WebP, decoded by Pillow to float32 gray.

8-bit, 16-bit and float samples; gray, RGB, palette, alpha and bilevel; EXIF orientation applied.
Transparent pixels are laid over black, the background of MRI.
"""

import io
import struct
import warnings
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from tumorlens.errors import BlankImageError, CorruptInputError, LimitExceededError
from tumorlens.imaging.image import MedicalImage

MIN_SIDE: Final = 32
MAX_SIDE: Final = 8192

# ITU-R BT.601, the weights JPEG itself uses: a gray JPEG stored as RGB gives back its luma.
_LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_WIDE_MODES: Final = {"I;16": 16, "I;16L": 16, "I;16B": 16, "I;16N": 16, "I": 32, "F": 32}
_DECODE_FAILURES: Final = (
    OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, AttributeError,
    EOFError, OverflowError, ZeroDivisionError, NotImplementedError, RuntimeError, struct.error,
)  # fmt: skip


def decode(data: bytes, kind: str, source: str) -> MedicalImage:
    """Decode ``data``, whose signature is ``kind``'s, to a single (H, W) image.

    Raises ``CorruptInputError`` for damaged bytes, ``LimitExceededError`` for sides outside
    ``MIN_SIDE`` to ``MAX_SIDE``, ``BlankImageError`` where no pixel is finite.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures and odd metadata; the limits below decide instead.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=[kind.upper()]) as picture:
                _check_size(picture.size, source)
                picture.load()
                mode = picture.mode
                oriented = ImageOps.exif_transpose(picture)
                pixels, bit_depth = _to_gray(oriented)
    except Image.DecompressionBombError as error:
        raise LimitExceededError(f"{source}: {error}") from error
    except UnidentifiedImageError as error:
        raise CorruptInputError(f"{source}: begins like {kind} but cannot be decoded") from error
    except _DECODE_FAILURES as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CorruptInputError(f"{source}: damaged {kind} ({detail})") from error
    return MedicalImage(_finite(pixels, source), source, bit_depth, mode)


def _check_size(size: tuple[int, int], source: str) -> None:
    width, height = size
    if min(size) < MIN_SIDE or max(size) > MAX_SIDE:
        raise LimitExceededError(
            f"{source}: {width}x{height} pixels; sides must be {MIN_SIDE} to {MAX_SIDE}"
        )


def _to_gray(picture: Image.Image) -> tuple[NDArray[np.float32], int]:
    """Return (H, W) float32 and the bits a sample was stored with."""
    if picture.mode in _WIDE_MODES:
        return np.asarray(picture, dtype=np.float32), _WIDE_MODES[picture.mode]
    if picture.mode == "1":
        return np.asarray(picture.convert("L"), dtype=np.float32), 1
    if picture.mode == "L" and "transparency" not in picture.info:
        return np.asarray(picture, dtype=np.float32), 8
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return _luma(np.asarray(picture)), 8
    if picture.has_transparency_data:
        rgba = np.asarray(picture.convert("RGBA"), dtype=np.float32)
        return np.rint(_luma(rgba[..., :3]) * (rgba[..., 3] / 255.0)), 8
    return _luma(np.asarray(picture.convert("RGB"))), 8


def _luma(rgb: NDArray[np.generic]) -> NDArray[np.float32]:
    """(H, W, 3) to (H, W), rounded, so that gray stored as RGB equals gray stored as gray."""
    gray: NDArray[np.float32] = np.rint(rgb.astype(np.float32) @ _LUMA)
    return gray


def _finite(pixels: NDArray[np.float32], source: str) -> NDArray[np.float32]:
    """Replace NaN and infinities of float files by the smallest finite value."""
    finite = np.isfinite(pixels)
    if finite.all():
        return pixels
    if not finite.any():
        raise BlankImageError(f"{source}: no pixel has a finite value")
    lowest = pixels[finite].min()
    return np.where(finite, pixels, lowest).astype(np.float32)

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

from tumorlens.errors import CorruptInputError, LimitExceededError
from tumorlens.imaging.gray import finite, luma
from tumorlens.imaging.image import MedicalImage, check_sides

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
                check_sides(*picture.size, source)
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
    return MedicalImage(finite(pixels, source), source, bit_depth, mode)


def _to_gray(picture: Image.Image) -> tuple[NDArray[np.float32], int]:
    """Return (H, W) float32 and the bits a sample was stored with."""
    if picture.mode in _WIDE_MODES:
        return np.asarray(picture, dtype=np.float32), _WIDE_MODES[picture.mode]
    if picture.mode == "1":
        return np.asarray(picture.convert("L"), dtype=np.float32), 1
    if picture.mode == "L" and "transparency" not in picture.info:
        return np.asarray(picture, dtype=np.float32), 8
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return luma(np.asarray(picture)), 8
    if picture.has_transparency_data:
        rgba = np.asarray(picture.convert("RGBA"), dtype=np.float32)
        return np.rint(np.rint(luma(rgba[..., :3])) * (rgba[..., 3] / 255.0)), 8
    return luma(np.asarray(picture.convert("RGB"))), 8

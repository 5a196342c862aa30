"""Encode arrays as PNG, TIFF and JPEG, for reports, caches and tests of the readers."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def png(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Encode (H, W) uint8 or uint16, or (H, W, 3) uint8, as PNG."""
    return _encode(pixels, "PNG")


def tiff(pixels: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]) -> bytes:
    """Encode (H, W) uint8, uint16 or float32, or (H, W, 3) uint8, as TIFF."""
    return _encode(pixels, "TIFF")


def jpeg(pixels: NDArray[np.uint8], quality: int = 90) -> bytes:
    """Encode (H, W) or (H, W, 3) uint8 as JPEG."""
    return _encode(pixels, "JPEG", quality=quality)


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """A ``data:`` URI that shows ``pixels`` in an HTML page without another file."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(pixels, 85)).decode("ascii")


def _encode(pixels: NDArray[np.generic], kind: str, **options: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, kind, **options)
    return out.getvalue()

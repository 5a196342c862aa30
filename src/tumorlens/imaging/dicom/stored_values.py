"""From decoded samples to stored values (PS3.5 8.1.1), also where the file describes them wrongly.

The byte order, the number of bits and the sign are checked by how much neighbours differ: those of
a picture differ by little. The page checks the first two (frontend/src/reading/stored.ts).
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes

_SMOOTHER: Final = 0.5
"""Samples this much smoother with their bytes swapped are stored so."""
_ROWS: Final = 32
"""Rows of a frame that are looked at for that."""
_SWAPPED: Final = (
    "the byte order of the pixel data is not the one that the file states; the bytes are swapped"
)
_SIGN: Final = (
    "the sign of the pixel data is not the one that the file states (PixelRepresentation); it is "
    "read as the steps between neighbours say"
)
_JUMP: Final = 15
"""Neighbours that differ by so many times less with the other sign have been torn apart."""
_TORN: Final = 0.001
"""Part of the neighbours that must be, and ten times as many as the other sign would tear."""
_WIDER: Final = "values take more bits than the file states (BitsStored); all bits are used"
SIGN_KNOWN: Final = frozenset({*JPEG2000TransferSyntaxes, *JPEGLSTransferSyntaxes})
"""Where pydicom itself gives the right sign; elsewhere bits beyond BitsStored may hold anything."""


class Description(NamedTuple):
    """The image pixel description (PS3.3 C.7.6.3), odd elements replaced by what must be meant."""

    frames: int
    rows: int
    columns: int
    allocated: int
    stored: int
    high_bit: int
    signed: int
    samples: int
    photometric: str


def stored_values(
    samples: NDArray[Any], described: Description, syntax: UID, precision: int | None
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The values (H, W) of a frame's ``samples``, and what the file says wrongly of them.

    ``precision`` is the bits of a sample by the codestream, None where there is none.
    """
    values = _stated_values(samples, described, syntax, precision)
    remarks: tuple[str, ...] = ()
    if not syntax.is_encapsulated and _is_swapped(samples, values):
        samples, remarks = samples.byteswap(), (_SWAPPED,)
        values = _stated_values(samples, described, syntax, precision)
    if _is_wider(samples, values):
        return samples, (*remarks, _WIDER)
    if (other := _of_other_sign(samples, values, described, syntax)) is not None:
        return other, (*remarks, _SIGN)
    return values, remarks


def _stated_values(
    samples: NDArray[Any], described: Description, syntax: UID, precision: int | None
) -> NDArray[Any]:
    """Keep BitsStored bits below HighBit and extend their sign (PS3.5 8.1.1).

    What lies beside them may be an overlay, as older files have it (PS3.5 8.1.2).
    """
    width = samples.dtype.itemsize * 8
    stored, high = min(described.stored, width), described.high_bit
    if syntax in SIGN_KNOWN:
        if precision is None or precision <= stored:
            return samples
        high = stored - 1
    if not stored - 1 <= high < width:
        high = stored - 1
    if stored == width:
        return samples
    values: NDArray[Any] = np.right_shift(np.left_shift(samples, width - 1 - high), width - stored)
    return values


def _is_swapped(samples: NDArray[Any], values: NDArray[Any]) -> bool:
    """Whether 16-bit ``samples`` (H, W), by their ``values``, are swapped byte by byte.

    Of the range of values, neighbours in a picture differ by little; with the bytes swapped, the
    lower ones, which are nearly random, decide.
    """
    if samples.dtype.itemsize != 2:
        return False
    rows = slice(None, None, max(1, len(samples) // _ROWS))
    stated = [_roughness(samples[rows])]
    if values is not samples:
        stated.append(_roughness(values[rows]))
    return _roughness(samples[rows].byteswap()) < _SMOOTHER * min(stated)


def _roughness(samples: NDArray[Any]) -> float:
    """Mean difference of neighbours, as part of what values differ by at all."""
    values = samples.astype(np.float32)
    low, high = np.quantile(values[:, ::4], (0.01, 0.99))
    steps = np.abs(np.diff(np.clip(values, low, high), axis=1))
    return float(steps.mean()) / float(high - low) if high > low else 1.0


def _is_wider(samples: NDArray[Any], values: NDArray[Any]) -> bool:
    """Whether ``samples`` (H, W) are numbers of more bits than their ``values`` have.

    Where the steps between neighbours differ, an overlay beside the values makes those of the
    samples larger. Where BitsStored is too small, the values wrap around while the samples go on.
    """
    if values is samples or np.array_equal(samples, values):
        return False
    smoother = rougher = 0
    for axis in (0, 1):
        steps = np.abs(np.diff(samples.astype(np.int64), axis=axis))
        wrapped = np.abs(np.diff(values.astype(np.int64), axis=axis))
        smoother += int((steps < wrapped).sum())
        rougher += int((steps > wrapped).sum())
    return smoother > rougher


def _of_other_sign(
    samples: NDArray[Any], values: NDArray[Any], described: Description, syntax: UID
) -> NDArray[Any] | None:
    """The ``values`` (H, W) of 16-bit samples with the other sign, where that must be meant.

    Read with the wrong one, what lies beside a bound of the values is torn to the other end.
    """
    if samples.dtype.itemsize != 2 or syntax in SIGN_KNOWN:
        return None
    turned = samples.view(np.uint16 if samples.dtype.kind == "i" else np.int16)
    other = _stated_values(turned, described, syntax, None)
    if np.array_equal(values, other):
        return None
    # Saturated letters on an empty background are as far apart as what is torn.
    inner = (values > values.min()) & (values < values.max())
    stated, meant = (np.where(inner, one, np.nan).astype(np.float32) for one in (values, other))
    torn = joined = 0
    for axis in (0, 1):
        steps, steps_meant = (np.abs(np.diff(one, axis=axis)) for one in (stated, meant))
        torn += int((steps > _JUMP * steps_meant).sum())
        joined += int((steps_meant > _JUMP * steps).sum())
    return other if torn > max(_TORN * values.size, 10 * joined) else None

"""From decoded samples to stored values (PS3.5 8.1.1), also where the file describes them wrongly.

The byte order, the number of bits and the sign are checked by how much neighbours differ: those of
an image differ by little. The page does the same (frontend/src/reading/stored.ts).
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes

from tumorlens.imaging.samples.sample_storage import (
    OTHER_SIGN,
    SMOOTHER,
    SWAPPED,
    has_other_sign,
    is_swapped,
    roughness,
    some_rows,
)

_WRAPPED: Final = 0.25
"""Steps that are smaller with all bits, as part of those that are larger: by overlays 0.18."""
_PLANES: Final = 4
"""Values of the bits beside the stored ones that two overlays have ..."""
_SHOWN: Final = 0.001
"""... each in as large a part of the frame."""
_CARRIED: Final = 0.1
"""Part of the steps of 1 in the bits beside the values, from which both are digits of one number.
Values under overlays fall back at none of them, digits at an eighth even where edges are steep."""
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
    """The values (H, W) of a frame's ``samples``, and what the file states wrongly about them.

    ``precision`` is the bits of a sample by the codestream, None where there is no codestream.
    """
    values = _stated_values(samples, described, syntax, precision)
    remarks: tuple[str, ...] = ()
    if not syntax.is_encapsulated and _is_swapped(samples, values):
        samples, remarks = samples.byteswap(), (SWAPPED,)
        values = _stated_values(samples, described, syntax, precision)
    if _is_wider(samples, values, described.stored):
        return samples, (*remarks, _WIDER)
    if (other := _of_other_sign(samples, values, described, syntax)) is not None:
        return other, (*remarks, OTHER_SIGN)
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
    """``is_swapped`` of some rows."""
    rows = some_rows(samples)
    return is_swapped(rows, rows if values is samples else some_rows(values))


def _is_wider(samples: NDArray[Any], values: NDArray[Any], stored: int) -> bool:
    """Whether ``samples`` (H, W) are numbers of more bits than their ``values`` have.

    Where the steps between neighbours differ, an overlay beside the values makes those of the
    samples larger. Where BitsStored is too small, the values wrap around while the samples go on;
    where it is far too small, they are noise, and the bits beside them an image.
    """
    if values is samples or np.array_equal(samples, values):
        return False
    _, counts = np.unique(samples >> stored, return_counts=True)
    if (counts >= _SHOWN * samples.size).sum() > _PLANES:
        is_smoother = roughness(samples) < SMOOTHER * roughness(values)
        return is_smoother and _are_digits(samples >> stored, values, stored)
    smoother = rougher = 0
    for axis in (0, 1):
        steps = np.abs(np.diff(samples.astype(np.int64), axis=axis))
        wrapped = np.abs(np.diff(values.astype(np.int64), axis=axis))
        smoother += int((steps < wrapped).sum())
        rougher += int((steps > wrapped).sum())
    return smoother > _WRAPPED * rougher


def _are_digits(beside: NDArray[Any], values: NDArray[Any], stored: int) -> bool:
    """Whether both are digits of one number.

    Then ``values`` (H, W) wrap around where the upper bits, ``beside``, grow by 1. Overlays,
    however large and many, begin and end without regard to the values.
    """
    beside, values = beside.astype(np.int64), values.astype(np.int64)
    carries, steps = beside[:, 1:] - beside[:, :-1], values[:, 1:] - values[:, :-1]
    by_one = np.abs(carries) == 1
    against = by_one & (carries * steps < -(1 << (stored - 1)))
    return int(against.sum()) > _CARRIED * int(by_one.sum())


def _of_other_sign(
    samples: NDArray[Any], values: NDArray[Any], described: Description, syntax: UID
) -> NDArray[Any] | None:
    """The ``values`` (H, W) of 16-bit samples with the other sign, where that must be meant."""
    if samples.dtype.itemsize != 2:
        return None
    turned = samples.view(np.uint16 if samples.dtype.kind == "i" else np.int16)
    other = _stated_values(turned, described, syntax, None)
    if np.array_equal(values, other) or not has_other_sign(values, other):
        return None
    return other

"""From stored values to gray: modality, window, padding, polarity. The clauses are PS3.3's."""

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from tumorlens.errors import CorruptInputError, InputError, UnsupportedFormatError
from tumorlens.imaging.dicom.tags import (
    element,
    functional_group,
    is_stated,
    items,
    number,
    numbers,
    text,
    whole,
)
from tumorlens.imaging.samples.gray import LARGEST

Floats = NDArray[np.float32]
_LUT_ENTRIES: Final = 65536
_WITH_COLORS: Final = ("COLOR", "MIXED")
"""Values of PixelPresentation."""
_MARGIN: Final = 0.1
"""Part of the range of values at either end that does not count as head."""
_ENDS: Final = (0.002, 0.998)
"""Windowed values beyond are clipped."""
_HIDDEN: Final = 0.4
"""A window that clips more of the head than this shows something else than the head."""


_PADDED: Final = 0.02
"""A range of padding that covers more of the head than this is no padding ..."""
_FEWEST_LEVELS: Final = 8
"""... if that part has as many different values; a background of one value is padding."""


class Table(msgspec.Struct, frozen=True):
    """A look-up table (C.11.1.1.1)."""

    values: NDArray[np.float32]
    first: int
    """The input of the first entry; smaller inputs get that entry too, larger ones the last."""
    top: float
    """Largest value that an entry can have."""

    def __call__(self, values: Floats) -> Floats:
        """Look up each of ``values``."""
        indices = np.clip(np.rint(values) - self.first, 0, len(self.values) - 1).astype(np.int32)
        mapped: Floats = self.values[indices]
        return mapped


class Window(msgspec.Struct, frozen=True):
    """Centre, width and function (C.11.2.1.2, C.11.2.1.3)."""

    center: float
    width: float
    function: str = "LINEAR"

    def __call__(self, values: Floats) -> Floats:
        """Map to 0 to 1."""
        if self.function == "SIGMOID":
            with np.errstate(over="ignore"):
                curved: Floats = 1 / (1 + np.exp(-4 * (values - self.center) / self.width))
            return curved
        if self.function == "LINEAR_EXACT":
            share = (values - self.center) / self.width + 0.5
        elif self.width > 1:
            share = (values - (self.center - 0.5)) / (self.width - 1) + 0.5
        else:
            share = np.where(values > self.center - 0.5, 1.0, 0.0)
        clipped: Floats = np.clip(share, 0, 1).astype(np.float32, copy=False)
        return clipped


class GrayscaleTransform(msgspec.Struct, frozen=True):
    """All that turns the stored values of one frame into ``MedicalImage`` pixels."""

    slope: float
    intercept: float
    modality: Table | None
    window: Window | Table | None
    padding: tuple[int, int] | None
    """Stored values, both ends included, that stand for no measurement (C.7.5.1.1.2)."""
    inverted: bool
    """MONOCHROME1, or PresentationLUTShape INVERSE: the smallest value is shown white (C.7.6.3.1.2,
    C.11.6.1)."""
    stored_range: tuple[int, int]

    def apply(
        self, stored: NDArray[np.integer[Any]], *, windowed: bool, padded: bool = True
    ) -> Floats:
        """Turn (H, W) stored values into float32, larger is brighter.

        With ``windowed``, and where the file has a window, 0 to 1; else in the unit of the
        modality. Padding gets the smallest of the other values, unless not ``padded``.
        """
        gray = self._measured(stored.astype(np.float32))
        if windowed and isinstance(self.window, Table):
            gray = self.window(gray) / np.float32(self.window.top)
        elif windowed and self.window is not None:
            gray = self.window(gray)
        if self.inverted:
            gray = self._turned(gray, windowed=windowed and self.window is not None)
        if self.padding is not None and padded:
            gray = _fill(gray, self.is_padding(stored))
        return gray

    def is_padding(self, stored: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Which pixels stand for no measurement."""
        low, high = self.padding or (1, 0)
        return (stored >= low) & (stored <= high)

    def _measured(self, values: Floats) -> Floats:
        """Modality LUT or rescale (C.11.1)."""
        if self.modality is not None:
            return self.modality(values)
        if (self.slope, self.intercept) == (1.0, 0.0):
            return values
        with np.errstate(over="ignore", invalid="ignore"):
            rescaled: Floats = values * np.float32(self.slope) + np.float32(self.intercept)
        return rescaled

    def _turned(self, gray: Floats, *, windowed: bool) -> Floats:
        ends = self._measured(np.array(self.stored_range, dtype=np.float32))
        white = np.float32(1.0) if windowed else ends.sum(dtype=np.float32)
        turned: Floats = white - gray
        return turned


def grayscale_transform_of(dataset: Dataset, frame: int, source: str) -> GrayscaleTransform:
    """Gather what the data set says of ``frame`` (from 0), functional groups first."""
    signed = whole(dataset, "PixelRepresentation", 0) == 1
    bits = whole(dataset, "BitsStored", 0) or whole(dataset, "BitsAllocated", 16)
    slope, intercept = _rescale(dataset, frame)
    return GrayscaleTransform(
        slope=slope,
        intercept=intercept,
        modality=_table(items(dataset, "ModalityLUTSequence"), signed, source),
        window=_voi(dataset, frame, source),
        padding=_padding(dataset, signed),
        inverted=_is_inverted(dataset),
        stored_range=(-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1),
    )


def check_no_colors(
    dataset: Dataset, frame: int, stored: NDArray[np.integer[Any]], source: str
) -> None:
    """Raise ``UnsupportedFormatError`` where stored values stand for colours on the gray image.

    With a supplemental palette (C.7.6.19) values from its first one on are colours, such as those
    of a map of activation. What they cover is not known.
    """
    kind = functional_group(dataset, frame, "MRImageFrameTypeSequence")
    shown = text(kind, "PixelPresentation") or text(dataset, "PixelPresentation")
    palette = numbers(element(dataset, "RedPaletteColorLookupTableDescriptor"), 3)
    if shown not in _WITH_COLORS or palette is None or palette[1] <= 0:
        return
    if (stored >= palette[1]).any():
        raise UnsupportedFormatError(
            f"{source}: a gray image with a map in colours on it; export it without the map"
        )


def _is_inverted(dataset: Dataset) -> bool:
    """Whether either element says so; both say it once."""
    photometric, shape = text(dataset, "PhotometricInterpretation"), "PresentationLUTShape"
    return (photometric or "").upper() == "MONOCHROME1" or text(dataset, shape) == "INVERSE"


def _rescale(dataset: Dataset, frame: int) -> tuple[float, float]:
    """RescaleSlope and RescaleIntercept; 1 and 0 where they are missing or are not plausible."""
    group = functional_group(dataset, frame, "PixelValueTransformationSequence") or dataset
    slope, intercept = number(group, "RescaleSlope"), number(group, "RescaleIntercept")
    if slope is None or not _is_slope(slope):
        slope = 1.0
    return slope, 0.0 if intercept is None or abs(intercept) > LARGEST else intercept


def _is_slope(slope: float) -> bool:
    """Whether any image can have it: neither 0 nor so large that nothing finite is left."""
    return 1 / LARGEST < abs(slope) < LARGEST


def oddities(dataset: Dataset, frame: int) -> list[str]:
    """What is passed over in the rescale of ``frame``, in sentences."""
    group = functional_group(dataset, frame, "PixelValueTransformationSequence") or dataset
    notes = []
    for keyword, taken in (("RescaleSlope", "1"), ("RescaleIntercept", "0")):
        value = number(group, keyword)
        if keyword == "RescaleSlope" and value == 0:
            notes.append("RescaleSlope is 0, which would blank the image; 1 is used")
        elif keyword == "RescaleSlope" and value is not None and not _is_slope(value):
            notes.append(f"RescaleSlope is {value:g}, which is not plausible; 1 is used")
        elif (value is None and is_stated(group, keyword)) or abs(value or 0) > LARGEST:
            notes.append(f"{keyword} is not a finite number; {taken} is used")
    return notes


def hides_the_head(unwindowed: Floats, windowed: Floats) -> bool:
    """Whether a window clips most of what is neither air nor the brightest, at either end.

    Both are the same pixels, any number of them, before the window and after it, 0 to 1.
    """
    low, high = np.quantile(unwindowed, (0.01, 0.99))
    margin = _MARGIN * (high - low)
    head = windowed[(unwindowed > low + margin) & (unwindowed < high - margin)]
    clipped = (head <= _ENDS[0]) | (head >= _ENDS[1])
    return bool(head.size and clipped.mean() > _HIDDEN)


def covers_the_head(stored: Floats, padding: NDArray[np.bool_]) -> bool:
    """Whether ``padding`` takes pixels that are neither air nor the brightest, of many values."""
    if not (measured := stored[stored > stored.min()]).size:
        return False
    low, high = np.quantile(measured, (0.01, 0.99))
    margin = _MARGIN * (high - low)
    head = (stored > low + margin) & (stored < high - margin)
    taken = stored[head & padding]
    return taken.size > _PADDED * head.sum() and len(np.unique(taken)) >= _FEWEST_LEVELS


def has_window(dataset: Dataset, frame: int, source: str) -> bool:
    """Whether the file says how to window ``frame``."""
    return _voi(dataset, frame, source) is not None


def _voi(dataset: Dataset, frame: int, source: str) -> Window | Table | None:
    """VOI LUT, else the first window (C.11.2); None where there is none that makes sense."""
    if (table := _voi_table(dataset, source)) is not None:
        return table
    voi = functional_group(dataset, frame, "FrameVOILUTSequence") or dataset
    center, width = number(voi, "WindowCenter"), number(voi, "WindowWidth")
    function = (text(voi, "VOILUTFunction") or "LINEAR").upper()
    if center is None or width is None or function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        return None
    enough = width >= 1 if function == "LINEAR" else width > 0
    usable = enough and width < 1e30 and abs(center) < 1e30
    return Window(center, width, function) if usable else None


def _voi_table(dataset: Dataset, source: str) -> Table | None:
    """None also where it is damaged: it is for display only, so the image is still read."""
    try:
        return _table(items(dataset, "VOILUTSequence"), True, source)
    except (InputError, AttributeError, TypeError, ValueError):
        return None


def _table(sequence: Any, signed: bool, source: str) -> Table | None:
    """The first look-up table of a sequence; its inputs may be negative where ``signed``."""
    if not sequence or "LUTData" not in sequence[0]:
        return None
    item = sequence[0]
    entries, first, bits = (int(part) for part in item.LUTDescriptor)
    entries = entries or _LUT_ENTRIES
    first = first - 65536 if signed and first > 32767 else first
    values = np.asarray(_entries(item, entries, bits <= 8, source), dtype=np.float32)
    if len(values) < entries or not 1 <= bits <= 16:
        raise CorruptInputError(f"{source}: damaged DICOM (a look-up table is cut off)")
    return Table(values[:entries], first, float((1 << bits) - 1))


def _entries(item: Dataset, entries: int, is_byte: bool, source: str) -> NDArray[np.generic]:
    """Entries of 8 bits may be stored in bytes or in words (C.11.1.1.1)."""
    data = item.LUTData
    if not isinstance(data, bytes):
        return np.atleast_1d(np.asarray(data, dtype=np.float64))[:_LUT_ENTRIES]
    if is_byte and len(data) in (entries, entries + 1):
        return np.frombuffer(data[:entries], np.uint8)
    if len(data) < 2 * entries:
        raise CorruptInputError(f"{source}: damaged DICOM (a look-up table is cut off)")
    little = item.original_encoding[1] is not False
    return np.frombuffer(data[: 2 * entries], dtype="<u2" if little else ">u2")


def _padding(dataset: Dataset, signed: bool) -> tuple[int, int] | None:
    value = _whole(dataset, "PixelPaddingValue", signed)
    if value is None:
        return None
    limit = _whole(dataset, "PixelPaddingRangeLimit", signed)
    low, high = sorted((value, value if limit is None else limit))
    return low, high


def _whole(dataset: Dataset, keyword: str, signed: bool) -> int | None:
    """An integer whose sign pydicom may not know, as its type depends on another element."""
    value = element(dataset, keyword)
    if isinstance(value, bytes):
        value = int.from_bytes(value[:2], "little")
    elif (stated := number(dataset, keyword)) is not None:
        value = int(stated)
    if not isinstance(value, int):
        return None
    return value - 65536 if signed and value > 32767 else value


def _fill(gray: Floats, empty: NDArray[np.bool_]) -> Floats:
    """Give ``empty`` pixels the darkest of the others; a slice of nothing else becomes black."""
    if not empty.any():
        return gray
    darkest = gray.min() if empty.all() else gray[~empty].min()
    filled: Floats = np.where(empty, darkest, gray).astype(np.float32, copy=False)
    return filled

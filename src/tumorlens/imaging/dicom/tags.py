"""Look up values of a data set, in the functional groups of enhanced objects too."""

import math
from typing import Any

from pydicom.dataset import Dataset

from tumorlens.errors import CorruptInputError, LimitExceededError
from tumorlens.imaging.limits import MAX_SLICES, check_sides
from tumorlens.imaging.wording import clean

_LONGEST_TEXT = 64


def functional_group(dataset: Dataset, frame: int, keyword: str) -> Dataset | None:
    """The item of sequence ``keyword`` for ``frame`` (from 0): its own, else the shared one.

    Multi-frame Functional Groups, PS3.3 C.7.6.16. None where there is neither.
    """
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for groups in (per_frame[frame : frame + 1], shared[:1]):
        for group in groups:
            if items := group.get(keyword):
                item: Dataset = items[0]
                return item
    return None


def frame_count(dataset: Dataset, source: str) -> int:
    """NumberOfFrames, 1 where it is not given; bounded by ``MAX_SLICES``."""
    stated = dataset.get("NumberOfFrames")
    count = 1 if stated is None or stated == "" else int(stated)
    if count < 1:
        raise CorruptInputError(f"{source}: damaged DICOM (NumberOfFrames is {count})")
    if count > MAX_SLICES:
        raise LimitExceededError(f"{source}: claims {count} frames; the limit is {MAX_SLICES}")
    return count


def shape(dataset: Dataset, source: str) -> tuple[int, int]:
    """(rows, columns), within the limits."""
    if "Rows" not in dataset or "Columns" not in dataset:
        raise CorruptInputError(f"{source}: damaged DICOM (its size is missing or cut off)")
    rows, columns = int(dataset.Rows or 0), int(dataset.Columns or 0)
    check_sides(columns, rows, source)
    return rows, columns


def numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """``count`` finite numbers, or None where the element is missing, short or odd."""
    if value is None or isinstance(value, str | bytes):
        return None
    try:
        found = tuple(float(part) for part in value)
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and all(map(math.isfinite, found)) else None


def number(value: Any, default: float) -> float:
    """The first of one or more numbers; ``default`` where there is none."""
    if value is None or value == "":
        return default
    first = value[0] if isinstance(value, list | tuple) or hasattr(value, "append") else value
    return float(first)


def text(dataset: Dataset | None, keyword: str) -> str | None:
    """The element as a short string, or None where it is missing or empty."""
    words = texts(dataset, keyword)
    return words[0] if words else None


def texts(dataset: Dataset | None, keyword: str) -> tuple[str, ...]:
    """All values of the element as short strings."""
    value = None if dataset is None else dataset.get(keyword)
    if value is None:
        return ()
    parts = [value] if isinstance(value, str | bytes | int) else list(value)
    words = (clean(str(part).strip().strip("\0"), _LONGEST_TEXT) for part in parts)
    return tuple(word for word in words if word)

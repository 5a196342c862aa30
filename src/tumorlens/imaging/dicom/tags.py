"""Look up values of a data set, in the functional groups of enhanced objects too.

Nothing here raises for an odd element: what cannot be read counts as missing, because a file must
not be refused for an element that does not matter.
"""

import math
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID

from tumorlens.errors import CorruptInputError, LimitExceededError
from tumorlens.imaging.limits import MAX_SLICES, check_sides
from tumorlens.text import clean

_LONGEST_TEXT = 64
_LONGEST_UID = 256
"""Some writers exceed the 64 characters of a UID (PS3.5 9); cut off, two could become the same."""


def element(dataset: Dataset | None, keyword: str) -> Any:
    """The value of an element, converted by pydicom; None where it is missing or cannot be."""
    if dataset is None:
        return None
    try:
        return dataset.get(keyword)
    except Exception:  # conversion happens here, and raises nearly anything at odd bytes
        return None


def private_element(dataset: Dataset, group: int, creator: str, offset: int) -> Any:
    """The value of a maker's own element; None where it is missing or cannot be converted."""
    try:
        return dataset.private_block(group, creator)[offset].value
    except Exception:  # as in element
        return None


def items(dataset: Dataset | None, keyword: str) -> list[Dataset]:
    """The items of a sequence; none where it is missing or is no sequence."""
    sequence = element(dataset, keyword)
    if not _is_list(sequence):
        return []
    return [item for item in sequence if isinstance(item, Dataset)]


def functional_group(dataset: Dataset, frame: int, keyword: str) -> Dataset | None:
    """The item of sequence ``keyword`` for ``frame`` (from 0): its own, else the shared one.

    Multi-frame Functional Groups, PS3.3 C.7.6.16. None where there is neither.
    """
    per_frame = element(dataset, "PerFrameFunctionalGroupsSequence") or []
    shared = element(dataset, "SharedFunctionalGroupsSequence") or []
    for groups in (per_frame[frame : frame + 1], shared[:1]):
        for group in groups:
            if group_items := items(group, keyword):
                return group_items[0]
    return None


def frame_count(dataset: Dataset, source: str) -> int:
    """NumberOfFrames, bounded by ``MAX_SLICES``.

    Where it is not given or not plausible, the number of functional groups, or 1.
    """
    stated = number(dataset, "NumberOfFrames")
    if stated is None or stated < 1:
        stated = len(element(dataset, "PerFrameFunctionalGroupsSequence") or [])
    count = int(stated)
    if count > MAX_SLICES:
        raise LimitExceededError(f"{source}: claims {count} frames; the limit is {MAX_SLICES}")
    return max(1, count)


def shape(dataset: Dataset, source: str) -> tuple[int, int]:
    """(rows, columns), within the limits."""
    sides = [numbers(element(dataset, name), 1) for name in ("Rows", "Columns")]
    if sides[0] is None or sides[1] is None:
        raise CorruptInputError(f"{source}: damaged DICOM (its size is missing or cut off)")
    rows, columns = int(sides[0][0]), int(sides[1][0])
    check_sides(columns, rows, source)
    return rows, columns


def numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """``count`` finite numbers, or None where the element is missing, short or odd."""
    parsed = _floats(value)
    return parsed if len(parsed) == count and all(map(math.isfinite, parsed)) else None


def number(dataset: Dataset | None, keyword: str) -> float | None:
    """The first of one or more numbers; None where there is none, or it is not finite."""
    first = _floats(element(dataset, keyword))[:1]
    return first[0] if first and math.isfinite(first[0]) else None


def whole(dataset: Dataset, keyword: str, default: int) -> int:
    """The element as an integer; ``default`` where there is none."""
    stated = number(dataset, keyword)
    return default if stated is None else int(stated)


def is_stated(dataset: Dataset | None, keyword: str) -> bool:
    """Whether the element holds a value, valid or not."""
    if dataset is None or keyword not in dataset:
        return False
    value = dataset.get_item(keyword).value  # raw, where it cannot be converted
    return value not in (None, "", b"", []) and bool(not isinstance(value, bytes) or value.strip())


def _floats(value: Any) -> tuple[float, ...]:
    """All values as numbers; none where one of them is no number.

    Text is read too, as an element of another value representation holds it, and a comma as the
    decimal point that some exporters mean by it.
    """
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, str):
        value = value.strip("\0 ").split("\\")
    parts = value if _is_list(value) else [value]
    try:
        return tuple(
            float(part.replace(",", ".")) if isinstance(part, str) else float(part)
            for part in parts
        )
    except (TypeError, ValueError, OverflowError):
        return ()


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) or hasattr(value, "append")


def text(dataset: Dataset | None, keyword: str) -> str | None:
    """The element as a short string, or None where it is missing or empty."""
    words = texts(dataset, keyword)
    return words[0] if words else None


def texts(dataset: Dataset | None, keyword: str) -> tuple[str, ...]:
    """All values of the element as short strings."""
    value = element(dataset, keyword)
    if value is None:
        return ()
    parts = list(value) if _is_list(value) else [value]
    words = (clean(str(part).strip().strip("\0"), _longest(part)) for part in parts)
    return tuple(word for word in words if word)


def _longest(value: object) -> int:
    return _LONGEST_UID if isinstance(value, UID) else _LONGEST_TEXT

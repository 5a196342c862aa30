"""Values of the traits by which volumes of one series are told apart: rank, and words for notes."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

NO_SLICES: Final = frozenset({"LOCALIZER", "MIP", "MINIP", "MNIP", "PROJECTION IMAGE"})
"""Image types of localizers and projections, which are never slices of the volume beside them."""
_LAST: Final = NO_SLICES | {
    "F", "FAT", "OP", "OPP", "OPP_PHASE", "OUT_PHASE", "ADC", "FA", "MPR", "DERIVED", "SECONDARY",
    "phase", "imaginary",
}  # fmt: skip
"""Words of what is the second choice: fat images, maps and what is computed from others, and
components but the real one."""
_SEPARATORS: Final = re.compile(r"[\s_.,;:/()-]+")
_NAMED: Final = 4
"""Most values that one note lists."""


def rank(value: float | str) -> tuple[int, bool, float, str]:
    """A key to sort by: the first choice comes first, numbers before texts."""
    if isinstance(value, str):
        return len(_LAST & words(value)), True, 0.0, value
    return 0, False, value, ""


def words(value: float | str) -> set[str]:
    """The values of an element of several, and the words of each, as descriptions have them."""
    parts = str(value).split("\\")
    return {*parts, *(word.upper() for part in parts for word in _SEPARATORS.split(part))}


def left_out(name: str, main: float | str, others: Mapping[float | str, int]) -> list[str]:
    """A note on slices that are left out, if any: ``others`` are their values and numbers."""
    if not others:
        return []
    count = sum(others.values())
    slices = "1 slice" if count == 1 else f"{count} slices"
    verb = "lies" if count == 1 else "lie"
    return [
        f"{slices} with {name} {listed(list(others))} {verb} at the positions of those with "
        f"{name} {word(main)} and {'is' if count == 1 else 'are'} left out"
    ]


def listed(values: Sequence[float | str]) -> str:
    """The first ``_NAMED`` of them, and how many more there are."""
    named = ", ".join(word(value) for value in values[:_NAMED])
    return f"{named} and {len(values) - _NAMED} more" if len(values) > _NAMED else named


def word(value: float | str) -> str:
    """The value, as notes name it."""
    if isinstance(value, float):
        return f"{value:g}"
    return value or "not stated"

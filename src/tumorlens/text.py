"""Text for people: untrusted text cut to one safe line; percentages and counts."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

_LONGEST: Final = 120
_DIGITS: Final = re.compile(r"(\d*)(\D+|$)")


def clean(text: str, longest: int = _LONGEST) -> str:
    """``text`` with everything that is not printable replaced, and cut to ``longest``."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(char if char.isprintable() else "?" for char in cut)


def composed(text: str) -> str:
    """Each letter with its accents as one character: some systems store them as several."""
    return unicodedata.normalize("NFC", text)


def first_line(error: Exception) -> str:
    """The first line of ``error``, or its type if it has no text."""
    return clean(str(error).strip().partition("\n")[0].rstrip(": ")) or type(error).__name__


def reason_of(error: OSError) -> str:
    """What went wrong, in the words of the system; some errors have none."""
    return error.strerror or type(error).__name__


def printable(text: str) -> str:
    """Escape what would break a line or steer a terminal: ``\\n``, ``\\x1b``, lone surrogates.

    A path may hold any of them; a path that is not UTF-8 holds surrogates (PEP 383).
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def percent(rate: float, digits: int = 2) -> str:
    """0.98443 as ``98.44%``: a counted rate, which may be 0% or 100%."""
    return f"{100 * rate:.{digits}f}%"


def probability_percent(probability: float, digits: int = 1) -> str:
    """0.9871 as ``98.7%``; never a rounded-up certainty, but ``>99.9%`` and ``<0.1%``."""
    least = 10.0 ** -(digits + 2)
    if probability > 1.0 - least:
        return f">{percent(1.0 - least, digits)}"
    return f"<{percent(least, digits)}" if probability < least else percent(probability, digits)


def counted(number: int, noun: str) -> str:
    """``1 image``, ``7,023 images``; for nouns that take an s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(items: Sequence[str], most: int) -> str:
    """The first ``most`` of ``items``, and how many more there are."""
    more = [f"and {len(items) - most} more"] if len(items) > most else []
    return "; ".join([*items[:most], *more])


def is_or_are(number: int) -> str:
    """The verb after ``number`` things."""
    return "is" if number == 1 else "are"


def natural(text: str) -> list[tuple[int, str]]:
    """A key that sorts slice2 before slice10."""
    return [(int(digits or -1), other) for digits, other in _DIGITS.findall(text)]

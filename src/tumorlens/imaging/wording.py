"""Text from files and libraries, shortened to a message of one line."""

from typing import Final

_LONGEST: Final = 120


def clean(text: str, longest: int = _LONGEST) -> str:
    """``text`` with everything that is not printable replaced, and cut to ``longest``."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(char if char.isprintable() else "?" for char in cut)


def first_line(error: Exception) -> str:
    """The first line of ``error``, or its type if it has no text."""
    return clean(str(error).strip().partition("\n")[0].rstrip(": ")) or type(error).__name__

"""Numbers of things, in words."""


def counted(number: int, noun: str) -> str:
    """``1 image``, ``7,023 images``; for nouns that take an s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def is_or_are(number: int) -> str:
    """The verb after ``number`` things."""
    return "is" if number == 1 else "are"

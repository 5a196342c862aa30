"""What a terminal may be sent."""


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

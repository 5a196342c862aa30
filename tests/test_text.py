"""Nothing that a path may hold reaches a terminal raw."""

import pytest

from tumorlens.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [bold] é 日本", "plain [bold] é 日本"),
        ("two\nlines\r\t", "two\\nlines\\r\\t"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("caf\udce9", "caf\\udce9"),
        ("\u202eright to left", "\\u202eright to left"),
        ("", ""),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
    shown.encode("utf-8")

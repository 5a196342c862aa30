"""Nothing that a path may hold reaches a terminal raw; lists and words for people."""

from collections.abc import Sequence

import pytest

from tumorlens.text import clean, composed, first_line, listed, natural, printable


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


@pytest.mark.parametrize(
    ("items", "shown"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a; b"),
        (["a", "b", "c"], "a; b; and 1 more"),
        (["a", "b", *"cdefg"], "a; b; and 5 more"),
    ],
)
def test_a_list_names_the_first_and_counts_the_rest(items: Sequence[str], shown: str) -> None:
    assert listed(items, 2) == shown
    assert listed(tuple(items), 2) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("abcdef", "abcdef"), ("abcdefg", "abcde…"), ("a\x1b[m\n", "a?[m?"), ("é\udce9", "é?")],
)
def test_foreign_words_are_one_short_line(text: str, shown: str) -> None:
    assert clean(text, 6) == shown


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("\n first: \nsecond"), "first"),
        (ValueError("a\x1b[2J"), "a?[2J"),
        (ValueError(" \n"), "ValueError"),
        (KeyError(), "KeyError"),
    ],
)
def test_an_error_without_words_is_named_by_its_type(error: Exception, shown: str) -> None:
    assert first_line(error) == shown


def test_slices_are_sorted_by_their_numbers() -> None:
    names = ["slice10", "slice2b", "slice2", "b", "10", "9", "slice02a"]
    assert sorted(names, key=natural) == [
        "b", "slice2", "slice02a", "slice2b", "slice10", "9", "10",
    ]  # fmt: skip


def test_a_letter_with_its_accent_apart_is_the_same_letter() -> None:
    assert composed("cafe\N{COMBINING ACUTE ACCENT}") == "caf\N{LATIN SMALL LETTER E WITH ACUTE}"

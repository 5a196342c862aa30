"""Clients take turns, and so do the requests of a client."""

import pytest

from tumorlens.isolation.turns import Turns


def test_order() -> None:
    turns: Turns[str] = Turns()
    for turn, item in (
        (("a", 1), "a1x"), (("a", 1), "a1y"), (("a", 2), "a2x"), (("b", 1), "b1x"),
        (("a", 1), "a1z"), (("b", 1), "b1y"),
    ):  # fmt: skip
        turns.push(turn, item)
    assert len(turns) == 6
    assert [turns.pop() for _ in range(6)] == ["a1x", "b1x", "a2x", "b1y", "a1y", "a1z"]
    with pytest.raises(KeyError):
        turns.pop()


def test_remove_and_first() -> None:
    turns: Turns[str] = Turns()
    turns.push(("a", 1), "x")
    turns.push(("a", 1), "y", first=True)
    assert not turns.has_other(("a", 1))
    assert turns.has_other(("a", 2))
    assert turns.remove(("a", 1), "y")
    assert not turns.remove(("a", 1), "y")
    assert turns.pop() == "x"
    assert len(turns) == 0
    assert not turns.has_other(("b", 1))

"""How long work tells how far it is."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_T = TypeVar("_T")

Progress = Callable[[int, int], None]
"""Is called with (done, total) as work goes on."""


def part_of(progress: Progress | None, before: int, total: int) -> Progress | None:
    """For one of several pieces of work: ``before`` are done already, of ``total`` in all."""
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)


def reported(items: Iterable[_T], total: int, progress: Progress | None) -> Iterator[_T]:
    """Yield ``items``, and tell ``progress`` of each when the next is asked for."""
    for done, item in enumerate(items, start=1):
        yield item
        if progress is not None:
            progress(done, total)

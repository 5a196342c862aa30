"""How long-running work reports its progress."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_T = TypeVar("_T")

Progress = Callable[[int, int], None]
"""Is called with (done, total) as work goes on."""


def part_of(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Progress for one of several pieces of work: ``before`` of ``total`` are already done."""
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)


def reported(items: Iterable[_T], total: int, progress: Progress | None) -> Iterator[_T]:
    """Yield ``items``, and report each to ``progress`` when the next is asked for."""
    for done, item in enumerate(items, start=1):
        yield item
        if progress is not None:
            progress(done, total)

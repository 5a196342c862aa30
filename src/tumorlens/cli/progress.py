"""Progress bars on standard error, with the remaining time; only in a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tumorlens.cli.terminal import progress_console
from tumorlens.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

NamedProgress = Callable[[str], Progress]
"""Adds a progress bar with this name; returns the function that moves it."""


@contextmanager
def bars(console: "Console | None" = None, *, at_once: bool = False) -> Iterator[NamedProgress]:
    """Provide a function that adds bars, which are shown from their first step or ``at_once``."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = console or progress_console()
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    )  # fmt: skip
    with Bars(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as display:

        def named(name: str) -> Progress:
            task = display.add_task(name, total=None, visible=at_once)
            return lambda done, total: display.update(
                task, completed=done, total=total, visible=True
            )

        yield named


@contextmanager
def bar(title: str) -> Iterator[Progress]:
    """Provide a function that moves one bar."""
    with bars(at_once=True) as named:
        yield named(title)

"""One look for progress: a bar with the time left on stderr, silent when that is no terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tumorlens.cli.terminal import progress_console


@contextmanager
def bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Lend a function that is called with (done, total) as work goes on."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    console = progress_console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft())
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)

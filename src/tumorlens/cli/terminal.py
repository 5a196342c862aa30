"""Messages and tables in the terminal; ``--quiet`` and ``--verbose``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tumorlens.labels import RESEARCH_NOTICE
from tumorlens.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_KEY: Final = "tumorlens.verbosity"
_QUIET: Final = -1
_VERBOSE: Final = 1
_WIDE: Final = 200


def note(message: str) -> None:
    """Print a note on standard error; nothing with ``--quiet``."""
    if not is_quiet():
        click.echo(f"tumorlens: {printable(message)}", err=True)


def error(message: str) -> None:
    """Print an error on standard error, also with ``--quiet``."""
    click.echo(f"tumorlens: {printable(message)}", err=True)


def detail(message: str) -> None:
    """Print a note with ``--verbose`` only."""
    if is_verbose():
        note(message)


def is_quiet() -> bool:
    """Whether ``--quiet`` was given."""
    return _verbosity() == _QUIET


def is_verbose() -> bool:
    """Whether ``--verbose`` was given."""
    return _verbosity() == _VERBOSE


def progress_console(**options: Any) -> "Console":
    """The console for progress: standard error, or nothing with ``--quiet``."""
    from rich.console import Console

    return Console(stderr=True, quiet=is_quiet(), **options)


def answer_console() -> "Console":
    """The console for tables on standard output; in a file or pipe, tables are not squeezed.

    Names of classes and files are shown as they are: rich would take parts of some for markup.
    """
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDE, markup=False, emoji=False)


def table(title: str, *columns: str, style: str = "") -> "Table":
    """A table without rows; the first column is for text, all others are for numbers."""
    from rich import box
    from rich.table import Table

    empty = Table(title=title, box=box.SIMPLE, padding=(0, 1, 0, 0), title_justify="left")
    for k, name in enumerate(columns):
        empty.add_column(name, justify="right" if k else "left", style=style if k else "")
    return empty


def finish(console: "Console", **written: Path) -> None:
    """Print the paths that were written, by title, and the research notice."""
    from rich.text import Text

    for title, path in written.items():
        console.print(Text(f"{title}: {path}"), soft_wrap=True)
    console.print(Text(RESEARCH_NOTICE, "dim"))


def with_verbosity(command: click.Command) -> click.Command:
    """Give ``command``, and all below it, the options ``--quiet`` and ``--verbose``."""
    if not any(parameter.name == "quiet" for parameter in command.params):
        command.params += [
            click.Option(["-q", "--quiet"], is_flag=True, expose_value=False, callback=_chosen,
                         help="Show only answers and errors, without notes and progress."),
            click.Option(["-v", "--verbose"], is_flag=True, expose_value=False, callback=_chosen,
                         help="Also show versions, run times and the origin of errors."),
        ]  # fmt: skip
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        with_verbosity(below)
    return command


def _chosen(context: click.Context, option: click.Parameter, value: bool) -> None:
    level = {"quiet": _QUIET, "verbose": _VERBOSE}[str(option.name)]
    if value and context.meta.setdefault(_KEY, level) != level:
        raise click.UsageError("--quiet and --verbose cannot be combined", context)


def _verbosity() -> int:
    """The verbosity in click's context, so that each call of a command has its own."""
    context = click.get_current_context(silent=True)
    return 0 if context is None else context.meta.get(_KEY, 0)

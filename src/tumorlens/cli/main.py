"""The ``tumorlens`` command: one module for each subcommand, imported when it is called."""

import contextlib
import importlib
import os
import platform
import re
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from itertools import pairwise
from types import FrameType
from typing import Any, Final

import click

from tumorlens.cli import terminal
from tumorlens.cli.terminal import is_verbose, note, with_verbosity
from tumorlens.errors import (
    EXIT_CODES,
    EXIT_FAILURE,
    EXIT_INTERRUPTED,
    EXIT_OK,
    TumorlensError,
    did_you_mean,
)
from tumorlens.labels import RESEARCH_NOTICE

_COMMANDS: Final = {
    "batch": "Classify an archive of any size into a Parquet dataset.",
    "calibrate": "Fit temperature and thresholds, after training or for a site.",
    "compare": "Compare bundles on one split, with paired differences.",
    "data": "Import, audit and split image sets.",
    "demo": "Run the main steps on synthetic images.",
    "evaluate": "Score a bundle on a split, with intervals and controls.",
    "gate": "Train the gate that rejects images that are not heads.",
    "licences": "List the installed dependencies and their licences.",
    "models": "List the bundled networks and the architectures.",
    "pacs": "Answer the studies of a PACS.",
    "predict": "Classify images and volumes.",
    "recipes": "List the bundled recipes, or print one.",
    "serve": "Serve the web page and the HTTP API.",
    "train": "Train a network from a recipe and export a bundle.",
    "web": "Write the web page as static files.",
}
_NO_VALUE: Final = re.compile(r"--[\w-]+=")


class _LazyGroup(click.Group):
    """Imports ``tumorlens.cli.NAME`` only for the subcommand that is called, for a short start."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_COMMANDS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        command: click.Command = importlib.import_module(f"tumorlens.cli.{cmd_name}").command
        command.short_help = _COMMANDS[cmd_name]
        return with_verbosity(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest a name for an unknown one; click suggests only commands that are imported."""
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"No such command {name!r}{did_you_mean(name, _COMMANDS)}")
        found = super().resolve_command(ctx, args)
        if found[1] is not None and not ctx.resilient_parsing:
            _refuse_empty(args, click.Context(found[1], ctx, name))
        return found

    def invoke(self, ctx: click.Context) -> Any:
        """With ``--verbose``, print the origin of an error, the versions and the run time."""
        started = time.monotonic()
        try:
            return super().invoke(ctx)
        except (TumorlensError, OSError):
            if is_verbose():
                traceback.print_exc()
            raise
        finally:
            if is_verbose():
                import tumorlens

                took = f"{time.monotonic() - started:.1f} s"
                note(f"version {tumorlens.__version__}, Python {platform.python_version()}, {took}")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, _COMMANDS.get(name, "")) for name in self.list_commands(ctx)]
            )


def _refuse_empty(arguments: Sequence[str], context: click.Context) -> None:
    """Raise ``UsageError`` for an empty argument: as a path it would be the working folder.

    It is what a shell passes for a variable that is not set.
    """
    for before, argument in pairwise(["", *arguments]):
        if argument == "" or _NO_VALUE.fullmatch(argument):
            place = f" after {argument or before}" if argument or before else ""
            context.fail(f"an argument is empty{place}: give it a value, or leave it out")


@click.command(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=f"Classify brain MRI; train and evaluate classifiers. {RESEARCH_NOTICE}",
    epilog="\b\nExit codes:\n"
    + "\n".join(f"{code:5}  {words}" for code, words in EXIT_CODES.items()),
)
@click.version_option(package_name="tumorlens")
def cli() -> None:
    """Root of the command tree."""


with_verbosity(cli)


def main() -> None:
    """Run the command line and exit.

    A ``TumorlensError`` becomes one line and its exit code, and so do wrong usage, a failing disk
    and Ctrl-C. A command gives another exit code with ``click.Context.exit``.
    """
    _clean_up_on_sigterm()
    try:
        code = _run()
    except _TerminatedError:
        # Everything is cleaned up: now end as the sender of the signal expects.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
        code = EXIT_FAILURE
    except BrokenPipeError:
        _discard_output()  # its reader closed the pipe (`| head`)
        code = EXIT_FAILURE
    sys.exit(code)


def _discard_output() -> None:
    """Discard what is buffered, or the interpreter reports an error at exit."""
    if sys.stdout is None:  # it was closed before the start
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _TerminatedError(BaseException):
    """SIGTERM; like ``KeyboardInterrupt`` not an ``Exception``."""


def _clean_up_on_sigterm() -> None:
    """Let SIGTERM end the command as Ctrl-C does, so that no half-written files remain."""
    own = os.getpid()

    def end(number: int, _: FrameType | None) -> None:
        if os.getpid() != own:  # a process that was forked from this one
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        raise _TerminatedError

    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, end)


def _run() -> int:
    try:
        # Not click's standalone mode: it ends with 1 on Ctrl-C and does not name the program.
        code = cli(standalone_mode=False)
        if sys.stdout is not None:  # it is None if it was closed before the start
            sys.stdout.flush()
    except click.ClickException as error:
        _with_nearest_choice(error).show()
        return error.exit_code
    except click.Abort:
        terminal.error("interrupted")
        return EXIT_INTERRUPTED
    except TumorlensError as error:
        terminal.error(str(error))
        return error.exit_code
    except BrokenPipeError:
        raise
    except OSError as error:
        where = error.filename
        if where is None and not _flushes():
            where = "standard output"
            _discard_output()
        reason = error.strerror or str(error)
        terminal.error(reason if where is None else f"{where}: {reason}")
        return EXIT_FAILURE
    return code if isinstance(code, int) else EXIT_OK


def _flushes() -> bool:
    """Whether standard output takes what is buffered; if not, that is what failed."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        return False
    return True


def _with_nearest_choice(error: click.ClickException) -> click.ClickException:
    """Add the nearest of an option's choices to click's message."""
    kind = getattr(getattr(error, "param", None), "type", None)
    given = re.match(r"'(.*)' is not one of", error.message)
    if isinstance(kind, click.Choice) and given is not None:
        nearest = did_you_mean(given[1], map(str, kind.choices))
        text = error.message.rstrip(".") + (nearest or ".")
        context, option = getattr(error, "ctx", None), getattr(error, "param", None)
        return click.BadParameter(text, context, option)
    return error

"""The ``tumorlens`` command: one file a subcommand, each imported only when it is called."""

import importlib
import sys
from typing import Final

import click

from tumorlens.errors import EXIT_FAILURE, TumorlensError
from tumorlens.labels import RESEARCH_NOTICE

_COMMANDS: Final = {
    "data": "Import, audit and split image sets.",
    "demo": "Run the main job on a synthetic set: audit, evaluate, classify, report.",
    "evaluate": "Score a bundle on a split, with intervals and controls.",
    "models": "List network architectures and the bundles in the box.",
    "predict": "Classify pictures.",
    "train": "Train a network from a recipe and export a bundle.",
}


class _LazyGroup(click.Group):
    """Imports ``tumorlens.cli.NAME`` only for the subcommand called: a cold start stays short."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"tumorlens.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.command(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=f"Classify brain MRI slices, and measure how well. {RESEARCH_NOTICE}",
    epilog="Exit codes: 0 all good, 1 failed, 2 wrong usage, 3 some inputs failed, "
    "4 the model bundle cannot be used.",
)
@click.version_option(package_name="tumorlens")
def cli() -> None:
    """Root of the command tree."""


def main() -> None:
    """Run the command line; a ``TumorlensError`` becomes one line and its exit code."""
    try:
        cli()
    except TumorlensError as error:
        click.echo(f"tumorlens: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is wrong with the inputs.
        sys.stderr.close()
        sys.exit(EXIT_FAILURE)

"""``tumorlens web``: the web page without a server."""

from pathlib import Path

import click

from tumorlens.cli import options
from tumorlens.labels import RESEARCH_NOTICE


@click.group("web")
def command() -> None:
    """Use the web page without a server."""


@command.command("build", short_help="Write the page and the model into a folder.")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@options.bundle
def build(folder: Path, bundle: str) -> None:
    """Write the page and the model into DIR, for any static web host.

    Images are classified in the visitor's browser and are not sent anywhere.
    """
    from tumorlens import bundle as bundles
    from tumorlens.server import site

    written = site.write(folder, bundles.load(bundle))
    size = sum(path.stat().st_size for path in written) / 1e6
    click.echo(f"Wrote {len(written)} files, {size:.1f} MB, to {folder}")
    click.echo(RESEARCH_NOTICE)

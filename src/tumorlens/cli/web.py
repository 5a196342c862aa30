"""``tumorlens web``: the web page without a server."""

from pathlib import Path

import click

from tumorlens.labels import RESEARCH_NOTICE


@click.group("web", short_help="Write the web page as static files.")
def command() -> None:
    """Use the web page without a server."""


@command.command("build", short_help="Write the page and the model into a folder.")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--bundle", "bundle_name", default="default", show_default=True,
              metavar="NAME_OR_PATH", help="Bundle, by name or folder.")  # fmt: skip
def build(folder: Path, bundle_name: str) -> None:
    """Write the page and the model into DIR, for any static web host.

    Images are classified in the visitor's browser and are not sent anywhere.
    """
    from tumorlens import bundle
    from tumorlens.server import site

    written = site.write(folder, bundle.load(bundle_name))
    size = sum(path.stat().st_size for path in written) / 1e6
    click.echo(f"Wrote {len(written)} files, {size:.1f} MB, to {folder}")
    click.echo(RESEARCH_NOTICE)

"""``tumorlens data croissant``: a manifest as metadata for data catalogues."""

import json
from pathlib import Path

import click

from tumorlens.cli import options
from tumorlens.cli.terminal import note
from tumorlens.files import write_file

_STANDARD_OUTPUT = Path("-")


@click.command(
    name="croissant",
    short_help="Describe a manifest for data catalogues.",
    epilog="\b\nExample:\n  tumorlens data croissant mine.csv --license CC-BY-4.0",
)
@click.argument("manifest_path", metavar="MANIFEST", type=options.MANIFEST)
@click.option("--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
              help="JSON-LD to write, - for standard output. Default: MANIFEST.croissant.json, "
              "next to the manifest.")  # fmt: skip
@click.option("--name", help="Name of the data set. Default: the manifest's name.")
@click.option(
    "--description",
    default="",
    help="Description of the data set. Default: the number of images and classes.",
)
@click.option("--license", "licence", default="", metavar="URL_OR_SPDX",
              help="Licence of the images.")  # fmt: skip
@click.option("--url", default="", help="URL at which the data set is published.")
def command(
    manifest_path: Path,
    output: Path | None,
    name: str | None,
    description: str,
    licence: str,
    url: str,
) -> None:
    """Write Croissant 1.0 metadata (MLCommons) for MANIFEST: its columns and their meaning."""
    from tumorlens.datasets import croissant
    from tumorlens.datasets.manifest import Manifest

    about = croissant.About(name or manifest_path.stem, description, licence, url)
    metadata = croissant.describe(Manifest.load(manifest_path), manifest_path, about)
    text = json.dumps(metadata, indent=2, ensure_ascii=False) + "\n"
    if output == _STANDARD_OUTPUT:
        click.echo(text, nl=False)
        return
    output = output or manifest_path.with_name(f"{manifest_path.stem}.croissant.json")
    write_file(output, text.encode())
    note(f"wrote {output}")

"""``tumorlens models``: the networks and their cost, which is computed."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from tumorlens.cli import options
from tumorlens.cli.terminal import answer_console, note, progress_console
from tumorlens.errors import MissingExtraError, needing


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    kind: str
    image_size: int
    parameters: int
    macs: int
    file_bytes: int
    note: str


@click.group(name="models", invoke_without_command=True)
@click.option("--format", "style", type=click.Choice(["table", "json"]), default="table",
              show_default=True, help="Format of the list.")  # fmt: skip
@click.option("--image-size", type=click.IntRange(32, 1024), default=160, show_default=True,
              help="Side of the input image in pixels, for the architectures.")  # fmt: skip
@click.pass_context
def command(context: click.Context, style: str, image_size: int) -> None:
    """List the bundled networks and the network architectures.

    Architectures are built with random weights to count their parameters, which needs the extra
    `train` and takes some seconds. Without the extra, only the bundled networks are listed.
    """
    if context.invoked_subcommand is not None:
        return
    rows = _bundles()
    try:
        rows += _architectures(image_size)
    except MissingExtraError as missing:
        note(str(missing))
    if style == "json":
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        _print_table(rows)


@command.command(
    name="export",
    short_help="Export a bundle in another layout.",
    epilog="\b\nExample:\n  tumorlens models export default --format huggingface --out hub/default",
)
@click.argument("name", metavar="NAME_OR_PATH")
@click.option("--format", "layout", type=click.Choice(["huggingface"]), default="huggingface",
              show_default=True, help="Layout of the folder.")  # fmt: skip
@click.option("--out", required=True, metavar="DIR",
              type=options.FOLDER, help="New folder.")  # fmt: skip
def export_command(name: str, layout: str, out: Path) -> None:  # noqa: ARG001 - one so far
    """Write the bundle as a Hugging Face repository: safetensors, config.json, model card.

    The folder is also a bundle that `tumorlens predict --bundle DIR` and `tumorlens train --init
    DIR` accept. Needs the extra `train`.
    """
    from tumorlens import bundle
    from tumorlens.training import huggingface

    note(f"wrote {huggingface.export(bundle.load(name), out)}")


def _bundles() -> list[_Row]:
    from tumorlens import bundle

    rows = []
    for name in bundle.SHIPPED:
        info = (shipped := bundle.load(name)).info
        split = info.training.get("split", {}).get("name", "unknown")
        rows.append(
            _Row(
                name,
                "bundle",
                info.preprocess.image_size,
                info.network.parameters,
                info.network.macs,
                len(shipped.model),
                f"{info.network.architecture.get('name', '')}, trained on {split}",
            )
        )
    return rows


def _architectures(image_size: int) -> list[_Row]:
    from rich.progress import track

    with needing("train", "listing the architectures"):
        from tumorlens.networks import registry
        from tumorlens.networks.sepsenet import SepSENet
        from tumorlens.training.export import to_onnx

    rows = []
    networks = list(registry.ARCHITECTURES.items())
    console = progress_console()
    for name, config in track(networks, "counting", transient=True, console=console):
        network = SepSENet(config)
        parameters = registry.count_parameters(network)
        macs = registry.count_macs(network, image_size)
        size = len(to_onnx(network, image_size))
        widths = "-".join(str(width) for width in config.widths)
        rows.append(_Row(name, "architecture", image_size, parameters, macs, size, widths))
    return rows


def _print_table(rows: list[_Row]) -> None:
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for title in ("name", "kind"):
        table.add_column(title, no_wrap=True)
    for title in ("input", "parameters", "MACs (M)", "file (MB)"):
        table.add_column(title, justify="right")
    table.add_column("")
    for row in rows:
        table.add_row(
            row.name,
            row.kind,
            f"{row.image_size}",
            f"{row.parameters:,}",
            f"{row.macs / 1e6:.1f}",
            f"{row.file_bytes / 1e6:.2f}",
            row.note,
        )
    answer_console().print(table)

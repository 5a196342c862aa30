"""``tumorlens gate``: train the network that rejects images of anything but a head."""

from pathlib import Path

import click

from tumorlens.cli import options
from tumorlens.cli.progress import bar
from tumorlens.errors import needing
from tumorlens.files import write_file


@click.command(name="gate")
@options.data
@options.split("Split of the manifest; its train part is used.")
@options.extra_images("Additional heads: the train part of SPLIT, or `all` images.")
@click.option("--hold-out", "held_out", multiple=True, metavar="NAME",
              help="Source, family or kind of counter-example to leave out.")  # fmt: skip
@click.option("--out", required=True, metavar="FILE", type=click.Path(path_type=Path),
              help="ONNX file to write.")  # fmt: skip
@click.option("--steps", default=3000, show_default=True, type=click.IntRange(min=1),
              help="Number of training steps.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=options.SEED,
              help="Random seed.")  # fmt: skip
@options.threads
@options.cache
def command(
    data: Path,
    split: str,
    extras: tuple[tuple[Path, str], ...],
    held_out: tuple[str, ...],
    out: Path,
    steps: int,
    seed: int,
    threads: int | None,
    cache: Path | None,
) -> None:
    """Train the gate on the heads in the manifests and on counter-examples.

    Heads are used whatever their labels. Counter-examples are the images with the label
    `not_brain_mri`, such as head CT, and drawn images.

    `tumorlens calibrate --gate` adds the file to a bundle.
    """
    with needing("train", "training"):
        import torch

        from tumorlens.training import gate
    from tumorlens.datasets import splits
    from tumorlens.datasets.manifest import Manifest
    from tumorlens.training.cache import default_folder
    from tumorlens.training.data import Extra

    if threads:
        torch.set_num_threads(threads)
    sets = [Extra(Manifest.load(data), splits.load(split, data.parent))]
    sets += [Extra.load(path, part) for path, part in extras]
    heads, near_misses = gate.load_images(sets, held_out, cache or default_folder())
    run = gate.GateRun(steps=steps, seed=seed)
    with bar("Training the gate") as progress:
        network = gate.train_gate(heads, near_misses, run, progress)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_file(out, gate.export_gate(network))
    click.echo(
        f"gate: {out}, trained on {len(heads.images):,} heads and "
        f"{len(near_misses.images):,} counter-examples"
    )

"""Options that several commands have, declared once."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from tumorlens.config import DEVICES, MAX_SEED

_Command = TypeVar("_Command", bound=Callable[..., Any])
Option = Callable[[_Command], _Command]


class _Written(click.Path):
    """A path to write to that cannot be standard output; ``-`` is therefore a usage error."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "-":
            self.fail(
                "this cannot be written to standard output; name a path, such as ./-", param, ctx
            )
        return super().convert(value, param, ctx)


class Number(click.FloatRange):
    """A number in a range; no comparison refuses NaN, and no duration or size is infinite."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; fails if it is not finite."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


MANIFEST: Final = click.Path(path_type=Path)
"""A manifest to read: a file, or a folder of Parquet files."""
FOLDER: Final = _Written(file_okay=False, path_type=Path)
"""A folder to write."""
FILE: Final = _Written(dir_okay=False, path_type=Path)
"""A file to write."""

SEED: Final = click.IntRange(0, MAX_SEED)

data: Final = click.option(
    "--data", required=True, metavar="MANIFEST", type=MANIFEST,
    help="Manifest of the images, from `tumorlens data import`.",
)  # fmt: skip
"""One manifest, for training or fitting."""
several_data: Final = click.option(
    "--data", required=True, multiple=True, metavar="MANIFEST", type=MANIFEST,
    help="Manifest of the images, from `tumorlens data import`; repeat to join several.",
)  # fmt: skip
"""Manifests to score."""
part: Final = click.option(
    "--part", default="test", show_default=True,
    type=click.Choice(["test", "validation", "train"]), help="Part of the split to "
    "score.",
)  # fmt: skip
resamples: Final = click.option(
    "--resamples", default=2000, show_default=True, type=click.IntRange(min=100),
    help="Number of bootstrap resamples of groups for the confidence intervals.",
)  # fmt: skip
resampling_seed: Final = click.option(
    "--seed", default=0, show_default=True, type=SEED, help="Seed of the bootstrap."
)
cache: Final = click.option(
    "--cache", metavar="DIR", type=click.Path(path_type=Path),
    help="Folder for the cache of preprocessed images.",
)  # fmt: skip
threads: Final = click.option(
    "--threads", type=click.IntRange(1, 1024), help="Number of CPU threads. Default: all cores."
)
bundle: Final = click.option(
    "--bundle", default="default", show_default=True, metavar="NAME_OR_PATH",
    help="Bundle, by name or folder.",
)  # fmt: skip
plane: Final = click.option(
    "--plane", type=click.Choice(["axial", "coronal", "sagittal"]), default="axial",
    show_default=True, help="Plane in which volumes are cut into slices. A DICOM series "
    "with slices more than 3 mm apart keeps its own plane.",
)  # fmt: skip
device: Final = click.option(
    "--device", type=click.Choice(DEVICES), default="auto", show_default=True,
    help="Device for the network. `auto`: a GPU if one can be used, otherwise the CPU. `cuda`: a "
    "GPU, or an error if there is none.",
)  # fmt: skip


def split(words: str) -> Option[Any]:
    """The split of one manifest, as ``split``."""
    return click.option("--split", required=True, metavar="NAME_OR_FILE[:FOLD]", help=words)


def named_split(words: str) -> Option[Any]:
    """The split to score, as ``split_name``."""
    return click.option(
        "--split", "split_name", required=True, metavar="NAME_OR_FILE[:FOLD]", help=words
    )


def extra_images(words: str) -> Option[Any]:
    """Further images, each time a manifest and its split, as ``extras``."""
    return click.option(
        "--extra", "extras", type=(click.Path(path_type=Path), str), multiple=True,
        metavar="MANIFEST SPLIT", help=words,
    )  # fmt: skip

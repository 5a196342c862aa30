"""The option ``--device``, the same for every command that runs a network."""

from typing import Final

import click

from tumorlens.config import DEVICES

device_option: Final = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Where networks run: on the GPU where there is one that can be used, on the CPU, or on "
    "the GPU or not at all.",
)

"""The option ``--device``, the same for every command that runs a network."""

from typing import Final

import click

from tumorlens.config import DEVICES

device_option: Final = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Device for the network. `auto`: a GPU if one can be used, otherwise the CPU. `cuda`: a "
    "GPU, or an error if there is none.",
)

"""What makes a training step faster on this processor: precision, memory layout, threads.

    python -m experiments.precision

Times forward, backward and AdamW step of one network on random images, the variants interleaved,
and prints the median images a second of each and its ratio to plain float32.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Sequence

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tumorlens.networks.registry import resolve
from tumorlens.networks.sepsenet import SepSENet

Variant = tuple[torch.dtype, torch.memory_format, int]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="small")
    parser.add_argument("--image-size", type=int, default=144)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    variants = list(
        itertools.product(
            (torch.float32, torch.bfloat16),
            (torch.contiguous_format, torch.channels_last),
            (1, torch.get_num_threads()),
        )
    )
    speeds: dict[Variant, list[float]] = {variant: [] for variant in variants}
    console = Console(stderr=True)
    for _ in track(range(options.repeats), "measuring", console=console):
        for variant in variants:
            speeds[variant].append(images_a_second(options, variant))
    show({variant: statistics.median(values) for variant, values in speeds.items()})


def images_a_second(options: argparse.Namespace, variant: Variant) -> float:
    """Of four training steps, after one that is not timed."""
    precision, layout, threads = variant
    torch.set_num_threads(threads)
    network = SepSENet(resolve(options.model)).train()
    network = network.to(memory_format=layout)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters())
    shape = (options.batch_size, 1, options.image_size, options.image_size)
    images = torch.rand(shape).contiguous(memory_format=layout)
    labels = torch.randint(0, 4, (options.batch_size,))
    started = 0.0
    for step in range(5):
        if step == 1:
            started = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(network(images).float(), labels)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    seconds = time.perf_counter() - started
    return 4 * float(options.batch_size) / seconds


def show(medians: dict[Variant, float]) -> None:
    """Print a row a variant."""
    base = medians[torch.float32, torch.contiguous_format, 1]
    table = Table(box=None, header_style="bold")
    for title in ("precision", "layout", "threads", "images/s", "ratio"):
        table.add_column(title, justify="right")
    for (precision, layout, threads), speed in medians.items():
        names = (str(value).removeprefix("torch.") for value in (precision, layout, threads))
        table.add_row(*names, f"{speed:.0f}", f"{speed / base:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()

"""Cost of ``tumorlens batch`` against the number of pictures, in one run on one machine.

    python -m benchmarks.batch --sizes 500 1000 2000 --output benchmarks/records/batch.json

Pictures are phantoms, each with noise of its own, so none is a copy. For each size: seconds until
the first part is there, inputs a second, and the most memory that the command and each of its
worker processes had; then two processes against one. Ratios mean something, seconds only beside
the processor and what else it had to do.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from benchmarks import options as shared
from benchmarks.predict import processor
from rich.console import Console
from rich.table import Table

from tumorlens.batch.columns import Tally
from tumorlens.batch.local import LocalEngine
from tumorlens.batch.run import Batch, Options
from tumorlens.demo.phantoms import make_phantom
from tumorlens.imaging import encode
from tumorlens.labels import CLASSES

_DRAWN: Final = 64
"""Phantoms that are drawn; the others are these with other noise."""
_PER_FOLDER: Final = 10_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and save."""
    parser = shared.parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--bundle", default="default")
    options = parser.parse_args(arguments)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in sorted(options.sizes):
            write_pictures(Path(folder) / "in", size)
            rows += [measure(Path(folder), options.bundle, size, count) for count in (1, 2)]
    show(rows)
    if options.output:
        results = {"benchmark": "batch", "processor": processor(), "rows": rows}
        shared.save(options.output, results)


def write_pictures(folder: Path, count: int) -> None:
    """Fill ``folder`` up to ``count`` pictures, at most 10,000 in a folder below it."""
    random = np.random.default_rng(0)
    drawn = [make_phantom(random, CLASSES[k % len(CLASSES)]).pixels for k in range(_DRAWN)]
    for index in range(count):
        path = folder / f"{index // _PER_FOLDER:03d}" / f"{index:06d}.png"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(index).normal(0, 6, drawn[0].shape)
            noisy = np.clip(drawn[index % _DRAWN] + noise, 0, 255).astype(np.uint8)
            path.write_bytes(encode.png(noisy))


def measure(folder: Path, bundle: str, size: int, processes: int) -> dict[str, Any]:
    """Run a batch of all that is there."""
    first: list[float] = []
    memory: dict[int, float] = {}
    started = time.perf_counter()

    def watch(_: Tally) -> None:
        first.append(time.perf_counter() - started)
        memory.update({pid: peak_mib(pid) for pid in (os.getpid(), *children())})

    with tempfile.TemporaryDirectory(dir=folder) as out:
        source = Options(source=str(folder / "in"), out=out, bundle=bundle)
        found = Batch(source).run(LocalEngine(processes), watch)
    seconds = time.perf_counter() - started
    assert found.tally.inputs == size, "an input is missing or double"
    own = memory.pop(os.getpid())
    return {
        "inputs": size,
        "processes": processes,
        "first_part_s": round(first[0], 2),
        "inputs_per_s": round(size / seconds, 1),
        "command_mib": round(own),
        "worker_mib": round(max(memory.values())),
    }


def peak_mib(pid: int) -> float:
    """Most memory that a process has had; 0 of one that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    except OSError:
        return 0.0
    return max((int(s.split()[1]) / 1024 for s in lines if s.startswith("VmHWM")), default=0.0)


def children() -> list[int]:
    """Processes that this one started."""
    tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print a row a measurement."""
    table = Table(box=None, header_style="bold")
    for title in rows[0]:
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()

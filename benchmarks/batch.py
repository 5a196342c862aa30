"""Cost of ``tumorlens batch`` against the number of images, in one run on one machine.

    python -m benchmarks.batch --sizes 1000 5000 200000 --output benchmarks/records/batch.json

Images are synthetic, and none is a copy. For each size, with one process and with two: seconds
until the first part is written, inputs per second, and the peak memory of the command and of each
of its worker processes. Ratios can be compared between computers; seconds depend on the processor
and its other work.
"""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import options as shared
from benchmarks.synthetic import write_synthetic

from tumorlens.batch.columns import Tally
from tumorlens.batch.local import LocalEngine
from tumorlens.batch.run import Batch, Options
from tumorlens.cores import processor


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and save."""
    parser = shared.parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--pictures", type=Path, help="folder to keep the images in")
    parser.add_argument("--bundle", default="default")
    options = parser.parse_args(arguments)
    rows = []
    for size in sorted(options.sizes):
        with tempfile.TemporaryDirectory() as folder:
            write_synthetic(Path(folder) / "in", size, options.pictures)
            rows += [measure(Path(folder), options.bundle, size, n) for n in options.processes]
    shared.print_rows("tumorlens batch", rows)
    results = {"benchmark": "batch", "processor": processor(), "rows": rows}
    shared.save(options.output, results)


def measure(folder: Path, bundle: str, size: int, processes: int) -> dict[str, Any]:
    """Run a batch of all that is there."""
    first: list[float] = []
    memory: dict[int, float] = {}
    started = time.perf_counter()

    def watch(_: Tally) -> None:
        first.append(time.perf_counter() - started)
        for pid in (os.getpid(), *children()):
            memory[pid] = max(memory.get(pid, 0.0), shared.peak_mib(pid))  # 0 if it has ended

    with tempfile.TemporaryDirectory(dir=folder) as out:
        source = Options(source=str(folder / "in"), out=out, bundle=bundle)
        report = Batch(source).run(LocalEngine(processes), watch)
    seconds = time.perf_counter() - started
    assert report.tally.inputs == size, "an input is missing or double"
    own = memory.pop(os.getpid())
    return {
        "inputs": size,
        "processes": processes,
        "first_part_s": round(first[0], 2),
        "inputs_per_s": round(size / seconds, 1),
        "command_mib": round(own),
        "worker_mib": round(max(memory.values())),
    }


def children() -> list[int]:
    """Processes that this one started."""
    tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


if __name__ == "__main__":
    main()

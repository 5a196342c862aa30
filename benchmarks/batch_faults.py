"""Batches that are killed at random moments, shared between jobs, or run by Ray: same answers?

    python -m benchmarks.batch_faults --inputs 5000 --kills 20 \
        --output benchmarks/records/batch_faults.json

Answers the same synthetic images in one undisturbed process; in two processes, and on Ray, each
killed with SIGKILL at random moments and then run again to the end; and in four jobs. Every part
must have the same bytes, and every input one row.
"""

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow.dataset
from benchmarks import options as shared
from benchmarks.synthetic import write_synthetic

_ENGINES: Final = {
    "local": (["--processes", "2"], 2.5),
    "ray": (["--engine", "ray", "--processes", "2"], 12.0),
}
"""Options, and the most seconds until a run is killed: Ray takes some to start."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all, print and save; exit status 1 where an answer differs."""
    parser = shared.parser(__doc__, bundle=True)
    parser.add_argument("--inputs", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_synthetic(folder / "in", options.inputs)
        command = [
            sys.executable, "-m", "tumorlens", "batch", str(folder / "in"),
            "--bundle", options.bundle,
        ]  # fmt: skip
        run([*command, "--out", str(folder / "once"), "--processes", "1"])
        expected = parts(folder / "once")
        results: dict[str, Any] = {"inputs": options.inputs, "parts": len(expected)}
        for name, (engine, longest) in _ENGINES.items():
            out = folder / name
            kills = kill([*command, "--out", str(out), *engine], options.kills, longest)
            run([*command, "--out", str(out), *engine])
            results[f"{name}, killed and resumed"] = {"kills": kills, **compared(out, expected)}
        for part in range(4):
            share = ["--num-parts", "4", "--part-id", str(part), "--processes", "1"]
            run([*command, "--out", str(folder / "jobs"), *share])
        results["four jobs"] = compared(folder / "jobs", expected)
    for name, comparison in results.items():
        print(f"{name}: {comparison}")
    shared.save(options.output, {"benchmark": "batch_faults", **results})
    sys.exit(
        any(
            isinstance(comparison, dict) and not comparison["same_bytes"]
            for comparison in results.values()
        )
    )


def run(command: Sequence[str]) -> None:
    """Run a batch to its end; its exit status is 0 where every input was answered."""
    subprocess.run(command, check=True, capture_output=True)


def kill(command: Sequence[str], times: int, longest: float) -> int:
    """Start it that often and kill it within ``longest`` seconds; how often it was running."""
    draw, killed = random.Random(0), 0
    for _ in range(times):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            process.wait(draw.uniform(0.2, longest))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
        time.sleep(0.2)
    return killed


def parts(out: Path) -> dict[str, bytes]:
    """The finished parts of a batch."""
    files = sorted((out / "records").glob("[!.]*"))
    return {file.name: file.read_bytes() for file in files}


def compared(out: Path, expected: dict[str, bytes]) -> dict[str, Any]:
    """Whether all parts are those of the undisturbed run, and how often each input has a row."""
    table = pyarrow.dataset.dataset(out / "records").to_table(columns=["path"])
    counts = Counter(table["path"].to_pylist())
    return {
        "same_bytes": parts(out) == expected,
        "inputs_with_a_row": len(counts),
        "most_rows_of_an_input": max(counts.values()),
    }


if __name__ == "__main__":
    main()

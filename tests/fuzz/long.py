"""Read files of ``structured`` one after the other, each in a process of its own.

    python -m tests.fuzz.long --seconds 300 --seed 1

What ends its process, takes more than 5 s of CPU or 1 GiB, or gives neither an image nor a typed
error, is written to ``fuzz-findings/``. Mend the reader and put the file into
``tests/fuzz/findings/``, where it stays a test. Linux only: it forks.
"""

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from itertools import count
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.structured import MAKERS, made
from tests.fuzz.targets import check_bytes, check_files

from tumorlens.imaging.dicom import reader  # noqa: F401 - as above
from tumorlens.imaging.raster import pillow  # noqa: F401 - once, not in each child
from tumorlens.imaging.volumes import nifti  # noqa: F401 - once, not in each child

LONGEST_CPU_SECONDS = 5.0
LARGEST_BYTES = 1 << 30
_HARD_BYTES = 4 << 30
_HANGS_AFTER_SECONDS = 60


class Outcome(NamedTuple):
    """What came of one file."""

    problem: str
    """Empty where the contract held."""
    cpu_seconds: float
    peak_bytes: int


def check(files: bytes | list[bytes]) -> None:
    """Read a file, or several as a folder; raise where the contract is broken."""
    if isinstance(files, bytes):
        check_bytes(files)
    else:
        check_files(files)


def run_one(name: str, seed: int) -> Outcome:
    """Read the file of a seed in a forked process."""
    files = made(name, seed)
    with tempfile.TemporaryFile("w+") as report:
        child = os.fork()
        if child == 0:
            _read(files, report.fileno())
        _, status, usage = os.wait4(child, 0)
        report.seek(0)
        before, _, words = report.read().partition("\n")
    seconds = usage.ru_utime + usage.ru_stime
    # A child begins with memory of its parent, which may be that of a long run of tests.
    peak = usage.ru_maxrss * 1024 - int(before)
    problem = words
    if os.WIFSIGNALED(status):
        problem = f"ended by {signal.Signals(os.WTERMSIG(status)).name}\n{words}"
    elif seconds > LONGEST_CPU_SECONDS:
        problem = f"took {seconds:.1f} s of CPU"
    elif peak > LARGEST_BYTES:
        problem = f"took {peak >> 20} MiB"
    return Outcome(problem, seconds, peak)


def _read(files: bytes | list[bytes], report: int) -> None:
    """The child: it never returns."""
    whole, resident = _memory()
    os.write(report, f"{resident}\n".encode("ascii"))
    most = whole + _HARD_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(_HANGS_AFTER_SECONDS)
    try:
        check(files)
    except BaseException:
        os.write(report, traceback.format_exc().encode("utf-8", "replace"))
    os._exit(0)


def _memory() -> tuple[int, int]:
    """Bytes of address space and of resident memory of this process."""
    whole, resident, *_ = Path("/proc/self/statm").read_text("ascii").split()
    page = resource.getpagesize()
    return int(whole) * page, int(resident) * page


def main() -> None:
    """Run until the time is over; exit status 1 where something was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=1, help="the first one; they are counted up")
    parser.add_argument("--target", choices=sorted(MAKERS), action="append")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    chosen = parser.parse_args()
    chosen.findings.mkdir(exist_ok=True)
    names = chosen.target or sorted(MAKERS)
    end = time.monotonic() + chosen.seconds
    runs = found = 0
    slowest = largest = 0.0
    for seed in count(chosen.seed):
        for name in names:
            outcome = run_one(name, seed)
            runs += 1
            slowest = max(slowest, outcome.cpu_seconds)
            largest = max(largest, outcome.peak_bytes)
            if outcome.problem:
                found += 1
                _keep(chosen.findings / f"{name}-{seed}", made(name, seed))
                print(f"{name} {seed}: {outcome.problem}", flush=True)
        if time.monotonic() > end:
            break
    print(f"{runs} files, {found} findings; at most {slowest:.1f} s of CPU and "
          f"{int(largest) >> 20} MiB")  # fmt: skip
    sys.exit(1 if found else 0)


def _keep(path: Path, files: bytes | list[bytes]) -> None:
    for index, data in enumerate([files] if isinstance(files, bytes) else files):
        path.with_name(f"{path.name}-{index}").write_bytes(data)


if __name__ == "__main__":
    main()

"""Time and memory of the audit against the number of images, in one run on one machine.

    python -m benchmarks.audit --sizes 12500 50000 200000 --output benchmarks/records/audit.json

The images are synthetic and no two are alike; one in ten is a copy of another, mirrored and
compressed anew, which the audit must find. Each size is a process of its own. Reports seconds to
read the files and to compare them, the peak of memory, and the exponent that joins the smallest
size to the largest.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from benchmarks import options as shared
from benchmarks.synthetic import write_synthetic

from tumorlens.cores import processor
from tumorlens.datasets import audit
from tumorlens.datasets.fingerprints import fingerprint
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.imaging import reader
from tumorlens.imaging.image import single
from tumorlens.imaging.raster import encode
from tumorlens.labels import CLASSES

_COPY_EVERY: Final = 10


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every size, print and save; or, as a worker, measure one."""
    parser = shared.parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2500, 10000])
    parser.add_argument("--pictures", type=Path, help="folder to keep the images in")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        print(json.dumps(measure(options.folder, options.worker)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder, rows = Path(scratch), []
        for size in sorted(options.sizes):
            write_images(folder, size, options.pictures)
            command = [sys.executable, "-m", "benchmarks.audit", "--worker", str(size)]
            process = subprocess.run(
                [*command, "--folder", str(folder)], check=True, stdout=subprocess.PIPE
            )
            rows.append(json.loads(process.stdout))
            print(json.dumps(rows[-1]), flush=True)
    results: dict[str, Any] = {"benchmark": "audit", "processor": processor(), "rows": rows}
    if len(rows) > 1:
        first, last = rows[0], rows[-1]
        ratio = (last["read_s"] + last["compare_s"]) / (first["read_s"] + first["compare_s"])
        results["exponent"] = round(math.log(ratio) / math.log(last["images"] / first["images"]), 2)
        print(f"exponent: {results['exponent']}")
    shared.save(options.output, results)


def write_images(folder: Path, count: int, store: Path | None) -> None:
    """``count`` images below ``folder``; of those before it, one in ten is copied."""
    originals = count - count // _COPY_EVERY
    write_synthetic(folder / "originals", originals, store)
    (folder / "copies").mkdir(exist_ok=True)
    for path in originals_of_copies(folder, count):
        copy = folder / "copies" / path.name
        if not copy.exists():
            pixels = np.asarray(single(reader.read(path)).samples, dtype=np.uint8)
            copy.write_bytes(encode.jpeg(pixels[:, ::-1], quality=75))


def originals_of_copies(folder: Path, count: int) -> list[Path]:
    """The first originals, which have copies."""
    originals = sorted((folder / "originals").rglob("*.jpg"))
    return originals[: count // _COPY_EVERY]


def measure(folder: Path, count: int) -> dict[str, Any]:
    """Audit ``count`` images of ``folder`` and count the copies that are found."""
    originals = sorted((folder / "originals").rglob("*.jpg"))[: count - count // _COPY_EVERY]
    copies = [folder / "copies" / path.name for path in originals_of_copies(folder, count)]
    paths = [str(path.relative_to(folder)) for path in (*originals, *copies)]
    records = tuple(
        Record(
            path=path, label=CLASSES[k % len(CLASSES)], split="", sha256="", pixel_sha256="",
            width=0, height=0, mode="L", source="synthetic", group="",
        )
        for k, path in enumerate(paths)
    )  # fmt: skip
    manifest = Manifest(records, folder)
    parts = ["train" if k % 5 else "test" for k in range(len(records))]
    started = time.perf_counter()
    prints = fingerprint(manifest)
    read = time.perf_counter()
    report = audit.audit_fingerprints(manifest, parts, prints, manifest_name="synthetic")
    ended = time.perf_counter()
    return {
        "images": len(records),
        "copies": len(copies),
        "pairs_found": sum(report.near_duplicate_pairs.values()),
        "read_s": round(read - started, 1),
        "compare_s": round(ended - read, 1),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


if __name__ == "__main__":
    main()

"""Good images and the health check while other clients send bombs, for a minute.

    python -m benchmarks.bombs --seconds 60 --output bombs.json

Starts `tumorlens serve`, then `--bombers` clients that post files built to be slow or large, in
turn, and leave after five seconds each second time. Meanwhile one client posts a good image, and
another asks for the health check, five times a second each. Prints the times that 50%, 99% and 100%
of them took, before and during the attack, the outcomes of the bombs, and the memory of all
processes each second. Linux only.
"""

import functools
import io
import json
import os
import statistics
import struct
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
from benchmarks import options as shared
from benchmarks.serve import resident_mib, served
from nibabel.nifti1 import Nifti1Image

from tumorlens.cores import processor

_PAUSE: Final = 0.2
_LEAVES_AFTER: Final = 5.0
Post = tuple[str, str, bytes]
"""Route, file name, file."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the attack."""
    parser = shared.parser(__doc__, bundle=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--bombers", type=int, default=4)
    options = parser.parse_args(arguments)
    bombs()
    with served("tumorlens", options.bundle) as (url, pid):
        calm = watched(url, pid, options.seconds / 6, [])
        attack = watched(
            url, pid, options.seconds, [attacker(url, k) for k in range(options.bombers)]
        )
        after = watched(url, pid, options.seconds / 6, [])
    results = {
        "processor": processor(), "cores": os.cpu_count(), "seconds": options.seconds,
        "bombers": options.bombers, "before": calm, "during": attack, "after": after,
    }  # fmt: skip
    show(results)
    shared.save(options.output, results)


def watched(
    url: str,
    pid: int,
    seconds: float,
    attackers: Sequence[Callable[[threading.Event], Counter[str]]],
) -> dict[str, Any]:
    """Times and memory for so long, while the attackers are at work."""
    stop = threading.Event()
    outcomes: Counter[str] = Counter()
    threads = [
        threading.Thread(target=lambda attack=attack: outcomes.update(attack(stop)))
        for attack in attackers
    ]
    image: list[float] = []
    health: list[float] = []
    memory: list[float] = []
    files = {"files": ("head.png", good())}

    def post(client: httpx.Client) -> httpx.Response:
        return client.post(f"{url}/v1/predictions", files=files)

    def check(client: httpx.Client) -> httpx.Response:
        return client.get(f"{url}/healthz")

    threads += [
        threading.Thread(target=repeated, args=(stop, image, post)),
        threading.Thread(target=repeated, args=(stop, health, check)),
    ]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        memory.append(tree_mib(pid))
        time.sleep(1.0)
    stop.set()
    for thread in threads:
        thread.join()
    return {
        "image_seconds": quantiles(image), "health_seconds": quantiles(health),
        "memory_mib": [round(mib) for mib in memory], "bombs": dict(outcomes),
    }  # fmt: skip


def repeated(
    stop: threading.Event, times: list[float], ask: Callable[[httpx.Client], httpx.Response]
) -> None:
    """Ask again and again; an answer that is not 200 counts as an hour."""
    with httpx.Client(timeout=120) as client:
        while not stop.wait(_PAUSE):
            began = time.monotonic()
            status = ask(client).status_code
            times.append(time.monotonic() - began if status == 200 else 3600.0)


def attacker(url: str, number: int) -> Callable[[threading.Event], Counter[str]]:
    """A client that posts one bomb after the other, and counts the answers."""

    def attack(stop: threading.Event) -> Counter[str]:
        outcomes: Counter[str] = Counter()
        kinds = bombs()
        turn = number
        while not stop.is_set():
            route, name, data = kinds[turn % len(kinds)]
            turn += 1
            try:
                limit = 600.0 if turn % 2 else _LEAVES_AFTER
                answer = httpx.post(f"{url}{route}", files={"files": (name, data)}, timeout=limit)
                outcomes[f"{name}: {answer.status_code}"] += 1
            except httpx.TimeoutException:
                outcomes[f"{name}: left"] += 1
        return outcomes

    return attack


def good() -> bytes:
    """A synthetic head."""
    from tumorlens.demo.phantoms import make_phantom
    from tumorlens.imaging.raster import encode

    return encode.png(make_phantom(np.random.default_rng(5), "glioma").pixels)


@functools.cache
def bombs() -> list[Post]:
    """Slow, large or many; made before the clock runs."""
    return [
        ("/v1/predictions", "slices.nii", many_slices()),
        ("/v1/predictions", "elements.dcm", bytes(128) + b"DICM" + elements(590_000)),
        ("/v1/studies", "zeros.zip", zipped([bytes(128) + b"DICM" + bytes(200 << 20)] * 5)),
        ("/v1/studies", "slices.zip", zipped([many_slices()] * 5)),
    ]


def elements(count: int) -> bytes:
    """Empty elements in implicit little endian, just below the limit, in one sequence."""
    numbers = np.arange(count)
    body = np.zeros(count, dtype=[("group", "<u2"), ("element", "<u2"), ("length", "<u4")])
    body["group"], body["element"] = 9 + 2 * (numbers // 65536), numbers % 65536
    size = body.nbytes
    head = struct.pack("<2HI", 0x5200, 0x9230, size + 8) + struct.pack("<2HI", 0xFFFE, 0xE000, size)
    return head + body.tobytes()


def many_slices() -> bytes:
    """A NIfTI volume of 4,096 slices, each of which costs a forward pass."""
    ring = (100 + 99 * np.sin(np.hypot(*np.mgrid[-32:32, -32:32]) / 2)).astype(np.uint8)
    image: Any = Nifti1Image(np.tile(ring, (4096, 1, 1)).T, np.eye(4))
    encoded: bytes = image.to_bytes()
    return encoded


def zipped(files: Sequence[bytes]) -> bytes:
    """A zip archive of them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, data in enumerate(files):
            archive.writestr(str(number), data)
    return out.getvalue()


def tree_mib(pid: int) -> float:
    """Resident memory of a process and its children, in MiB; shared pages count each time."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")  # by the thread that started them
    children = [int(child) for file in lists for child in file.read_text("ascii").split()]
    total = 0.0
    for process in (pid, *children):
        with suppress(OSError, IndexError):  # it has just ended
            total += resident_mib(process)
    return total


def quantiles(times: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile and maximum, and how many there were."""
    ordered = sorted(times)
    at = min(len(ordered) - 1, round(0.99 * len(ordered)))
    return {
        "count": len(ordered), "p50": round(statistics.median(ordered), 3),
        "p99": round(ordered[at], 3), "max": round(ordered[-1], 3),
    }  # fmt: skip


def show(results: dict[str, Any]) -> None:
    """Print the table."""
    print(f"{results['cores']} cores of {results['processor']}; {results['bombers']} bombers")
    for phase in ("before", "during", "after"):
        phase_results = results[phase]
        print(f"{phase:7} image {json.dumps(phase_results['image_seconds'])}")
        print(f"{'':7} health {json.dumps(phase_results['health_seconds'])}")
        memory = phase_results["memory_mib"]
        print(f"{'':7} memory {min(memory)} to {max(memory)} MiB, at the end {memory[-1]}")
    for outcome, count in sorted(results["during"]["bombs"].items()):
        print(f"{count:5} {outcome}")


if __name__ == "__main__":
    main()

"""The server under load: requests a second, latency, overload, memory.

    python -m benchmarks.serve --output serve.json               # about three minutes
    python -m benchmarks.serve --soak 600 --output soak.json     # ten minutes more

Needs wrk (`apt-get install wrk`). Compares `tumorlens serve` with `benchmarks.plain_server`, which
has one forward pass for each request, with the same bundle, at 1, 8 and 64 connections, in turns.
Then it opens ten times as many connections as the queue can hold for a minute, and checks the
server from two seconds later on.
With --soak it also measures memory under a steady load. The images are synthetic heads. wrk runs on
the same machine and uses some of its time.
"""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
from benchmarks import options as shared
from benchmarks.predict import bundle_facts

from tumorlens.cores import processor

CONNECTIONS: Final = (1, 8, 64)
CONTENDERS: Final = ("tumorlens", "plain")
_BOUNDARY: Final = "imageboundary"
_QUEUE: Final = 64
_OVERLOAD_SECONDS: Final = 60.0
_CALM_SECONDS: Final = 2.0
"""After the overload, until latency is measured again."""
_SCRIPT: Final = """
local bodies = {}
for i = 1, COUNT do
  local file = io.open("FOLDER/" .. i .. ".body", "rb")
  bodies[i] = file:read("*a")
  file:close()
end
wrk.method = "POST"
wrk.headers["Content-Type"] = "multipart/form-data; boundary=BOUNDARY"
local turn = 0
request = function()
  turn = turn % COUNT + 1
  return wrk.format(nil, "/v1/predictions", nil, bodies[turn])
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %f, "p50": %f, "p95": %f, "p99": %f, "max": %f, ' ..
    '"not_2xx": %d, "lost": %d}\\n', summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000,
    latency.max / 1000, e.status, e.connect + e.read + e.write + e.timeout))
end
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = shared.parser(__doc__, bundle=True)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--soak", type=float, default=0.0, metavar="SECONDS")
    options = parser.parse_args(arguments)
    if shutil.which("wrk") is None:
        sys.exit("needs wrk: apt-get install wrk")
    with tempfile.TemporaryDirectory() as scratch:
        script = write_script(Path(scratch))
        results = {
            "processor": processor(), "cores": os.cpu_count(),
            "bundle": bundle_facts(options.bundle), "seconds": options.seconds,
            "repeats": options.repeats, "load": compare(options, script),
            "overload": overload(options, script),
        }  # fmt: skip
        if options.soak:
            results["soak"] = soak(options, script)
    show(results)
    shared.save(options.output, results)


def write_script(folder: Path) -> Path:
    """wrk's script, and the bodies of 16 different requests."""
    from tumorlens.demo.phantoms import make_phantom
    from tumorlens.imaging.raster import encode
    from tumorlens.labels import CLASSES

    for index in range(16):
        head = make_phantom(np.random.default_rng([5, index]), CLASSES[index % 4]).pixels
        large = np.kron(head, np.ones((3, 3), np.uint8))[:512, :512]
        part = (
            f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name=\"files\"; "
            f"filename=\"{index}.jpg\"\r\n\r\n"
        ).encode() + encode.jpeg(large)  # fmt: skip
        body = part + f"\r\n--{_BOUNDARY}--\r\n".encode()
        (folder / f"{index + 1}.body").write_bytes(body)
    script = _SCRIPT.replace("COUNT", "16").replace("BOUNDARY", _BOUNDARY)
    path = folder / "load.lua"
    path.write_text(script.replace("FOLDER", str(folder)), encoding="utf-8")
    return path


@contextmanager
def served(contender: str, bundle: str, *more: str) -> Iterator[tuple[str, int]]:
    """A server in a process of its own; yields its address and process id."""
    port = free_port()
    command = [sys.executable, "-m", "tumorlens", "serve", "--port", str(port),
               "--bundle", bundle, *more]  # fmt: skip
    if contender == "plain":
        command = [sys.executable, "-m", "uvicorn", "benchmarks.plain_server:app",
                   "--port", str(port), "--log-level", "warning"]  # fmt: skip
    environment = {**os.environ, "BUNDLE": bundle}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{port}"
        wait_until_up(url)
        yield url, process.pid
        process.terminate()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_up(url: str) -> None:
    """Until it answers anything."""
    for _ in range(600):
        try:
            httpx.get(f"{url}/openapi.json", timeout=5)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    sys.exit(f"{url} never answered")


def wrk(url: str, script: Path, connections: int, seconds: float) -> dict[str, float]:
    """One load; what wrk saw."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s",
               "--timeout", "60s", "-s", str(script), url]  # fmt: skip
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    match = re.search(r"RESULT (\{.*\})", text)
    if match is None:
        sys.exit(f"wrk said: {text}")
    result: dict[str, float] = json.loads(match.group(1))
    result["requests_a_second"] = result["requests"] / result["seconds"]
    return result


def compare(options: argparse.Namespace, script: Path) -> list[dict[str, Any]]:
    """Both servers at each number of connections, taking turns; medians."""
    runs: dict[tuple[str, int], list[dict[str, float]]] = {}
    for _ in range(options.repeats):
        for contender in CONTENDERS:
            with served(contender, options.bundle) as (url, _):
                wrk(url, script, 4, 1)  # warm up
                for connections in CONNECTIONS:
                    measured = wrk(url, script, connections, options.seconds)
                    runs.setdefault((contender, connections), []).append(measured)
    return [
        {"contender": contender, "connections": connections, **medians(repeats)}
        for (contender, connections), repeats in runs.items()
    ]


def medians(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """Median of each quantity, but the sum of what went wrong."""
    summary = {key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]}
    for key in ("not_2xx", "lost"):
        summary[key] = sum(run[key] for run in runs)
    return summary


def overload(options: argparse.Namespace, script: Path) -> dict[str, Any]:
    """Ten times as many connections as the queue holds images, then a single client."""
    queue = ["--queue", str(_QUEUE), "--max-files", str(_QUEUE)]
    with served("tumorlens", options.bundle, *queue) as (url, pid):
        before = wrk(url, script, 1, options.seconds)
        memory = resident_mib(pid)
        during = wrk(url, script, 10 * _QUEUE, _OVERLOAD_SECONDS)
        time.sleep(_CALM_SECONDS)
        after = wrk(url, script, 1, options.seconds)
        return {
            "queue": _QUEUE, "connections": 10 * _QUEUE, "before": before, "during": during,
            "after": after, "answered_503": count_of(url, "busy"),
            "resident_mib": [memory, resident_mib(pid)],
        }  # fmt: skip


def count_of(url: str, reason: str) -> float:
    """How often the server refused for ``reason``, by its own count."""
    text = httpx.get(f"{url}/metrics").text
    match = re.search(rf'tumorlens_refusals_total{{reason="{reason}"}} (\S+)', text)
    return float(match.group(1)) if match else 0.0


def soak(options: argparse.Namespace, script: Path) -> dict[str, Any]:
    """A steady load, and the memory every second of it."""
    with served("tumorlens", options.bundle) as (url, pid):
        wrk(url, script, 8, 5)
        samples: list[float] = []
        stop = threading.Event()

        def sample() -> None:
            while not stop.wait(1.0):
                samples.append(resident_mib(pid))

        sampler = threading.Thread(target=sample)
        sampler.start()
        load = wrk(url, script, 8, options.soak)
        stop.set()
        sampler.join()
    tenth = max(1, len(samples) // 10)
    ends = [statistics.fmean(samples[:tenth]), statistics.fmean(samples[-tenth:])]
    return {
        **load, "resident_mib": samples[:: max(1, len(samples) // 60)],
        "first_tenth_mib": round(ends[0], 1), "last_tenth_mib": round(ends[1], 1),
    }  # fmt: skip


def resident_mib(pid: int) -> float:
    """Memory of a process, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def show(results: dict[str, Any]) -> None:
    """Print the tables."""
    print(f"{results['cores']} cores of {results['processor']}, wrk on the same machine; JPEG, "
          f"512 x 512; medians of {results['repeats']}")  # fmt: skip
    print(
        f"{'':10} {'conns':>5} {'req/s':>7} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} errors lost"
    )
    for row in results["load"]:
        print(f"{row['contender']:10} {row['connections']:5} {row['requests_a_second']:7.1f} "
              f"{row['p50']:8.1f} {row['p95']:8.1f} {row['p99']:8.1f} {row['not_2xx']:6.0f} "
              f"{row['lost']:4.0f}")  # fmt: skip
    over = results["overload"]
    during = over["during"]
    print(f"{over['connections']} connections, queue of {over['queue']}: "
          f"{during['requests'] - during['not_2xx']:.0f} answered, "
          f"{over['answered_503']:.0f} times 503, {during['lost']:.0f} lost; "
          f"alone before and after: {over['before']['requests_a_second']:.1f} and "
          f"{over['after']['requests_a_second']:.1f} req/s; "
          "memory {:.0f} and {:.0f} MiB".format(*over["resident_mib"]))  # fmt: skip
    if "soak" in results:
        soaked = results["soak"]
        print(f"soak of {soaked['seconds']:.0f} s: {soaked['requests']:.0f} requests, "
              f"{soaked['not_2xx']:.0f} errors, {soaked['lost']:.0f} lost, memory "
              f"{soaked['first_tenth_mib']} MiB in the first tenth, "
              f"{soaked['last_tenth_mib']} MiB in the last")  # fmt: skip


if __name__ == "__main__":
    main()

"""CPU time a JPEG, from file to JSON, beside an older checkout and other networks.

    git worktree add ../before da9d85c
    python -m benchmarks.cpu --baseline ../before --output benchmarks/records/cpu.json

Runs `tumorlens predict FOLDER --format jsonl` of this checkout and of the one before, on one core
and in turn, with many files and with few: the difference is what a file costs without the start.
In the same run, the forward passes alone of our network and of MobileNetV2 and EfficientNet-Lite0
at 224 pixels in onnxruntime, with one thread. Medians of CPU milliseconds. The images are those
of `benchmarks.predict`.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from benchmarks import mobilenet_v2
from benchmarks import options as shared
from benchmarks.predict import images

from tumorlens import bundle
from tumorlens.config import TrainConfig
from tumorlens.cores import processor
from tumorlens.networks import registry
from tumorlens.training import export

_FEW: Final = 32
_PASSES: Final = 60
_SIDE: Final = 224


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and save."""
    parser = shared.parser(__doc__, bundle=True)
    parser.add_argument("--baseline", type=Path, help="an older checkout of tumorlens")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(arguments)
    checkouts = {"tumorlens": Path(__file__).parents[1]}
    if options.baseline:
        checkouts["baseline"] = options.baseline.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        folder, source = images(Path(scratch), options.images)
        sample = Path(scratch) / "few"
        sample.mkdir()
        for file in sorted(folder.iterdir())[:_FEW]:
            (sample / file.name).write_bytes(file.read_bytes())
        passes = forward_passes(Path(scratch), options.bundle)
        milliseconds: dict[str, list[float]] = {}
        for _ in range(options.repeats):
            for name, checkout in checkouts.items():
                spent = predict(checkout, folder, options.bundle) - predict(
                    checkout, sample, options.bundle
                )
                per_image = 1000 * spent / (options.images - _FEW)
                milliseconds.setdefault(f"{name}: file to JSON", []).append(per_image)
            for name, run in passes.items():
                milliseconds.setdefault(f"{name}: forward pass", []).append(run())
    median = {name: round(statistics.median(times), 3) for name, times in milliseconds.items()}
    ours = median["tumorlens: file to JSON"]
    ratios = {f"of {name}": round(ours / value, 3) for name, value in median.items()}
    for name, value in median.items():
        print(f"{name:45} {value:7.2f} ms; file to JSON is {ratios[f'of {name}']:.2f} of it")
    ranges = {name: [round(min(v), 3), round(max(v), 3)] for name, v in milliseconds.items()}
    shared.save(options.output, {
        "benchmark": "cpu", "processor": processor(), "pictures": source, "images": options.images,
        "cpu_ms": median, "file_to_json": ratios,
        "range_ms": ranges,
    })  # fmt: skip


def predict(checkout: Path, folder: Path, bundle_name: str) -> float:
    """CPU seconds of the command, its start included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "tumorlens", "predict", str(folder), "--format", "jsonl",
         "--bundle", bundle_name],
        check=True, capture_output=True, preexec_fn=one_core,
        env={**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"},
        cwd=folder,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def one_core() -> None:
    """Let this process use one core only, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def forward_passes(scratch: Path, bundle_name: str) -> dict[str, Callable[[], float]]:
    """CPU milliseconds of a forward pass, one image at a time: measured when called."""
    others = scratch / "mobilenet_v2.onnx"
    mobilenet_v2.export(others)
    lite = registry.build(TrainConfig(model="efficientnet_lite0"), 4)
    ours = bundle.load(bundle_name)
    return {
        ours.info.name: _pass(ours.model),
        "MobileNetV2, 224 pixels": _pass(others.read_bytes()),
        "EfficientNet-Lite0, 224 pixels": _pass(export.to_onnx(lite.eval(), _SIDE)),
    }


def _pass(model: bytes) -> Callable[[], float]:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    (node,) = session.get_inputs()
    shape = [side if isinstance(side, int) else 1 for side in node.shape]
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)

    def run() -> float:
        session.run(None, {node.name: image})
        started = time.process_time()
        for _ in range(_PASSES):
            session.run(None, {node.name: image})
        return 1000 * (time.process_time() - started) / _PASSES

    return run


if __name__ == "__main__":
    main()

"""The speed of prediction: from JPEG files on disk to JSON lines.

    python -m benchmarks.predict --bundle default --output predict.json

Compares our bundle with a MobileNetV2 that is exported to ONNX in the same run and used in the
usual way (Pillow, numpy, onnxruntime), on one core and on two: images a second once loaded, and the
time of a new process from its start to its first answer. Each measurement is a process of its own;
the networks take turns, and medians are printed. The first process of each is not counted: it
compiles modules to bytecode, which Python keeps for every later start. The images are the test
files under TUMORLENS_DATA if that is set, else synthetic noisy ellipses.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final

from benchmarks import options as shared

from tumorlens.cores import processor

CONTENDERS: Final = ("tumorlens", "mobilenet_v2")
_WARM_UP: Final = 16
_BATCH: Final = 16
Answers = Callable[[Sequence[Path]], Iterator[bytes]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark, or, with ``--worker``, one measurement of it."""
    parser = shared.parser(__doc__, bundle=True)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--worker", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--cores", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        measure(options)
    else:
        compare(options)


def compare(options: argparse.Namespace) -> None:
    """Every contender on one core and two, interleaved; print medians and ratios."""
    from benchmarks import mobilenet_v2

    with tempfile.TemporaryDirectory() as scratch:
        folder, source = images(Path(scratch), options.images)
        network = Path(scratch) / "mobilenet_v2.onnx"
        parameters = mobilenet_v2.export(network)
        models = {"tumorlens": options.bundle, "mobilenet_v2": str(network)}
        runs: dict[tuple[str, int], list[dict[str, float]]] = {}
        cores = [count for count in (1, 2) if count <= (os.cpu_count() or 1)]
        for name in CONTENDERS:
            run_worker(name, models[name], folder, 1)
        for _ in range(options.repeats):
            for name, count in product(CONTENDERS, cores):
                measured = run_worker(name, models[name], folder, count)
                runs.setdefault((name, count), []).append(measured)
    results = {
        "pictures": source,
        "images": options.images,
        "repeats": options.repeats,
        "batch_size": _BATCH,
        "processor": processor(),
        "bundle": bundle_facts(options.bundle),
        "mobilenet_v2_parameters": parameters,
        "measurements": [
            {"contender": name, "cores": count, **medians(repeats)}
            for (name, count), repeats in runs.items()
        ],
    }
    show(results)
    shared.save(options.output, results)


def run_worker(name: str, model: str, folder: Path, cores: int) -> dict[str, float]:
    """Measure in a fresh process; its cold start is counted from here."""
    command = [sys.executable, "-m", "benchmarks.predict", "--worker", name, "--model", model]
    command += ["--folder", str(folder), "--cores", str(cores)]
    started = time.time()
    process = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=keeping_bytecode()
    )
    measured = json.loads(process.stdout)
    return {
        "images_a_second": measured["images_a_second"],
        "cold_start_seconds": measured["first_answer_at"] - started,
    }


def keeping_bytecode() -> dict[str, str]:
    """The environment, without the variable that stops Python from keeping bytecode."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def measure(options: argparse.Namespace) -> None:
    """Answer one image, warm up, then answer all of them; print what it took as JSON."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    paths = sorted(options.folder.iterdir())
    load = {"tumorlens": load_tumorlens, "mobilenet_v2": load_mobilenet}[options.worker]
    answers = load(options.model, options.cores)
    list(answers(paths[:1]))
    first_answer_at = time.time()
    list(answers(paths[:_WARM_UP]))
    started = time.perf_counter()
    with Path(os.devnull).open("wb") as out:
        for line in answers(paths):
            out.write(line)
    seconds = time.perf_counter() - started
    print(json.dumps(
        {"first_answer_at": first_answer_at, "images_a_second": len(paths) / seconds}
    ))  # fmt: skip


def load_tumorlens(model: str, cores: int) -> Answers:
    """What ``tumorlens predict --format jsonl`` does."""
    from tumorlens.inference.classifier import Classifier
    from tumorlens.inference.stream import outcomes
    from tumorlens.reporting.records import json_line

    classifier = Classifier.load(model, threads=cores)

    def answers(paths: Sequence[Path]) -> Iterator[bytes]:
        for outcome in outcomes(classifier, paths, batch_size=_BATCH):
            yield json_line(outcome.result)

    return answers


def load_mobilenet(model: str, cores: int) -> Answers:
    """The usual way: Pillow decodes and resizes, numpy normalises, onnxruntime answers."""
    import numpy as np
    import onnxruntime
    from numpy.typing import NDArray
    from PIL import Image

    side, names = 224, ("glioma", "meningioma", "notumor", "pituitary")
    mean = np.array([0.485, 0.456, 0.406], dtype=np.float32)
    std = np.array([0.229, 0.224, 0.225], dtype=np.float32)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = cores
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])

    def prepared(path: Path) -> NDArray[np.float32]:
        with Image.open(path) as image:
            resized = image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
        scaled = np.asarray(resized, dtype=np.float32) / np.float32(255)
        return ((scaled - mean) / std).transpose(2, 0, 1)

    def answers(paths: Sequence[Path]) -> Iterator[bytes]:
        for start in range(0, len(paths), _BATCH):
            batch = paths[start : start + _BATCH]
            images = np.stack([prepared(path) for path in batch])
            (logits,) = session.run(["logits"], {"image": images})
            probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
            probabilities /= probabilities.sum(axis=1, keepdims=True)
            for path, row in zip(batch, probabilities.tolist(), strict=True):
                record = {"path": str(path), "probabilities": dict(zip(names, row, strict=True))}
                yield json.dumps(record).encode() + b"\n"

    return answers


def images(scratch: Path, count: int) -> tuple[Path, str]:
    """A folder of ``count`` JPEG files, and what they are."""
    folder = scratch / "images"
    folder.mkdir()
    data = os.environ.get("TUMORLENS_DATA")
    if not data:
        _make_images(folder, count)
        return folder, "noisy ellipses, 512 x 512"
    files = sorted((Path(data) / "nickparvar" / "Testing").glob("*/*.jpg"))
    step = max(1, len(files) // count)
    for file in files[::step][:count]:
        (folder / f"{file.parent.name}-{file.name}").write_bytes(file.read_bytes())
    return folder, "test files of the 7,023-image set"


def _make_images(folder: Path, count: int) -> None:
    import numpy as np

    from tumorlens.imaging.raster import encode

    random = np.random.default_rng(0)
    rows, columns = np.mgrid[-1:1:512j, -1:1:512j]
    for index in range(count):
        radius = np.hypot(rows / random.uniform(0.6, 0.9), columns / random.uniform(0.5, 0.8))
        tissue = 110 + 40 * np.sin(7 * rows + index) + random.normal(0, 12, rows.shape)
        pixels = np.clip(np.where(radius < 1, tissue, 4), 0, 255).astype(np.uint8)
        (folder / f"{index:04d}.jpg").write_bytes(encode.jpeg(pixels))


def medians(runs: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Median and range of each quantity."""
    summary: dict[str, Any] = {}
    for key in runs[0]:
        values = [run[key] for run in runs]
        summary[key] = round(statistics.median(values), 3)
        summary[f"{key}_range"] = [round(min(values), 3), round(max(values), 3)]
    return summary


def bundle_facts(name: str) -> dict[str, Any]:
    """Which model was measured."""
    from tumorlens import bundle

    loaded = bundle.load(name)
    info = loaded.info
    return {
        "name": info.name, "version": info.version, "sha256": loaded.sha256,
        "parameters": info.network.parameters, "macs": info.network.macs,
        "image_size": info.preprocess.image_size,
    }  # fmt: skip


def show(results: dict[str, Any]) -> None:
    """Print the table, and how many times faster we are."""
    print(f"{results['images']} JPEG files ({results['pictures']}), batches of {_BATCH}, medians "
          f"of {results['repeats']}, {results['processor']}")  # fmt: skip
    print(f"{'':14} {'cores':>5} {'images/s':>9} {'first answer':>13}")
    by_cores: dict[int, dict[str, dict[str, Any]]] = {}
    for row in results["measurements"]:
        by_cores.setdefault(row["cores"], {})[row["contender"]] = row
        print(f"{row['contender']:14} {row['cores']:5} {row['images_a_second']:9.1f} "
              f"{row['cold_start_seconds']:11.2f} s")  # fmt: skip
    for cores, rows in by_cores.items():
        ours, theirs = (rows[name] for name in CONTENDERS)
        speed = ours["images_a_second"] / theirs["images_a_second"]
        start = theirs["cold_start_seconds"] / ours["cold_start_seconds"]
        print(f"{cores} core(s): {speed:.2f} times the images a second, "
              f"{start:.2f} times as fast to the first answer")  # fmt: skip


if __name__ == "__main__":
    main()

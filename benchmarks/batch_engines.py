"""Local processes, Ray, and what users would write themselves, on the same images in one run.

    python -m benchmarks.batch_engines --inputs 4000 --output benchmarks/records/batch_engines.json

Contenders take turns: `tumorlens batch` with two local processes and with two Ray actors, timed
from the first chunk on without what it takes to start Ray; a plain loop over `Classifier.predict`
in one process; and a Ray Data pipeline of two actors that keeps the answers in memory. Medians of
inputs per second, and their ratio to the local processes.
"""

import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray
from benchmarks import options as shared
from benchmarks.synthetic import write_synthetic

import tumorlens
from tumorlens.batch.local import LocalEngine
from tumorlens.batch.on_ray import RayEngine
from tumorlens.batch.run import Batch, Engine, Options
from tumorlens.cores import processor


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and save."""
    parser = shared.parser(__doc__, bundle=True)
    parser.add_argument("--inputs", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_synthetic(folder / "in", options.inputs)
        engine = RayEngine(2)
        contenders: dict[str, Callable[[], int]] = {
            "local, 2 processes": lambda: batch(folder, options.bundle, LocalEngine(2)),
            "ray, 2 actors": lambda: batch(folder, options.bundle, engine),
            "plain loop": lambda: plain_loop(folder / "in", options.bundle),
            "ray data, 2 actors": lambda: ray_data(folder / "in", options.bundle),
        }
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(options.repeats):
            for name, answer_all in contenders.items():
                started = time.perf_counter()
                assert answer_all() == options.inputs, "an input is missing or double"
                seconds[name].append(time.perf_counter() - started)
    median = {name: statistics.median(durations) for name, durations in seconds.items()}
    local = median["local, 2 processes"]
    rows = [
        {
            "contender": name,
            "inputs_per_s": round(options.inputs / median[name], 1),
            "seconds": [round(duration, 1) for duration in seconds[name]],
            "of_local": round(local / median[name], 3),
        }
        for name in contenders
    ]
    for row in rows:
        print(json.dumps(row))
    results = {"benchmark": "batch_engines", "processor": processor(), "inputs": options.inputs}
    shared.save(options.output, {**results, "rows": rows})


def batch(folder: Path, bundle: str, engine: Engine) -> int:
    """`tumorlens batch` into an empty folder."""
    out = folder / "out"
    report = Batch(Options(source=str(folder / "in"), out=str(out), bundle=bundle)).run(engine)
    shutil.rmtree(out)
    return report.tally.inputs


def plain_loop(folder: Path, bundle: str) -> int:
    """One image after the other."""
    model = tumorlens.load(bundle)
    answers = [model.predict(path) for path in sorted(folder.rglob("*.jpg"))]
    return len(answers)


class Answering:
    """An actor of Ray Data."""

    def __init__(self, bundle: str) -> None:
        """Load the bundle once."""
        self._model = tumorlens.load(bundle)

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        """Paths to answers in words."""
        answers = [str(self._model.predict(path)) for path in rows["item"]]
        return {**rows, "answer": np.array(answers)}


def ray_data(folder: Path, bundle: str) -> int:
    """Ray Data over the paths, in batches of 64."""
    paths = [str(path) for path in sorted(folder.rglob("*.jpg"))]
    answered = ray.data.from_items(paths).map_batches(
        Answering, fn_constructor_args=(bundle,), batch_size=64,
        compute=ray.data.ActorPoolStrategy(size=2),
    )  # fmt: skip
    return len(answered.take_all())


if __name__ == "__main__":
    main()

"""Read the JSON records of experiments/ and benchmarks/."""

import json
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
Json = dict[str, Any]


def read(path: Path) -> Json:
    """The record in a file."""
    record: Json = json.loads(path.read_text("utf-8"))
    return record


def evaluation(name: str) -> Json:
    """What `tumorlens evaluate` measured."""
    return read(ROOT / "experiments" / "evaluations" / f"{name}.json")


def evaluations(*names: str) -> list[Json]:
    """Several of them."""
    return [evaluation(name) for name in names]


def run(name: str) -> Json:
    """What `tumorlens train` wrote about a training run."""
    return read(ROOT / "experiments" / "runs" / name / "run.json")


def runs() -> dict[str, Json]:
    """All training runs by name."""
    folders = sorted((ROOT / "experiments" / "runs").iterdir())
    return {folder.name: run(folder.name) for folder in folders}


def experiment(name: str) -> Json:
    """What `python -m experiments.NAME` measured."""
    return read(ROOT / "experiments" / "records" / f"{name}.json")


def benchmark(name: str) -> Json:
    """What `python -m benchmarks.NAME` measured."""
    return read(ROOT / "benchmarks" / "records" / f"{name}.json")


def bundle(name: str) -> Json:
    """The `bundle.json` of a bundled network."""
    return read(ROOT / "src" / "tumorlens" / "weights" / name / "bundle.json")

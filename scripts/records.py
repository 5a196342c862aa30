"""The records of experiments/ and benchmarks/, and how their numbers are written."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = ROOT / "docs"
RECORDS: Final = ROOT / "experiments"
Json = dict[str, Any]


def load(*parts: str) -> Json:
    """A JSON record below experiments/."""
    found: Json = json.loads(RECORDS.joinpath(*parts).read_text("utf-8"))
    return found


def benchmark(name: str) -> Json:
    """What one of benchmarks/ wrote."""
    found: Json = json.loads((ROOT / "benchmarks" / "records" / f"{name}.json").read_text("utf-8"))
    return found


def evaluation(name: str) -> Json:
    """The record of one `tumorlens evaluate`."""
    return load("evaluations", f"{name}.json")


def evaluations(*names: str) -> list[Json]:
    """Those of the records that there are."""
    return [evaluation(n) for n in names if (RECORDS / "evaluations" / f"{n}.json").exists()]


def commands(records: Sequence[Json]) -> str:
    """How they were made, as a block of code."""
    return "\n".join(f"    {one['command']}" for one in records)


def share(estimate: Json) -> str:
    """A rate with its interval, in percent; without one where groups are too few."""
    if estimate["value"] is None:
        return "–"
    if estimate["low"] is None:
        return f"{estimate['value']:.2%}"
    return f"{estimate['value']:.2%} ({estimate['low']:.1%}–{estimate['high']:.1%})"


def number(estimate: Json) -> str:
    """A number with its interval."""
    return f"{estimate['value']:.3f} ({estimate['low']:.3f}–{estimate['high']:.3f})"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as Markdown; the second one is the ruler."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)

"""Options that benchmarks and experiments share, and how they print and write results."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def parser(
    doc: str | None,
    *,
    data: str = "",
    bundle: bool = False,
    part: bool = False,
    cache: bool = False,
    output: Path | None = None,
) -> argparse.ArgumentParser:
    """A parser described by the first line of ``doc``, with ``--output``.

    ``data`` describes the manifest that ``--data`` takes, with ``--split`` beside it; ``output`` is
    written to where no other file is named; the others add the option of their name.
    """
    command = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    if data:
        command.add_argument("--data", type=Path, required=True, help=data)
        command.add_argument("--split", default="clean", help="by name or file")
    if part:
        command.add_argument("--part", default="test", choices=["test", "validation"])
    if bundle:
        command.add_argument(
            "--bundle", default="default", help="name of a bundled network, or folder"
        )
    if cache:
        command.add_argument("--cache", type=Path, help="folder of preprocessed images")
    command.add_argument(
        "--output", type=Path, default=output, help="write the results there as JSON"
    )
    return command


def save(output: Path | None, results: Mapping[str, Any]) -> None:
    """Write the results, where a file was asked for."""
    if output:
        output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def peak_mib(process: int | str = "self") -> float:
    """Most memory that a process has had; 0 of one that is gone.

    Not getrusage's, which a child inherits.
    """
    try:
        lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    except OSError:
        return 0.0
    return max((int(s.split()[1]) / 1024 for s in lines if s.startswith("VmHWM")), default=0.0)


def print_rows(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """A table whose columns are the keys of the first row; text is on the left."""
    table = Table(title=title)
    for column, value in rows[0].items():
        table.add_column(
            column.replace("_", " "), justify="left" if isinstance(value, str) else "right"
        )
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console().print(table)

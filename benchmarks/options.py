"""Options that benchmarks and experiments share, and how they write results."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def parser(
    doc: str | None,
    *,
    data: str = "",
    bundle: bool = False,
    part: bool = False,
    cache: bool = False,
) -> argparse.ArgumentParser:
    """A parser described by the first line of ``doc``, with ``--output``.

    ``data`` describes the manifest that ``--data`` takes, with ``--split`` beside it; the others
    add the option of their name.
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
    command.add_argument("--output", type=Path, help="write the results there as JSON")
    return command


def save(output: Path | None, results: Mapping[str, Any]) -> None:
    """Write the results, where a file was asked for."""
    if output:
        output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")

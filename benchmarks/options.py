"""Options that benchmarks share, and how they write what they found."""

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
    made = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    if data:
        made.add_argument("--data", type=Path, required=True, help=data)
        made.add_argument("--split", default="clean", help="by name or file")
    if part:
        made.add_argument("--part", default="test", choices=["test", "validation"])
    if bundle:
        made.add_argument("--bundle", default="default", help="name in the box, or folder")
    if cache:
        made.add_argument("--cache", type=Path, help="folder of preprocessed images")
    made.add_argument("--output", type=Path, help="write the results there as JSON")
    return made


def save(output: Path | None, results: Mapping[str, Any]) -> None:
    """Write the results, where a file was asked for."""
    if output:
        output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")

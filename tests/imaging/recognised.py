"""What both this package and the page recognise, and how; the page's tests read the same table."""

import json
from pathlib import Path
from typing import Any, Final

_TABLE: Final = Path(__file__).parents[2] / "frontend" / "test" / "recognised.json"
_READ: Final[dict[str, list[list[Any]]]] = json.loads(_TABLE.read_text("utf-8"))


def rows(of: str) -> list[tuple[Any, ...]]:
    """What is recognised, and last what is said of it."""
    return [tuple(row) for row in _READ[of]]

"""For the processes of a node in a test: studies that end their reader, a clock that is wrong.

Python imports it at the start where its folder is in PYTHONPATH.
"""

import os
import sys
import time
from typing import Any

_MARK = b"POISON"
_READS = "tumorlens.isolation.worker" in sys.orig_argv  # the node itself only hashes files
_looking = False


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    """End the process that opens an image of a study with the mark in it."""
    global _looking
    path = arguments[0] if event == "open" else None
    if _looking or not _READS or not isinstance(path, str) or "/studies/" not in path:
        return
    _looking = True  # looking opens it, too
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            marked = _MARK in file.read()
    except OSError:
        marked = False
    finally:
        _looking = False
    if marked:
        os.abort()


sys.addaudithook(_look)
_ahead = float(os.environ.get("TUMORLENS_TEST_CLOCK_AHEAD", "0"))
if _ahead:
    _right = time.time
    time.time = lambda: _right() + _ahead

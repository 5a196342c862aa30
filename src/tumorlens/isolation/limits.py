"""Limits that the operating system enforces on a worker process.

Windows has none; there the pool's deadline is the only limit.
"""

import contextlib
import math
import os
import sys
import time
from pathlib import Path

if sys.platform != "win32":
    import resource


def limit_memory(more_bytes: int) -> None:
    """Limit this process to ``more_bytes`` beyond its present memory, without core files.

    A core file would contain a patient's image.
    """
    if sys.platform == "win32":
        return
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Address space, not resident memory: an allocation fails at once, where Python sees it.
    with contextlib.suppress(ValueError, OSError):
        most = _pages(0) + more_bytes
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def limit_cpu(seconds: float) -> None:
    """End this process after ``seconds`` more of CPU time, even if no pool watches it."""
    if sys.platform == "win32":
        return
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        most = math.ceil(time.process_time() + seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (most, hard))


def resident_bytes() -> int:
    """Memory of this process; 0 where that is not known."""
    with contextlib.suppress(OSError):
        return _pages(1)
    return 0


def _pages(column: int) -> int:
    """Bytes in one column of ``/proc/self/statm``: size of the address space, resident part."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[column])
    return pages * os.sysconf("SC_PAGE_SIZE")

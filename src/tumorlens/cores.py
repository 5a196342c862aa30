"""The cores of this machine that this process may use."""

import os


def available_cores() -> int:
    """How many there are: where a job scheduler or ``taskset`` gives a few, only those."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

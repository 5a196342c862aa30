"""The cores of this machine that this process may use, and a thread for each of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


def available_cores() -> int:
    """How many there are: where a job scheduler or ``taskset`` gives a few, only those."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def thread_pool() -> "Iterator[ThreadPoolExecutor]":
    """A thread for each core; BLAS starts none in them, which would only fight over cores."""
    from concurrent.futures import ThreadPoolExecutor

    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1), ThreadPoolExecutor(available_cores()) as pool:
        yield pool

"""Warnings of the libraries that decode: our own limits and errors decide instead."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_lock = threading.Lock()
_stack = ExitStack()
_users = 0


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings while any thread decodes.

    Pillow warns of large pictures, pydicom of nearly every odd value. The filters belong to the
    whole process, so only the first thread in may save them and only the last one out may put
    them back: ``catch_warnings`` in each thread would undo them in the wrong order.
    """
    global _users
    with _lock:
        if _users == 0:
            _stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _stack.close()

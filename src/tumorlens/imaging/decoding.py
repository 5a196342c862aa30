"""Calls of decoding libraries: warnings are silenced, and every failure becomes a typed error."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tumorlens.errors import CorruptInputError, InputError, LimitExceededError
from tumorlens.text import first_line

_lock = threading.Lock()
_stack = ExitStack()
_users = 0


@contextmanager
def _without_log() -> Iterator[None]:
    log = logging.getLogger("pydicom")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings, and pydicom's log, while any thread decodes.

    Pillow warns of large images, pydicom of nearly every unusual value, which it quotes: a log
    must not contain what may be a patient's name. The filters belong to the whole process, so only
    the first thread may save them and only the last one may restore them: ``catch_warnings`` in
    each thread would restore them in the wrong order.
    """
    global _users
    with _lock:
        if _users == 0:
            _stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            _stack.enter_context(_without_log())
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _stack.close()


@contextmanager
def decoding(source: str, what: str) -> Iterator[None]:
    """Turn whatever a library raises at hostile bytes into a typed error of one line.

    An ``InputError`` goes through as it is. Too little memory gives
    ``LimitExceededError``, all else ``CorruptInputError``: ``source: damaged what (why)``.
    """
    try:
        with quiet():
            yield
    except InputError:
        raise
    except MemoryError as error:
        raise LimitExceededError(f"{source}: does not fit into memory") from error
    except Exception as error:  # decoders share no base but Exception
        raise CorruptInputError(f"{source}: damaged {what} ({first_line(error)})") from error

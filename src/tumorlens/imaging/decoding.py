"""Calls of decoding libraries: warnings are silenced, and every failure becomes a typed error."""

import functools
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from tumorlens.errors import CorruptInputError, InputError, LimitExceededError
from tumorlens.text import first_line

_Context = Callable[[], AbstractContextManager[None]]


def shared(context: _Context) -> _Context:
    """A change of the whole process, made by the first of its users and undone by the last.

    If each of several threads undid its own, that would happen in the wrong order.
    """
    lock, entered, users = threading.Lock(), ExitStack(), 0

    @functools.wraps(context)
    @contextmanager
    def using() -> Iterator[None]:
        nonlocal users
        with lock:
            if users == 0:
                entered.enter_context(context())
            users += 1
        try:
            yield
        finally:
            with lock:
                users -= 1
                if users == 0:
                    entered.close()

    return using


@shared
@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings, and the logs of pydicom and of Pillow's TIFF, while any thread decodes.

    Pillow warns of large images, pydicom of nearly every unusual value, which it quotes: a log
    must not contain what may be a patient's name.
    """
    logs = [logging.getLogger(name) for name in ("pydicom", "PIL.TiffImagePlugin")]
    before = [log.disabled for log in logs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for log in logs:
            log.disabled = True
        try:
            yield
        finally:
            for log, disabled in zip(logs, before, strict=True):
                log.disabled = disabled


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

"""A lower limit of pixels, for a server that decodes pictures of unknown senders."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tumorlens.errors import LimitExceededError

_most_pixels: ContextVar[int | None] = ContextVar("most_pixels", default=None)


@contextmanager
def limit_pixels(pixels: int) -> Iterator[None]:
    """Inside, in this thread or task, reject pictures of more than ``pixels`` pixels."""
    token = _most_pixels.set(pixels)
    try:
        yield
    finally:
        _most_pixels.reset(token)


def check_pixel_budget(pixels: int, source: str) -> None:
    """Raise ``LimitExceededError`` where ``pixels`` are more than ``limit_pixels`` allows."""
    most = _most_pixels.get()
    if most is not None and pixels > most:
        raise LimitExceededError(f"{source}: {pixels:,} pixels; the limit here is {most:,}")

"""What the workers of the tests do."""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from tumorlens.errors import BundleError
from tumorlens.isolation.frames import Message
from tumorlens.isolation.worker import Handler


def make(options: Message) -> Handler:
    if options.content.get("broken"):
        raise BundleError("it cannot be used")
    if "ends" in options.content:
        os.kill(os.getpid(), options.content["ends"])
    return handle


def handle(request: Message) -> Iterator[Message]:
    """Do what the request says, step by step."""
    for step in request.content["steps"]:
        name, value = next(iter(step.items()))
        yield Message({"did": name, "pid": os.getpid()}, request.blobs)
        _ACTIONS[name](value)


def _spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def _take(mib: int) -> None:
    bytearray(mib << 20)


def _fail(words: str) -> None:
    raise ValueError(words)


_ACTIONS: dict[str, Callable[[Any], object]] = {
    "spin": _spin, "take": _take, "fail": _fail, "say": print,
    "die": lambda _: os.abort(),
}  # fmt: skip

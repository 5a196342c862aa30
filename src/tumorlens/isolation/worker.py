"""The worker process: reads requests from its standard input, answers on its standard output.

``python -m tumorlens.isolation.worker``, started by ``process.WorkerProcess``. It does one request
at a time. It ends when its standard input ends, as happens when the process that started it is
killed.
"""

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import IO, Final

from tumorlens.errors import TumorlensError
from tumorlens.isolation import frames, limits
from tumorlens.isolation.frames import Message

Handler = Callable[[Message], Iterator[Message]]
"""Answers one request, in any number of parts."""
Factory = Callable[[Message], Handler]
"""Makes a handler from its options; everything heavy is imported and loaded here."""

READY: Final = "ready"
UNUSABLE: Final = "unusable"
PART: Final = "part"
END: Final = "end"
FAULT: Final = "fault"
MEMORY: Final = "memory"
_RETIRE_ABOVE: Final = 256 << 20
"""Bytes beyond those at the start above which the process is replaced."""


def main() -> None:
    """Serve until the input ends."""
    # Service managers such as systemd send SIGTERM to all processes of a service. Accepted requests
    # are answered first; the process that started this one ends it.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    requests, answers = _channels()
    setup = frames.read(requests)
    if setup is None:
        return
    try:
        handler = _handler(setup)
    except TumorlensError as error:
        frames.write(answers, Message({"kind": UNUSABLE, "message": str(error)}))
        return
    limits.limit_memory(setup.content["memory_bytes"])
    usual = limits.resident_bytes()
    frames.write(answers, Message({"kind": READY}))
    while (request := frames.read(requests)) is not None:
        limits.limit_cpu(request.content["cpu_seconds"])
        going_on = _serve(handler, Message(request.content["request"], request.blobs), answers)
        del request
        grown = limits.resident_bytes() - usual > _RETIRE_ABOVE
        frames.write(answers, Message({"kind": END, "retire": grown or not going_on}))
        if grown or not going_on:
            return


def _channels() -> tuple[IO[bytes], IO[bytes]]:
    """Reserve the two pipes for frames: output of a library must not get between them."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    return requests, answers


def _handler(setup: Message) -> Handler:
    module, _, name = setup.content["service"].partition(":")
    factory: Factory = getattr(importlib.import_module(module), name)
    return factory(Message(setup.content["options"], setup.blobs))


def _serve(handler: Handler, request: Message, answers: IO[bytes]) -> bool:
    """Answer one request; return whether the process may take another."""
    try:
        for part in handler(request):
            frames.write(answers, Message({"kind": PART, "part": part.content}, part.blobs))
    except MemoryError:
        frames.write(answers, Message({"kind": MEMORY}))
        return False
    except Exception as error:  # a fault of ours; its text may quote the input
        frames.write(answers, Message({"kind": FAULT, "fault": place_of(error)}))
    return True


def place_of(error: Exception) -> str:
    """Type and place of an error, without its text, which may quote the input."""
    calls = traceback.extract_tb(error.__traceback__)[-6:]
    where = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(calls))
    return f"{type(error).__name__} at {where}"


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, frames.BrokenFrameError):
        sys.exit(1)  # the other process has ended

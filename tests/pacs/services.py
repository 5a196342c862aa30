"""Worker processes that come to grief over a study whose file says so."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from tumorlens.isolation.frames import Message
from tumorlens.isolation.worker import Handler


def make(_options: Message) -> Handler:
    return handle


def handle(request: Message) -> Iterator[Message]:
    """Do what the study's file says; answer a good one with one object."""
    folder = Path(request.content["folder"])
    (word,) = {path.read_bytes() for path in folder.iterdir()}
    if word == b"abort":
        os.abort()
    if word == b"hang":
        time.sleep(3600)
    if word == b"memory":
        bytearray(1 << 40)
    if word == b"fault":
        raise ValueError("Nobody^Known")
    yield Message({"note": "read"})
    yield Message({"uid": f"2.25.{int(folder.name, 16)}", "sop_class": "class"}, (b"answer",))

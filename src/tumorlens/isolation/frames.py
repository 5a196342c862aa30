"""Messages over a pipe: JSON and bytes, not pickle, so that a worker can return only data.

A frame is the length of a JSON object (4 bytes, little endian), the object, and then its blobs one
after the other. The object is ``{"content": ..., "blobs": [length, ...]}``.
"""

import json
import struct
from typing import IO, Any, Final, NamedTuple

MAX_FRAME_BYTES: Final = 1 << 30
"""Largest frame that is read: larger than any upload or answer."""
_LENGTH: Final = struct.Struct("<I")


class Message(NamedTuple):
    """One request, or one part of an answer."""

    content: dict[str, Any]
    """JSON types."""
    blobs: tuple[bytes, ...] = ()


class BrokenFrameError(Exception):
    """The other process ended within a frame, or sent something that is not one."""


def write(stream: IO[bytes], message: Message) -> None:
    """Write one frame and flush it; raises ``OSError`` if the reader has ended."""
    sizes = [len(blob) for blob in message.blobs]
    # Escapes beyond ASCII: a path that is not UTF-8 arrives as it was.
    head = json.dumps({"content": message.content, "blobs": sizes}).encode("ascii")
    stream.write(_LENGTH.pack(len(head)) + head)
    for blob in message.blobs:
        stream.write(blob)
    stream.flush()


def read(stream: IO[bytes], most_bytes: int = MAX_FRAME_BYTES) -> Message | None:
    """Read one frame; None at the end. Raises ``BrokenFrameError``, ``OSError``."""
    length = stream.read(_LENGTH.size)
    if not length:
        return None
    if len(length) < _LENGTH.size:
        raise BrokenFrameError
    left = most_bytes
    (size,) = _LENGTH.unpack(length)
    try:
        head = json.loads(_take(stream, size, left))
        content, sizes = head["content"], [int(size) for size in head["blobs"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BrokenFrameError from error
    if not isinstance(content, dict):
        raise BrokenFrameError
    blobs = []
    left -= size
    for size in sizes:
        blobs.append(_take(stream, size, left))
        left -= size
    return Message(content, tuple(blobs))


def _take(stream: IO[bytes], size: int, most: int) -> bytes:
    if not 0 <= size <= most:
        raise BrokenFrameError
    data = stream.read(size)
    if len(data) < size:
        raise BrokenFrameError
    return data

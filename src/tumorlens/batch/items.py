"""What a batch answers: inputs, and the chunks of them that are answered and committed as one.

Where one chunk ends and the next begins depends on the names of the inputs nearby and on nothing
else: not on the number of processes or machines, and a file more changes one chunk, not all that
come after it. The name of a chunk is a hash of what is in it.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

import msgspec

Kind = Literal["file", "member", "dicom", "dicom_members", "failure"]
_USUAL: Final = 256
"""Inputs of a chunk, on average: about a second of work."""
_FIRST: Final = 16
_SMALL_CHUNKS: Final = 8
"""So many chunks at the beginning are small: the first rows are there soon."""
_LONGEST: Final = 4
"""A chunk is at most so many times its usual size."""
_WEIGHT_BYTES: Final = 1 << 20
"""A file counts once more for each of these: a volume is more work than an image."""
_ID_DIGITS: Final = 16


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One input: a file, a member of an archive, or the DICOM files of a folder or archive."""

    kind: Kind
    path: str
    """The file, or the folder or archive that ``names`` are in."""
    names: tuple[str, ...] = ()
    size: int = 0
    """Bytes, where known."""
    stamp: str = ""
    """Changes when the file does: its time of change, or what an object store says."""
    message: str = ""
    """Of a failure: what is wrong."""
    error: str = ""
    """Of a failure: the ``kind`` of its error."""

    @property
    def name(self) -> str:
        """What rows and messages call it: for a member, the archive and its name in it."""
        return f"{self.path}/{self.names[0]}" if self.kind == "member" else self.path


class Chunk(msgspec.Struct, frozen=True):
    """Inputs that are answered by one process and committed together."""

    id: str
    items: tuple[Item, ...]

    def belongs_to(self, part: int, parts: int) -> bool:
        """Whether it is work for ``part``, from 0, of so many ``parts``."""
        return int(self.id, 16) % parts == part


def chunks(items: Iterable[Item]) -> Iterator[Chunk]:
    """Put ``items`` together, in order, a chunk at a time in memory."""
    count = weight = 0
    held: list[Item] = []
    for item in items:
        held.append(item)
        weight += 1 + item.size // _WEIGHT_BYTES
        usual = _FIRST if count < _SMALL_CHUNKS else _USUAL
        if _ends_chunk(item, usual) or weight >= _LONGEST * usual:
            yield Chunk(_id_of(held), tuple(held))
            count += 1
            held, weight = [], 0
    if held:
        yield Chunk(_id_of(held), tuple(held))


def _ends_chunk(item: Item, usual: int) -> bool:
    name = "\0".join((item.path, *item.names[:1]))
    return zlib.crc32(name.encode("utf-8", "surrogateescape")) % usual == 0


def _id_of(items: Iterable[Item]) -> str:
    # JSON, not UTF-8: a name may hold bytes that are none.
    described: Any = msgspec.to_builtins(tuple(items))
    return hashlib.sha256(json.dumps(described).encode("ascii")).hexdigest()[:_ID_DIGITS]

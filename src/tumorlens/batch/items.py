"""Inputs of a batch, and the chunks of them that are answered and committed together.

Where one chunk ends and the next begins depends only on the names of the inputs nearby, not on the
number of processes or machines. So one more file changes one chunk, not all later ones. The name of
a chunk is a hash of its contents.
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
"""Number of small chunks at the beginning, so that the first rows are written soon."""
_LONGEST: Final = 4
"""Most times its usual size that a chunk may have."""
_WEIGHT_BYTES: Final = 1 << 20
"""A file counts once more for each of these, because a volume is more work than an image."""
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
    """Changes when the file does: its modification time, or what an object store states."""
    message: str = ""
    """Of a failure: what is wrong."""
    error: str = ""
    """Of a failure: the ``kind`` of its error."""

    @property
    def name(self) -> str:
        """Its name in rows and messages: for a member, the archive and its name in it."""
        return f"{self.path}/{self.names[0]}" if self.kind == "member" else self.path


class Chunk(msgspec.Struct, frozen=True):
    """Inputs that are answered by one process and committed together."""

    id: str
    items: tuple[Item, ...]

    def belongs_to(self, part: int, parts: int) -> bool:
        """Whether it is work for ``part``, from 0, of ``parts``."""
        return int(self.id, 16) % parts == part


def joint_stamp(files: Iterable[tuple[int, str]]) -> tuple[str, int]:
    """One stamp for files with these sizes and stamps, which changes when any of theirs does.

    Also returns their bytes together.
    """
    total, digest = 0, hashlib.sha256()
    for size, stamp in files:
        total += size
        digest.update(f"{size} {stamp}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:_ID_DIGITS], total


def chunks(items: Iterable[Item]) -> Iterator[Chunk]:
    """Group ``items`` in their order; only one chunk at a time is in memory."""
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
    # JSON, because a name may contain bytes that are not UTF-8.
    described: Any = msgspec.to_builtins(tuple(items))
    return hashlib.sha256(json.dumps(described).encode("ascii")).hexdigest()[:_ID_DIGITS]

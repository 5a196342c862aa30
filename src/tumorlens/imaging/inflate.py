"""The beginning of a file that may be gzipped, in one member or several (RFC 1952 2.2)."""

import zlib
from typing import Final

from tumorlens.errors import CorruptInputError, LimitExceededError
from tumorlens.imaging.limits import MAX_INFLATED_BYTES

GZIP: Final = b"\x1f\x8b\x08"
_WINDOW: Final = 16 + zlib.MAX_WBITS
"""What tells zlib that a gzip header comes first."""
_MOST_EMPTY_MEMBERS: Final = 64


class Inflated:
    """A file's bytes, unzipped no further than they are asked for."""

    def __init__(self, data: bytes, source: str, *, zipped: bool | None = None) -> None:
        """``data`` is the whole file, or its beginning; ``source`` names it in messages.

        ``zipped`` says whether it is gzipped; None leaves that to its first bytes.
        """
        self._source = source
        self._rest = data
        if zipped is None:
            zipped = data.startswith(GZIP)
        self._inflater = zlib.decompressobj(_WINDOW) if zipped else None
        self._taken = b""

    def take(self, size: int) -> memoryview:
        """The first ``size`` bytes; raises ``LimitExceededError``, ``CorruptInputError``."""
        if size > MAX_INFLATED_BYTES:
            raise LimitExceededError(
                f"{self._source}: {size} bytes of voxels are more than the limit of "
                f"{MAX_INFLATED_BYTES}"
            )
        beginning = self.take_up_to(size)
        if len(beginning) < size:
            raise CorruptInputError(
                f"{self._source}: damaged or cut off ({len(beginning)} of {size} bytes are there)"
            )
        return beginning

    def take_up_to(self, size: int) -> memoryview:
        """As many of the first ``size`` bytes as there are."""
        if self._inflater is None:
            return memoryview(self._rest)[:size]
        try:
            self._inflate(size)
        except zlib.error as error:
            raise CorruptInputError(f"{self._source}: damaged gzip ({error})") from error
        return memoryview(self._taken)[:size]

    def _inflate(self, size: int) -> None:
        parts, length, empty = [self._taken], len(self._taken), 0
        while self._inflater is not None and length < size and empty < _MOST_EMPTY_MEMBERS:
            more = self._inflater.decompress(self._rest, size - length)
            parts.append(more)
            length += len(more)
            if self._inflater.eof:
                # Zeros or nothing may follow the last member; anything else is not a member.
                self._rest = self._inflater.unused_data
                if not self._rest.startswith(GZIP):
                    break
                empty = 0 if more else empty + 1
                self._inflater = zlib.decompressobj(_WINDOW)
            else:
                self._rest = self._inflater.unconsumed_tail
                if not self._rest:
                    break
        # Not +=: bytes with views on them cannot grow.
        self._taken = b"".join(parts)


def first_inflated(data: bytes, size: int) -> bytes:
    """Up to ``size`` bytes of what ``data``, the beginning of a gzip file, unfolds to."""
    try:
        return bytes(Inflated(data, "").take_up_to(size))
    except CorruptInputError:
        return b""

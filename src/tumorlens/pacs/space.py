"""Room on the disk of the spool: a quota, a margin that is never given away, and a reserve."""

import errno
import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from tumorlens.files import allocate
from tumorlens.pacs.private import create_file

_MARGIN_BYTES: Final = 64 * 1024 * 1024
_RESERVE_BYTES: Final = 4 * 1024 * 1024
_MARGIN_SHARE: Final = 20
"""On a small disk the margin is its size divided by this."""


class Space:
    """Says whether there is room for more; safe between threads.

    New images are refused before the disk is quite full, so that what is there can be answered
    and delivered. The reserve is a file for the case that something else fills the disk: it is
    deleted to let the database write again, and made again when there is room.
    """

    def __init__(self, folder: Path, quota_bytes: int | None = None) -> None:
        """Look after ``folder``, which may hold ``quota_bytes``; None for as much as there is."""
        self._folder, self._quota = folder, quota_bytes
        self._reserve = folder / "reserve"
        self._lock = threading.Lock()
        self._used = 0
        self.is_short = threading.Event()
        """Set when something was refused for lack of room."""
        self.measure()

    @property
    def free_bytes(self) -> int:
        """What the disk has left."""
        return shutil.disk_usage(self._folder).free

    @property
    def used_bytes(self) -> int:
        """Bytes in the spool, as far as this process knows."""
        return self._used

    def require(self) -> None:
        """Raise ``OSError`` (ENOSPC, EDQUOT) unless there is room for an image."""
        if (number := self._lack()) is not None:
            self.is_short.set()
            raise OSError(number, os.strerror(number))

    def require_some(self) -> None:
        """Raise ``OSError`` (ENOSPC) unless there is room for an answer and a few rows."""
        usage = shutil.disk_usage(self._folder)
        if usage.free < min(_RESERVE_BYTES, usage.total // (2 * _MARGIN_SHARE)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def has_room(self) -> bool:
        """Whether there is room for an image."""
        return self._lack() is None

    def _lack(self) -> int | None:
        if self._quota is not None and self._used >= self._quota:
            return errno.EDQUOT
        usage = shutil.disk_usage(self._folder)
        if usage.free < min(_MARGIN_BYTES, usage.total // _MARGIN_SHARE):
            return errno.ENOSPC
        return None

    def add(self, count: int) -> None:
        """Note that the spool grew by ``count`` bytes, or shrank."""
        with self._lock:
            self._used += count

    def measure(self) -> None:
        """Count what the spool holds."""
        total = 0
        for parent, _, names in os.walk(self._folder):
            for name in names:
                with suppress(OSError):
                    total += Path(parent, name).stat().st_size
        with self._lock:
            self._used = total

    def release_reserve(self) -> None:
        """Give the reserve away."""
        self._reserve.unlink(missing_ok=True)

    def hold_reserve(self) -> None:
        """Make the reserve, if there is room for it and more."""
        usage = shutil.disk_usage(self._folder)
        size = min(_RESERVE_BYTES, usage.total // (2 * _MARGIN_SHARE))
        if self._reserve.exists() or usage.free < 4 * size:
            return
        try:
            create_file(self._reserve)
            with self._reserve.open("r+b") as file:
                allocate(file.fileno(), size)
        except OSError:  # another process took the room
            self._reserve.unlink(missing_ok=True)

"""Which connections stay: clients that say nothing, or read nothing, shut nobody out.

A connection waits for its client while a request has not arrived as a whole, and while an answer
is not read. Where all places are taken, the one of these in which nothing moved for longest is
closed for a new one, of the address that holds most of them.
"""

import os
import sys
import time
from collections import Counter, OrderedDict
from typing import Final, Protocol

if sys.platform != "win32":
    import resource

BACKLOG: Final = 256
"""Connections that are taken at once, before any of them can be closed."""
IDLE_SECONDS: Final = 2.0
"""A connection makes room for another if nothing moved in it for so long."""
_OTHER_FILES: Final = 32
_FEWEST: Final = 8


class Connection(Protocol):
    """What is asked of one."""

    @property
    def address(self) -> str:
        """Of the client."""

    def waits_for_client(self) -> bool:
        """Whether it is the client's turn to send or to read."""

    def drop(self) -> None:
        """Close it at once, whatever is not sent yet."""


class Connections:
    """Those that are open, and when something last moved in each. For one thread."""

    def __init__(self, most: int) -> None:
        """Keep at most ``most`` while there are any that wait for their client."""
        self._most = most
        self._moved: OrderedDict[Connection, float] = OrderedDict()

    def enter(self, one: Connection) -> None:
        """Take a new one; another may have to go for it."""
        if len(self._moved) >= self._most:
            self.make_room()
        self.note(one)

    def note(self, one: Connection) -> None:
        """Something moved in it."""
        self._moved[one] = time.monotonic()
        self._moved.move_to_end(one)

    def leave(self, one: Connection) -> None:
        """It is closed."""
        self._moved.pop(one, None)

    def make_room(self) -> None:
        """Close one, if there is one that has been idle."""
        limit = time.monotonic() - IDLE_SECONDS
        idle = [
            one for one, moved in self._moved.items() if moved < limit and one.waits_for_client()
        ]
        if idle:
            ((largest, _),) = Counter(one.address for one in idle).most_common(1)
            leaving = next(one for one in idle if one.address == largest)
            self.leave(leaving)
            leaving.drop()


def places(wanted: int) -> int:
    """How many connections there may be, of ``wanted``: each takes a file handle of the process.

    Raises the limit of handles as far as the system lets it.
    """
    if sys.platform == "win32":
        return wanted
    others = len(os.listdir("/dev/fd")) + _OTHER_FILES + BACKLOG  # noqa: PTH208
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + others:
        most = wanted + others if hard == resource.RLIM_INFINITY else min(wanted + others, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    free = wanted if soft == resource.RLIM_INFINITY else soft - others
    return max(_FEWEST, min(wanted, free))

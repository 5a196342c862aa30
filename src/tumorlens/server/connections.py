"""Limits on connections: clients that send or read nothing do not shut others out.

A connection waits for its client while a request has not arrived as a whole, and while an answer
is not read. At the limit, one of these is closed for a new one: the one that has been idle for
longest, of the address that holds most of them.
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
"""A connection that was idle for so long may be closed for another."""
_OTHER_FILES: Final = 32
_FEWEST: Final = 8


class Connection(Protocol):
    """What ``Connections`` needs of a connection."""

    @property
    def address(self) -> str:
        """IP address of the client."""

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

    def enter(self, connection: Connection) -> None:
        """Add a new one; another may be closed for it."""
        if len(self._moved) >= self._most:
            self.make_room()
        self.note(connection)

    def note(self, connection: Connection) -> None:
        """Something moved in it."""
        self._moved[connection] = time.monotonic()
        self._moved.move_to_end(connection)

    def leave(self, connection: Connection) -> None:
        """It is closed."""
        self._moved.pop(connection, None)

    def make_room(self) -> None:
        """Close one, if there is one that has been idle."""
        limit = time.monotonic() - IDLE_SECONDS
        idle = [
            connection
            for connection, moved in self._moved.items()
            if moved < limit and connection.waits_for_client()
        ]
        if idle:
            ((largest, _),) = Counter(connection.address for connection in idle).most_common(1)
            leaving = next(connection for connection in idle if connection.address == largest)
            self.leave(leaving)
            leaving.drop()


def connection_limit(wanted: int) -> int:
    """How many of ``wanted`` connections are possible: each needs a file handle of the process.

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

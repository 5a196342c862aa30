"""Limits on connections: a peer that sends nothing does not shut out one that sends something.

A connection goes through three stages, each with a limit of its own: silent (nothing came yet),
opening (something came, no association yet), established. Where one of the first two is full, the
oldest connection of the address that holds most of them is closed for the new one. Where there
are too many associations, one in which nothing was said for a while is closed for the new one;
if there is none, the new one is rejected.
"""

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from pynetdicom.association import Association

MAX_SILENT: Final = 128
"""Connections that have sent nothing yet: each costs a file handle, and no thread."""
MAX_OPENING: Final = 32
OPENING_S: Final = 20.0
"""Longest time that a connection may be in each of the first two stages."""
MAX_ESTABLISHED: Final = 20
MAX_OF_A_PEER: Final = 10
"""Associations of one address and AE title."""
IDLE_S: Final = 2.0
"""An association that was silent for so long may be closed for another."""


@dataclass(eq=False, slots=True)
class Connection:
    """A TCP connection without an association."""

    socket: socket.socket
    address: str
    since: float = field(default_factory=time.monotonic)

    def end(self) -> None:
        """Let the peer go; a thread that reads from it sees the end."""
        _shut(self.socket)


class Stage:
    """Connections without an association, the oldest first; safe between threads."""

    def __init__(self, most: int) -> None:
        """Hold at most ``most``, and none longer than ``OPENING_S``."""
        self._most = most
        self._held: list[Connection] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._held)

    def enter(self, connection: Connection) -> Connection | None:
        """Add ``connection``; return one to close for it, which is no longer held."""
        connection.since = time.monotonic()
        with self._lock:
            self._held = [other for other in self._held if other.socket.fileno() >= 0]
            self._held.append(connection)
            return self._choose() if len(self._held) > self._most else None

    def make_room(self) -> Connection | None:
        """A connection to close so that another can be accepted; it is no longer held."""
        with self._lock:
            return self._choose() if self._held else None

    def _choose(self) -> Connection:
        ((largest, _),) = Counter(other.address for other in self._held).most_common(1)
        leaving = next(other for other in self._held if other.address == largest)
        self._held.remove(leaving)
        return leaving

    def leave(self, connection: "Connection | socket.socket") -> None:
        """Forget a connection, if it is there."""
        with self._lock:
            self._held = [other for other in self._held if connection not in (other, other.socket)]

    def late(self) -> list[Connection]:
        """Forget those whose time is over, and return them."""
        limit = time.monotonic() - OPENING_S
        with self._lock:
            late = [connection for connection in self._held if connection.since < limit]
            self._held = [connection for connection in self._held if connection.since >= limit]
        return late


@dataclass(eq=False, slots=True)
class _Member:
    peer: tuple[str, str]
    association: Association
    last_data_at: float = field(default_factory=time.monotonic)
    busy: bool = False

    @property
    def idle_s(self) -> float:
        return 0.0 if self.busy else time.monotonic() - self.last_data_at


class Associations:
    """The associations that there are; safe between threads."""

    def __init__(self) -> None:
        self._members: dict[Association, _Member] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many there are."""
        with self._lock:
            self._forget_ended()
            return len(self._members)

    def admit(self, association: Association, address: str, title: str) -> bool:
        """Take a new one, or say that there are too many; an idle one may be closed for it."""
        peer = address, title
        with self._lock:
            self._forget_ended()
            members = list(self._members.values())
            same = [member for member in members if member.peer == peer]
            leaving = None
            if len(same) >= MAX_OF_A_PEER or len(members) >= MAX_ESTABLISHED:
                crowd = same if len(same) >= MAX_OF_A_PEER else members
                leaving = max(crowd, key=lambda member: member.idle_s)
                if leaving.idle_s < IDLE_S:
                    return False
                del self._members[leaving.association]
            self._members[association] = _Member(peer, association)
        if leaving is not None:
            end(leaving.association)
        return True

    def note_data(self, association: Association) -> None:
        """Note that something came in an association."""
        with self._lock:
            if member := self._members.get(association):
                member.last_data_at = time.monotonic()

    def end_idle(self, seconds: float) -> None:
        """End those in which nothing was said for so long.

        pynetdicom does so too, but by the wall clock, which may be set back.
        """
        with self._lock:
            idle = [member for member in self._members.values() if member.idle_s >= seconds]
        for member in idle:
            end(member.association)

    def end_all(self) -> None:
        """End all of them."""
        with self._lock:
            members = list(self._members)
        for association in members:
            end(association)

    @contextmanager
    def busy(self, association: Association) -> Iterator[None]:
        """Do not count ``association`` as idle while the peer waits for our answer."""
        with self._lock:
            member = self._members.get(association)
        if member is None:
            yield
            return
        member.busy = True
        try:
            yield
        finally:
            member.last_data_at, member.busy = time.monotonic(), False

    def _forget_ended(self) -> None:
        for association in list(self._members):
            if not association.is_alive():
                del self._members[association]


def end(association: Association) -> None:
    """Let the peer go at once: to abort would wait for a thread that waits for the peer."""
    if (transport := association.dul.socket) is not None:
        _shut(transport.socket)


def _shut(connection: socket.socket | None) -> None:
    if connection is not None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

"""A queue in which clients take turns, and so do the requests of each client."""

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")
Turn = tuple[Hashable, Hashable]
"""A client, and one of its requests."""


class Turns(Generic[Item]):
    """A queue in which a client waits for at most one item of each other client."""

    def __init__(self) -> None:
        self._clients: OrderedDict[Hashable, OrderedDict[Hashable, deque[Item]]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def push(self, turn: Turn, item: Item, *, first: bool = False) -> None:
        """Add ``item`` behind those of the same request, or with ``first`` before them."""
        client, request = turn
        items = self._clients.setdefault(client, OrderedDict()).setdefault(request, deque())
        if first:
            items.appendleft(item)
        else:
            items.append(item)
        self._length += 1

    def pop(self) -> Item:
        """The next item; raise ``KeyError`` where there is none."""
        client = next(iter(self._clients), None)
        requests = self._clients[client]
        request = next(iter(requests))
        item = requests[request].popleft()
        self._length -= 1
        # To the end of the queue, or out of it.
        requests.move_to_end(request)
        self._clients.move_to_end(client)
        self._drop_empty((client, request))
        return item

    def remove(self, turn: Turn, item: Item) -> bool:
        """Take ``item`` out; return whether it was there."""
        client, request = turn
        try:
            self._clients[client][request].remove(item)
        except (KeyError, ValueError):
            return False
        self._length -= 1
        self._drop_empty(turn)
        return True

    def has_other(self, turn: Turn) -> bool:
        """Whether a request other than ``turn`` waits."""
        client, request = turn
        others = sum(len(requests) for requests in self._clients.values())
        return others > (request in self._clients.get(client, ()))

    def _drop_empty(self, turn: Turn) -> None:
        client, request = turn
        if not self._clients[client][request]:
            del self._clients[client][request]
        if not self._clients[client]:
            del self._clients[client]

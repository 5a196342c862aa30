"""Run the server until a signal stops it; then finish what was accepted."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from tumorlens.errors import AddressError
from tumorlens.server.app import create_app
from tumorlens.server.settings import Settings

_GRACE_SECONDS: Final = 30


def serve(settings: Settings, announce: Callable[[str], None] = lambda _: None) -> None:
    """Serve until SIGINT or SIGTERM. ``announce`` is called with the address once it is open.

    Raises ``BundleError``, and ``AddressError`` where the address cannot be bound.
    """
    # Here, because uvicorn would end the process where the address is taken.
    with _bound(settings.host, settings.port) as listening:
        Server(config(settings), announce).run([listening])


def _bound(host: str, port: int) -> socket.socket:
    """A socket that is bound. asyncio spares small answers the wait for an acknowledgement (40 ms)
    only on sockets that are said to be TCP's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise AddressError.of(host, port, "--port", error) from error
    return bound


def config(settings: Settings) -> uvicorn.Config:
    """Uvicorn's part of ``settings``."""
    limits = settings.limits

    class Protocol(_PatientProtocol):
        header_seconds = limits.header_seconds

    return uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        root_path=settings.root_path,
        http=Protocol,
        ws="none",
        loop="asyncio",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limits.connections,
        timeout_graceful_shutdown=round(limits.body_seconds) + _GRACE_SECONDS,
    )


class Server(uvicorn.Server):
    """Uvicorn, telling where it listens."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[str], None]) -> None:
        """Call ``announce`` with each address, once it is open."""
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Open the sockets."""
        await super().startup(sockets)
        for server in self.servers:
            for opened in server.sockets:
                host, port = opened.getsockname()[:2]
                self._announce(f"http://{f'[{host}]' if ':' in host else host}:{port}")


class _PatientProtocol(H11Protocol):
    """Ends connections whose request line and headers do not arrive in time.

    Uvicorn limits the time between requests, not that within one, and an attacker needs no more
    than a byte a minute to hold a connection. Patience has an end.
    """

    header_seconds = 15.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self) -> None:
        """Run the clock while headers are awaited."""
        waiting = self.conn.their_state is h11.IDLE
        if waiting and self._timer is None:
            self._timer = self.loop.call_later(self.header_seconds, self._give_up)
        elif not waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()

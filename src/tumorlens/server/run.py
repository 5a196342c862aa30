"""Run the server until a signal stops it; then finish what was accepted."""

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Callable
from typing import Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from tumorlens.errors import AddressError
from tumorlens.server.app import create_app
from tumorlens.server.connections import BACKLOG, Connections, connection_limit
from tumorlens.server.guard import HEADERS
from tumorlens.server.problems import malformed
from tumorlens.server.settings import Settings
from tumorlens.text import reason_of

LOG: Final = logging.getLogger("tumorlens.server")
_GRACE_SECONDS: Final = 30
_QUIET_SECONDS: Final = 10.0
"""Shortest time between two lines of the log about connections that cannot be served."""
_QUEUE: Final = 2048
"""Connections that the system holds until they are taken."""
_GETS: Final = frozenset({"GET", "HEAD"})
_NO_HANDLES: Final = frozenset({errno.EMFILE, errno.ENFILE})


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
        raise AddressError.for_port(host, port, "--port", error) from error
    return bound


def config(settings: Settings) -> uvicorn.Config:
    """Uvicorn's part of ``settings``."""
    limits = settings.limits
    app = create_app(settings)
    most = connection_limit(limits.connections)

    class Protocol(_PatientProtocol):
        header_seconds = limits.header_seconds
        read_seconds = limits.body_seconds
        crowd = Connections(most - 1)

    # It would log the bytes that a client sends where they are malformed.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    return uvicorn.Config(
        app,
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
        limit_concurrency=most,
        backlog=BACKLOG,
        timeout_graceful_shutdown=round(limits.body_seconds) + _GRACE_SECONDS,
    )


class Server(uvicorn.Server):
    """Uvicorn, telling where it listens."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[str], None]) -> None:
        """Call ``announce`` with each address, once it is open."""
        super().__init__(config)
        self._announce = announce
        self._noted = -_QUIET_SECONDS

    def _note_fault(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log the kind of a fault outside of requests; asyncio would print all of it.

        Without file handles no connection can be taken, a thousand times a second.
        """
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _NO_HANDLES:
            crowd = getattr(self.config.http, "crowd", None)
            if isinstance(crowd, Connections):
                crowd.make_room()
        if (now := time.monotonic()) - self._noted >= _QUIET_SECONDS:
            self._noted = now
            why = reason_of(error) if isinstance(error, OSError) else type(error).__name__
            LOG.error("a connection could not be served: %s", why)

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Open the sockets."""
        asyncio.get_running_loop().set_exception_handler(self._note_fault)
        await super().startup(sockets)
        for bound in sockets or ():
            bound.listen(_QUEUE)  # asyncio takes ``BACKLOG`` at once, but more may wait
        for server in self.servers:
            for opened in server.sockets:
                host, port = opened.getsockname()[:2]
                self._announce(f"http://{f'[{host}]' if ':' in host else host}:{port}")


class _PatientProtocol(H11Protocol):
    """Ends connections whose clients take too long: to send headers, or to read an answer.

    Uvicorn limits the time between requests, not that within one, and an attacker needs no more
    than a byte a minute to hold a connection.
    """

    header_seconds = 15.0
    read_seconds = 120.0
    crowd = Connections(1024)
    _half_closed = False
    _timer: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    @property
    def address(self) -> str:
        """See ``Connection``."""
        return self.client[0] if self.client else ""

    def waits_for_client(self) -> bool:
        """See ``Connection``."""
        sending = self.conn.their_state in (h11.IDLE, h11.SEND_BODY)
        return sending or self._reading is not None

    def drop(self) -> None:
        """See ``Connection``."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # So that ``pause_writing`` is called as long as anything at all is not read.
        transport.set_write_buffer_limits(high=0)
        super().connection_made(transport)
        self.crowd.enter(self)
        self._watch()

    def data_received(self, data: bytes) -> None:
        self.crowd.note(self)
        super().data_received(data)
        self._watch()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection of a client that sends no more, but waits for an answer.

        One that has left looks the same. So the work of a POST is given up, and a GET answered.
        """
        self._half_closed = True
        return self._answers_get()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._half_closed and not self._answers_get():
            self.transport.close()

    def _answers_get(self) -> bool:
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and cycle.scope["method"] in _GETS

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reading = self.loop.call_later(self.read_seconds, self.drop)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_reading()
        self.crowd.note(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.crowd.leave(self)
        self._stop_reading()
        if self._timer is not None:
            self._timer.cancel()

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (uvicorn's words)
        """Refuse what is no HTTP, in the form of every other refusal."""
        answer = malformed("the request is not valid HTTP").response()
        answer.headers.update({**HEADERS, "Connection": "close"})
        start = h11.Response(status_code=400, headers=answer.raw_headers, reason=b"Bad Request")
        for event in (start, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: the request is answered as any other."""

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

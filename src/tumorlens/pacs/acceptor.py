"""Takes connections, so that no peer can hold up the others or fill the memory."""

import logging
import socket
import sys
import threading
from collections.abc import Callable
from socketserver import TCPServer
from typing import Final

from pynetdicom import events
from pynetdicom.transport import ThreadedAssociationServer

from tumorlens.pacs.tls import why

log = logging.getLogger(__name__)

SILENCE_S: Final = 60.0
"""A peer that says nothing for so long in the middle of a message, or a handshake, is let go."""
MAX_PDU_BYTES: Final = 1024 * 1024
"""Length that a peer may state for one protocol data unit; we ask for 16 KiB (PS3.8 D.1)."""

_Connection = socket.socket | tuple[bytes, socket.socket]


class Acceptor(ThreadedAssociationServer):
    """pynetdicom's server, which shakes hands (TLS) in the thread of the connection.

    pynetdicom does so in the thread that accepts: there one peer that says nothing would shut out
    all others for ever.
    """

    daemon_threads = True  # a handshake that hangs must not hold up the end of the process

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Take a connection as it is."""
        assert self.socket is not None
        connection, address = self.socket.accept()
        connection.settimeout(SILENCE_S)
        return connection, address

    def finish_request(self, request: _Connection, client_address: tuple[str, int] | str) -> None:
        """Shake hands where TLS is asked for, then start the association."""
        if self.ssl_context is not None and isinstance(request, socket.socket):
            try:
                request = self.ssl_context.wrap_socket(request, server_side=True)
            except OSError as error:  # ssl's and the peer's going away are both of this kind
                log.warning("refused a connection from %s: TLS (%s)", client_address[0], why(error))
                request.close()
                return
        super().finish_request(request, client_address)

    def start(self) -> None:
        """Listen in threads of its own until ``shutdown``."""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def shutdown(self) -> None:
        """Stop listening; pynetdicom's own way is for servers that its AE has started."""
        TCPServer.shutdown(self)
        self.server_close()

    def handle_error(
        self,
        request: _Connection,  # noqa: ARG002
        client_address: tuple[str, int] | str,
    ) -> None:
        """Say what kind of error it was: socketserver would print the whole of it."""
        log.error("a connection from %s: %s", client_address[0], type(sys.exception()).__name__)


def guard(event: events.Event) -> None:
    """Bound what a connection that has just been opened may send; for ``EVT_CONN_OPEN``."""
    transport = event.assoc.dul.socket
    if transport is not None:
        # The documented way in is to copy pynetdicom's request handler, for this one line.
        transport.recv = _bounded(transport.recv)  # type: ignore[assignment, method-assign]


def _bounded(receive: Callable[[int], bytearray]) -> Callable[[int], bytearray]:
    """Refuse lengths beyond ``MAX_PDU_BYTES``: pynetdicom would collect what a peer states."""

    def recv(count: int) -> bytearray:
        if count > MAX_PDU_BYTES:
            log.warning("closed a connection: a data unit of %d bytes", count)
            raise OSError("a data unit is too long")
        return receive(count)

    return recv

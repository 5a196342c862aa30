"""Takes connections, so that no peer can hold up the others or fill the memory."""

import logging
import selectors
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

from pynetdicom import events
from pynetdicom.transport import ThreadedAssociationServer

from tumorlens.pacs.connections import (
    MAX_OPENING,
    MAX_SILENT,
    Associations,
    Connection,
    Stage,
    end,
)
from tumorlens.pacs.reception import discard_unfinished
from tumorlens.pacs.tls import why

log = logging.getLogger(__name__)

SILENCE_S: Final = 60.0
"""A peer that says nothing for so long in the middle of a message is let go."""
MAX_PDU_BYTES: Final = 1024 * 1024
"""Length that a peer may state for one protocol data unit; we ask for 16 KiB (PS3.8 D.1)."""
_POLL_S: Final = 0.5
_MAX_REQUESTS: Final = 64
"""Requests of an association that wait for their answer; a peer may send one (PS3.7 D.3.3.3)."""
_BACKLOG: Final = 128
_TOO_MANY: Final = (0x02, 0x03, 0x02)
"""Rejected transient, by the presentation related provider: local limit exceeded (PS3.8 9.3.4)."""

_Request = socket.socket | tuple[bytes, socket.socket]


class Acceptor(ThreadedAssociationServer):
    """pynetdicom's server, with limits that count only what they are meant to.

    pynetdicom gives every connection two threads that look a thousand times a second whether
    something came, counts it as an association, and shakes hands (TLS) in the thread that accepts.
    Here a connection waits in a selector until its first byte comes, and has a thread of its own
    from then on.
    """

    daemon_threads = True  # a handshake that hangs must not hold up the end of the process
    request_queue_size = _BACKLOG

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """See ``AssociationServer``."""
        self.silent, self.opening = Stage(MAX_SILENT), Stage(MAX_OPENING)
        self.associations = Associations()
        self._stop, self._stopped = threading.Event(), threading.Event()
        self.ended: Callable[[], None] = lambda: None
        """Called at the end of ``shutdown``."""
        super().__init__(*arguments, **options)

    def start(self) -> None:
        """Listen in threads of its own until ``shutdown``."""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def serve_forever(self, poll_interval: float = _POLL_S) -> None:
        """Accept connections, and hand on those that have sent something."""
        listening = self.socket
        assert listening is not None
        listening.setblocking(False)
        with selectors.DefaultSelector() as selector:
            selector.register(listening, selectors.EVENT_READ)
            while not self._stop.is_set():
                try:
                    self._look(listening, selector, poll_interval)
                except Exception as error:  # nothing may end this thread: no threads left, ...
                    log.error("could not accept a connection: %s", type(error).__name__)
                    self._stop.wait(_POLL_S)
            for key in list(selector.get_map().values()):
                if key.data is not None:
                    key.data.socket.close()
        self._stopped.set()

    def _look(
        self, listening: socket.socket, selector: selectors.BaseSelector, seconds: float
    ) -> None:
        # New ones last: for one of them, a connection may be closed that has sent nothing yet.
        events = selector.select(seconds)
        for key, _ in sorted(events, key=lambda event: event[0].fileobj is listening):
            if key.fileobj is listening:
                self._accept(listening, selector)
            else:
                self._hand_on(key.data, selector)
        for connection in self.silent.late():
            self._close(connection, selector)
        for connection in self.opening.late():
            connection.end()
        self.associations.end_idle(SILENCE_S)
        self.service_actions()

    def _accept(self, listening: socket.socket, selector: selectors.BaseSelector) -> None:
        try:
            accepted, address = listening.accept()
        except BlockingIOError:  # the peer has gone again
            return
        except OSError as error:  # no file handles left
            log.error("could not accept a connection: %s", why(error))
            if (oldest := self.silent.make_room()) is not None:
                self._close(oldest, selector)
            else:
                self._stop.wait(_POLL_S)
            return
        accepted.setblocking(True)
        accepted.settimeout(SILENCE_S)
        new_connection = Connection(accepted, address[0])
        selector.register(accepted, selectors.EVENT_READ, new_connection)
        if (leaving := self.silent.enter(new_connection)) is not None:
            self._close(leaving, selector)

    @staticmethod
    def _close(connection: Connection, selector: selectors.BaseSelector) -> None:
        selector.unregister(connection.socket)
        connection.socket.close()

    def _hand_on(self, connection: Connection, selector: selectors.BaseSelector) -> None:
        selector.unregister(connection.socket)
        self.silent.leave(connection)
        try:
            gone = not connection.socket.recv(1, socket.MSG_PEEK)
            address = connection.socket.getpeername()
        except OSError:
            gone = True
        if gone:  # without a word: no thread for that
            connection.socket.close()
            return
        if (leaving := self.opening.enter(connection)) is not None:
            leaving.end()
        self.process_request(connection.socket, address)

    def finish_request(self, request: _Request, client_address: tuple[str, int] | str) -> None:
        """Shake hands where TLS is asked for, then start the association."""
        if self.ssl_context is not None and isinstance(request, socket.socket):
            secure = self.ssl_context.wrap_socket(
                request, server_side=True, do_handshake_on_connect=False
            )
            # Another object for the same connection: this one can be ended while it shakes hands.
            connection = Connection(secure, str(client_address[0]))
            if (leaving := self.opening.enter(connection)) is not None:
                leaving.end()
            try:
                secure.do_handshake()
            except OSError as error:  # ssl's and the peer's going away are both of this kind
                log.warning("refused a connection from %s: TLS (%s)", client_address[0], why(error))
                self.opening.leave(connection)
                secure.close()
                return
            request = secure
        super().finish_request(request, client_address)

    def admit(self, event: events.Event, allowed: tuple[str, ...]) -> None:
        """Count an association that is asked for, or reject it; for ``EVT_REQUESTED``.

        Those of titles that are not allowed are left to pynetdicom, which says so to the peer.
        """
        association = event.assoc
        transport, asked = association.dul.socket, association.requestor.primitive
        if transport is not None and transport.socket is not None:
            self.opening.leave(transport.socket)
        title = str(getattr(asked, "calling_ae_title", ""))
        if title not in allowed:
            return
        address = association.requestor.address
        if not self.associations.admit(association, str(address), title):
            log.warning("rejected an association from %s: too many at a time", address)
            association.acse.send_reject(*_TOO_MANY)
            association.kill()

    def note_data(self, event: events.Event) -> None:
        """Note that something came; for ``EVT_DATA_RECV``.

        What is not an image is held in memory as it comes: a peer that sends more of it than any
        request needs, or goes on asking without waiting for answers, is let go.
        """
        association = event.assoc
        self.associations.note_data(association)
        message = association.dimse.message
        held = 0
        if message is not None:
            held = sum(
                stream.tell()
                for stream in (message.encoded_command_set, message.data_set)
                if stream is not None
            )
        if held > MAX_PDU_BYTES or association.dimse.msg_queue.qsize() > _MAX_REQUESTS:
            log.warning("closed a connection: too many requests, or too long ones")
            end(association)

    def shutdown(self) -> None:
        """Stop listening; pynetdicom's own way is for servers that its AE has started."""
        self._stop.set()
        self._stopped.wait()
        self.server_close()
        while (connection := self.opening.make_room()) is not None:
            connection.end()
        self.associations.end_all()
        self.ended()

    def handle_error(
        self,
        request: _Request,  # noqa: ARG002
        client_address: tuple[str, int] | str,
    ) -> None:
        """Log the type of the error only: socketserver would print all of it."""
        log.error("a connection from %s: %s", client_address[0], type(sys.exception()).__name__)


def guard(event: events.Event) -> None:
    """Bound what a connection that has just been opened may send; for ``EVT_CONN_OPEN``."""
    transport, machine = event.assoc.dul.socket, event.assoc.dul.state_machine
    if transport is not None:
        # The documented way in is to copy pynetdicom's request handler, for this one line.
        transport.recv = _bounded(transport.recv)  # type: ignore[assignment, method-assign]
    machine.do_action = _forgiving(event, machine.do_action)  # type: ignore[assignment, method-assign]


def closed(event: events.Event) -> None:
    """End the thread of a connection that closed before its request; for ``EVT_CONN_CLOSE``.

    It would wait for the request for half a minute: a peer that comes and goes without end would
    leave hundreds of such threads.
    """
    discard_unfinished(event)
    if event.assoc.requestor.primitive is None:
        event.assoc.dul.to_user_queue.put(None)


def _forgiving(opened: events.Event, act: Callable[[str], None]) -> Callable[[str], None]:
    """End an association whose peer sends what pynetdicom cannot parse.

    Its thread would end with a traceback, which may quote a patient, and leave what came in half.
    """
    association = opened.assoc

    def do_action(event: str) -> None:
        try:
            act(event)
        except Exception as error:
            log.warning("closed a connection: malformed data (%s)", type(error).__name__)
            association.is_aborted, association.is_established = True, False
            # As pynetdicom does it where decoding fails.
            association._kill = association.dul._kill_thread = True
            association.dul.to_user_queue.put(None)  # to a thread that waits for the request
            end(association)
            discard_unfinished(opened)

    return do_action


def _bounded(receive: Callable[[int], bytearray]) -> Callable[[int], bytearray]:
    """Refuse lengths beyond ``MAX_PDU_BYTES``: pynetdicom would collect what a peer states."""

    def recv(count: int) -> bytearray:
        if count > MAX_PDU_BYTES:
            log.warning("closed a connection: a data unit of %d bytes", count)
            raise OSError("a data unit is too long")
        return receive(count)

    return recv

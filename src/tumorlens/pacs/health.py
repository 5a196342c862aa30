"""``/healthz`` and ``/metrics`` of the node, by HTTP on the loopback interface alone."""

import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from tumorlens.pacs.acceptor import Acceptor
from tumorlens.pacs.journal import Journal
from tumorlens.pacs.private import SpoolError
from tumorlens.pacs.spool import FAILED, MADE, RECEIVING, SENT, Spool
from tumorlens.pacs.worker import Worker

log = logging.getLogger(__name__)

LOOPBACK: Final = "127.0.0.1"
_PATIENCE_S: Final = 10.0
"""Longest time a client may take for its request."""
_STUCK_S: Final = 3600.0
"""A worker that has not looked at a study for so long is stuck: no deadline is as long."""


class Health:
    """State and metrics of the node."""

    def __init__(self, spool: Spool, worker: Worker, acceptor: Acceptor, journal: Journal) -> None:
        self._spool, self._worker = spool, worker
        self._acceptor, self._journal = acceptor, journal

    def state(self) -> tuple[bool, dict[str, str]]:
        """Whether the node works, and a description of its state."""
        try:
            self._spool.counts()
            has_room = self._spool.space.has_room()
        except (OSError, SpoolError):
            return False, {"status": "the queue cannot be read"}
        if time.monotonic() - self._worker.last_look > _STUCK_S:
            return False, {"status": "the worker is stuck"}
        if not has_room:
            return True, {"status": "too little disk space: images are refused"}
        return True, {"status": "ok"}

    def metrics(self) -> str:
        """All metrics, in the text format of Prometheus.

        Raises ``OSError`` or ``SpoolError`` where the spool cannot be read.
        """
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        counts = dict.fromkeys((RECEIVING, MADE, SENT, FAILED), 0) | self._spool.counts()
        yield from _metric("studies", "gauge", "Studies in the spool, by state.")
        yield from (f'tumorlens_pacs_studies{{state="{k}"}} {v}' for k, v in sorted(counts.items()))
        yield from _metric("events_total", "counter", "Events since the start.")
        events = self._journal.counts()
        yield from (
            f'tumorlens_pacs_events_total{{event="{k}"}} {v}' for k, v in sorted(events.items())
        )
        space = self._spool.space
        gauges = (
            ("associations", "Established associations.", len(self._acceptor.associations)),
            ("silent_connections", "Connections that have sent nothing yet.",
             len(self._acceptor.silent)),
            ("opening_connections", "Connections that open an association.",
             len(self._acceptor.opening)),
            ("spool_bytes", "Bytes in the spool.", space.used_bytes),
            ("free_bytes", "Free bytes on its disk.", space.free_bytes),
            ("takes_images", "1 while there is room for images.", int(space.has_room())),
        )  # fmt: skip
        for name, words, value in gauges:
            yield from _metric(name, "gauge", words)
            yield f"tumorlens_pacs_{name} {value}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """Log the type of the error only: socketserver would print all of it.

        A client that leaves before it has its answer is no error.
        """
        error = sys.exception()
        if not isinstance(error, OSError):
            log.error("/healthz or /metrics: %s", type(error).__name__)


class HealthServer:
    """Serves ``Health`` in threads of its own until ``close``."""

    def __init__(self, health: Health, port: int) -> None:
        """Listen on ``port`` of the loopback interface, 0 for any free one; raises ``OSError``."""
        self._server = _Server((LOOPBACK, port), _handler(health))
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE_S

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/healthz":
                works, state = health.state()
                status = HTTPStatus.OK if works else HTTPStatus.SERVICE_UNAVAILABLE
                self._answer(status, "application/json", json.dumps(state))
            elif path == "/metrics":
                self._metrics()
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", "/healthz and /metrics\n")

        do_HEAD = do_GET  # noqa: N815  (the name that http.server looks for)

        def _metrics(self) -> None:
            try:
                text = health.metrics()
            except (OSError, SpoolError):
                text = "the spool cannot be read\n"
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", text)
            else:
                self._answer(HTTPStatus.OK, "text/plain; version=0.0.4", text)

        def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log no requests."""

    return Handler


def _metric(name: str, kind: str, words: str) -> Iterator[str]:
    yield f"# HELP tumorlens_pacs_{name} {words}"
    yield f"# TYPE tumorlens_pacs_{name} {kind}"

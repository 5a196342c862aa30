"""Checks before every route, headers of every answer, and the request log.

The log has the method, the route's template, the status, sizes and times: never a path as it was
sent, a query, a file name or an error's words, any of which may name a patient.
"""

import asyncio
import hashlib
import hmac
import logging
import re
import time
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tumorlens.isolation.pool import WorkerFaultError
from tumorlens.isolation.worker import place_of
from tumorlens.server.metrics import Metrics
from tumorlens.server.problems import BUSY, Problem, stopped
from tumorlens.server.settings import LOOPBACK_NAMES, MIB, Limits, Settings

LOG: Final = logging.getLogger("tumorlens.server")
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        # WebAssembly, for the network in the browser, needs a word of its own; nothing else may
        # make code from text.
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
_URL: Final = re.compile(rb"https?://(?P<host>[^/]*)(?P<path>/.*)?", re.IGNORECASE)
_PROTECTED: Final = ("/v1/", "/metrics")
_DRAIN_BYTES: Final = 2 * MIB
_DRAIN_SECONDS: Final = 2.0
_BUSY_SECONDS: Final = 1.0
_LONGEST_LENGTH: Final = 20
"""Digits of a stated length that is worth reading."""


class Guard:
    """Wraps the whole application (ASGI)."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        """Let ``app`` answer what passes."""
        self._app, self._metrics, self._limits = app, metrics, settings.limits
        self._any_host = "*" in settings.allowed_hosts
        self._hosts = {host.lower() for host in (*LOOPBACK_NAMES, *settings.allowed_hosts)}
        self._tokens = [_digest(token) for token in settings.tokens]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass the server's life cycle through."""
        if scope["type"] != "http":
            await self._app(scope, receive, _without_text(send))
            return
        scope = _with_path(scope)
        exchange = _Exchange(scope, receive, send, self._limits)
        method, started = scope["method"], time.perf_counter()
        if method == "HEAD":  # as GET; uvicorn, which keeps its own scope, leaves the body out
            scope = {**scope, "method": "GET"}
        try:
            self._check(scope)
            await self._app(scope, exchange.receive, exchange.send)
        except Problem as problem:
            scope["tumorlens.refusal"] = problem.kind
            await problem.response()(scope, exchange.receive, exchange.send)
        except asyncio.CancelledError:
            # The server ends at once: uvicorn would log a traceback, and answer without a reason.
            # Nothing awaits this task beside it.
            scope["tumorlens.refusal"] = "stopped"
            if not exchange.status:
                await stopped().response()(scope, exchange.receive, exchange.send)
        except Exception as error:  # the framework has answered 500 and passes the error on
            _log_error(error)
        self._note(scope, method, exchange.status, time.perf_counter() - started)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if "content-length" in headers and "transfer-encoding" in headers:
            # A proxy may believe the other one and see two requests (RFC 9112, 6.1).
            raise Problem(
                HTTPStatus.BAD_REQUEST, "malformed",
                "the request has both Content-Length and Transfer-Encoding",
                {"Connection": "close"},
            )  # fmt: skip
        if not self._is_called(headers.get("host", "")):
            raise Problem(
                HTTPStatus.BAD_REQUEST, "unknown_host",
                "the server is not known by this host name; allow it with --allowed-host",
            )  # fmt: skip
        if not _path(scope).startswith(_PROTECTED):
            return
        if self._is_foreign(headers):
            raise Problem(
                HTTPStatus.FORBIDDEN, "cross_site", "the request came from a page of another site"
            )
        if self._tokens and not self._is_known(headers.get("authorization", "")):
            raise Problem(
                HTTPStatus.UNAUTHORIZED, "unauthorized", "a bearer token is needed",
                {"WWW-Authenticate": "Bearer"},
            )  # fmt: skip

    def _is_called(self, header: str) -> bool:
        """Whether the server may be called by this name; with ``*`` any valid name may."""
        name = _host(header)
        return bool(name) or not header if self._any_host else name in self._hosts

    def _is_foreign(self, headers: Headers) -> bool:
        """Whether the request comes from a page that neither this server nor its proxy sent.

        A page of another port or subdomain (``same-site``) is as foreign as any.
        """
        site = headers.get("sec-fetch-site")
        if site is not None and site not in ("same-origin", "none"):
            return True
        origin = headers.get("origin")
        # A browser that says it is the same has compared; a proxy may have changed the host.
        if origin is None or site == "same-origin":
            return False
        scheme, _, address = origin.partition("://")
        if not address or scheme not in _DEFAULT_PORTS:
            return True  # "null": a file, a sandbox
        if _with_port(address, scheme) == _with_port(headers.get("host", ""), scheme):
            return False
        name = _host(address)
        return name in LOOPBACK_NAMES or name not in self._hosts

    def _is_known(self, authorization: str) -> bool:
        """Compare with every token, in a time that depends on none of them."""
        scheme, _, token = authorization.partition(" ")
        digest = _digest(token.strip())
        matches = False
        for known in self._tokens:
            matches |= hmac.compare_digest(digest, known)
        return matches and scheme.lower() == "bearer"

    def _note(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        method = method if method in _METHODS else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if (reason := scope.get("tumorlens.refusal")) is not None:
            self._metrics.refusals.labels(reason).inc()
        LOG.info(
            "%s %s %d %.1f ms%s", method, route, status, 1000 * seconds,
            f" ({reason})" if reason else "",
        )  # fmt: skip


class _Exchange:
    """One request and its answer: adds headers, and sees whether the body was read."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: Limits) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._limits = limits
        headers = Headers(scope=scope)
        self._unread = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        self.status = 0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
            # A client that asks again at once, whatever Retry-After says, would keep the server
            # busy with refusing; it waits for its refusal, at the cost of one idle connection.
            if self._scope.get("tumorlens.refusal") == BUSY and self._scope["method"] == "POST":
                await asyncio.sleep(_BUSY_SECONDS)
            # Whoever still sends a refused body would get no answer before the connection breaks.
            if self._unread and not await self._drain():
                headers["Connection"] = "close"
        await self._send(message)

    async def _drain(self) -> bool:
        """Discard the rest of the body, if that is bounded; say whether all of it was read.

        Only while it arrives: a client that pauses is not waited for.
        """
        headers = Headers(scope=self._scope)
        if "expect" in headers:
            return False  # it has not begun to send
        stated = headers.get("content-length", "")
        length = int(stated) if stated.isdecimal() and len(stated) < _LONGEST_LENGTH else 0
        left = length if length <= 2 * self._limits.body_bytes else 0
        left = max(left, _DRAIN_BYTES)
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while self._unread and left > 0:
                    async with asyncio.timeout(_DRAIN_SECONDS):
                        left -= len((await self.receive()).get("body", b""))
        except TimeoutError:
            return False
        return not self._unread


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _with_path(scope: Scope) -> Scope:
    """``scope``, where a whole URL was asked for (RFC 9112, 3.2.2) with its host and path."""
    root = str(scope.get("root_path", ""))
    match = _URL.fullmatch(scope["raw_path"].removeprefix(root.encode()))
    if match is None:
        return scope
    others = [(name, value) for name, value in scope["headers"] if name != b"host"]
    raw_path = match["path"] or b"/"
    return {
        **scope,
        "headers": [*others, (b"host", match["host"])],
        "path": root + unquote(raw_path.decode("ascii")),
        "raw_path": root.encode() + raw_path,
    }


def _path(scope: Scope) -> str:
    """The path that routes are matched with: without ``--root-path``, which uvicorn prepends."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if root and path.startswith(f"{root}/") else path


def _host(header: str) -> str:
    """Name without port: ``[::1]:8000`` is ``[::1]``. Empty for what is no host (RFC 9110 7.2)."""
    match = _HOST.fullmatch(header.lower())
    return match[1] if match else ""


def _with_port(address: str, scheme: str) -> tuple[str, str]:
    """Name and port, which ``scheme`` gives where it is not stated."""
    name = _host(address)
    port = address[len(name) + 1 :] if name else ""
    return name or address, port or _DEFAULT_PORTS[scheme]


def _without_text(send: Send) -> Send:
    """Drop the traceback that the framework would log where start or shutdown fails."""

    async def quietly(message: Message) -> None:
        failed = message["type"].endswith(".failed")
        await send({**message, "message": ""} if failed else message)

    return quietly


def _digest(token: str) -> bytes:
    """Of equal length for all tokens, so that comparing reveals no length."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _log_error(error: Exception) -> None:
    if isinstance(error, WorkerFaultError):  # says no more than that
        LOG.error("internal error in a worker: %s", error)
    else:
        LOG.error("internal error %s", place_of(error))

"""Requests byte by byte, and waiting for things to happen."""

import json
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx

Start = Callable[..., AbstractContextManager[str]]
BOUNDARY = b"0123456789"
CONTENT_TYPE = "multipart/form-data; boundary=0123456789"


def part(data: bytes, name: bytes = b"a.png", field: bytes = b"files") -> bytes:
    head = b'Content-Disposition: form-data; name="' + field + b'"; filename="' + name + b'"'
    return b"--" + BOUNDARY + b"\r\n" + head + b"\r\n\r\n" + data + b"\r\n"


END = b"--" + BOUNDARY + b"--\r\n"


def connect(client: httpx.Client) -> socket.socket:
    raw = socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=20)
    raw.settimeout(20)
    return raw


def request_head(*headers: bytes) -> bytes:
    lines = [b"POST /v1/predictions HTTP/1.1", b"host: localhost",
             b"content-type: " + CONTENT_TYPE.encode(), *headers]  # fmt: skip
    return b"\r\n".join(lines) + b"\r\n\r\n"


def read_answer(raw: socket.socket) -> tuple[int, dict[str, object]]:
    """Status and JSON body of a response whose length is stated."""
    received = b""
    end = time.monotonic() + 20
    while b"\r\n\r\n" not in received:
        received += raw.recv(65536)
        assert time.monotonic() < end
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += raw.recv(65536)
    return int(head.split()[1]), json.loads(body)


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Poll; fail where it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)

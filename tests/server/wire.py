"""Servers as processes, requests byte by byte, and waiting for things to happen."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

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


class ServerProcess:
    """``tumorlens serve``, with what it logs."""

    def __init__(self, bundle: Path) -> None:
        command = [sys.executable, "-m", "tumorlens", "serve", "--port", "0", "--bundle"]
        self.process = subprocess.Popen(
            [*command, str(bundle)], stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        assert self.process.stderr is not None
        self._log = self.process.stderr
        line = ""
        while "listening on http://" not in line:
            line = self._log.readline()
            assert line, "it ended"
        self.url = line.split()[-1]
        self.lines: list[str] = []
        self._reading = threading.Thread(target=lambda: self.lines.extend(self._log))
        self._reading.start()

    def wait(self) -> int:
        """Its exit status, once it has ended and all its lines are read."""
        status = self.process.wait(60)
        self._reading.join(60)
        self._log.close()
        return status


def wait_for_refusal(host: str, port: int) -> None:
    """Until new connections are refused."""
    for _ in range(500):
        try:
            socket.create_connection((host, port), timeout=5).close()
        except OSError:
            return
        time.sleep(0.02)
    raise AssertionError("it still listens")

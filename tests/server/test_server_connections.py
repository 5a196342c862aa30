"""Clients that hold connections and say nothing, or do not read what they asked for."""

import os
import signal
import socket
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
from tests.server.wire import (
    END,
    ServerProcess,
    Start,
    connect,
    part,
    request_head,
    wait_for_refusal,
    wait_until,
)

from tumorlens.imaging.raster import encode
from tumorlens.isolation.pool import NoWorkerError, Pool
from tumorlens.server import connections
from tumorlens.server.connections import Connections, connection_limit


@dataclass(eq=False)
class _One:
    address: str
    waits: bool = True
    dropped: bool = False

    def waits_for_client(self) -> bool:
        return self.waits

    def drop(self) -> None:
        self.dropped = True


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been idle for no time at all may go."""
    monkeypatch.setattr(connections, "IDLE_SECONDS", -1.0)


@pytest.mark.usefixtures("at_once")
def test_the_idlest_of_the_address_that_holds_most_goes() -> None:
    crowd = Connections(4)
    clinic, first, busy, second = _One("a"), _One("b"), _One("b", waits=False), _One("b")
    for one in (clinic, first, busy, second):
        crowd.enter(one)
    crowd.note(first)
    crowd.enter(_One("c"))
    assert [one.dropped for one in (clinic, first, busy, second)] == [False, False, False, True]


def test_nothing_that_moves_is_closed() -> None:
    crowd = Connections(1)
    one, other = _One("a"), _One("a")
    crowd.enter(one)
    crowd.enter(other)
    assert not one.dropped


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_places_leave_handles_for_the_rest() -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(900, limits[1]), limits[1]))
        assert connection_limit(300) == 300
        found = connection_limit(min(limits[1], 100_000))
        assert found < resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("words", [b"", b"GET / HT", request_head(b"content-length: 9")])
def test_silent_connections_do_not_shut_others_out(
    start: Start, monkeypatch: pytest.MonkeyPatch, words: bytes
) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.1)
    with (
        start(limits={"connections": 16, "header_seconds": 600, "body_seconds": 600}) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        held = [connect(client) for _ in range(40)]
        for one in held:
            try:
                one.sendall(words)
            except OSError:  # it had to go already
                continue

        def answered() -> bool:
            with httpx.Client(base_url=url, timeout=60) as other:
                return other.get("/healthz").status_code == 200

        wait_until(answered, 60)
        for one in held:
            one.close()


def test_an_answer_that_is_not_read_is_given_up(start: Start) -> None:
    noise = encode.png(np.random.default_rng(0).integers(0, 255, (512, 512), np.uint8))
    files = b"".join(part(noise, b"%d.png" % number) for number in range(60)) + END
    with start(limits={"body_seconds": 2}) as url, httpx.Client(base_url=url) as client:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(120)
        raw.connect((client.base_url.host, client.base_url.port))
        length = b"content-length: %d" % len(files)
        head = request_head(length).replace(b"predictions", b"predictions?preview=true", 1)
        raw.sendall(head + files)
        received = bytearray(raw.recv(1024))
        stated = int(received.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        time.sleep(6)
        with suppress(ConnectionResetError):
            while more := raw.recv(65536):
                received += more
        raw.close()
    assert stated > 10_000_000
    assert len(received) < stated


def half_closed(client: httpx.Client, sent: bytes) -> bytes:
    """What a client receives that sends all it has to say and shuts its side at once."""
    received = b""
    with connect(client) as raw:
        raw.sendall(sent)
        raw.shutdown(socket.SHUT_WR)
        while more := raw.recv(65536):
            received += more
    return received


def test_a_half_closed_client_gets_the_answers_to_all_its_questions(client: httpx.Client) -> None:
    asked = b"".join(
        b"GET %s HTTP/1.1\r\nhost: localhost\r\n\r\n" % path for path in (b"/metrics", b"/docs")
    )
    assert half_closed(client, asked * 20).count(b"HTTP/1.1 200 OK\r\n") == 40


def test_the_work_of_a_client_that_may_have_left_is_given_up(
    client: httpx.Client, image: bytes
) -> None:
    body = part(image) + END
    asked = request_head(b"content-length: %d" % len(body)) + body
    assert half_closed(client, asked) == b""
    assert half_closed(client, asked[:-20]) == b""
    wait_until(lambda: "queue_pictures 0" in client.get("/metrics").text)


def test_without_worker_processes_it_is_a_503(
    start: Start, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"files": ("a.png", image)}
    with start(workers=1) as url:
        answer = httpx.post(f"{url}/v1/predictions", files=files, timeout=60)
        assert answer.status_code == 200
        submitted = Pool.submit

        def fails(self: Pool, *arguments: object, **more: object) -> object:
            future = submitted(self, *arguments, **more)  # type: ignore[arg-type]
            future.cancel()
            failed: Future[object] = Future()
            failed.set_exception(NoWorkerError("no worker process can be started"))
            return failed

        monkeypatch.setattr(Pool, "submit", fails)
        answer = httpx.post(f"{url}/v1/predictions", files=files, timeout=60)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert answer.json()["type"] == "urn:tumorlens:problem:no_worker"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_server_that_is_interrupted_twice_says_so_and_prints_no_traceback(
    tiny_bundle: Path,
) -> None:
    server = ServerProcess(tiny_bundle)
    with httpx.Client(base_url=server.url) as client:
        raw = connect(client)
        raw.sendall(request_head(b"content-length: 1000") + part(b"half")[:60])
        wait_until(lambda: "queue_pictures 1" in client.get("/metrics").text)
    server.process.send_signal(signal.SIGINT)
    wait_for_refusal(client.base_url.host, client.base_url.port or 80)
    server.process.send_signal(signal.SIGINT)
    server.wait()
    answer = raw.recv(65536).decode()
    raw.close()
    assert answer.startswith("HTTP/1.1 503")
    assert "urn:tumorlens:problem:stopped" in answer
    assert not [line for line in server.lines if "Traceback" in line], server.lines

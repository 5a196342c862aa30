"""Peers that connect and say nothing, or too much: an allowed PACS gets in all the same."""

import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import MRImageStorage
from pynetdicom import AE
from pynetdicom.association import Association
from tests.pacs.machines import Authority, Node, until

from tumorlens.pacs import connections, node
from tumorlens.pacs.acceptor import Acceptor
from tumorlens.pacs.connections import Connection, Stage
from tumorlens.pacs.settings import NodeSettings
from tumorlens.pacs.spool import Spool
from tumorlens.pacs.tls import Tls

# pynetdicom 3.0 leaves the socket of a refused connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
_VERIFICATION = "1.2.840.10008.1.1"
_HALF_A_REQUEST = struct.pack(">BBL", 1, 0, 200) + b"\0\1"


@pytest.fixture
def server(spool: Spool) -> Iterator[Acceptor]:
    running = node.start(NodeSettings("127.0.0.1", 0, allowed=("TESTER", "OTHER")), spool)
    yield running
    running.shutdown()


def _port(server: Acceptor) -> int:
    return int(server.server_address[1])


def _call(port: int, title: str = "TESTER", tls: Tls | None = None) -> Association:
    entity = AE(title)
    entity.add_requested_context(_VERIFICATION)
    entity.add_requested_context(MRImageStorage)
    secure = (tls.calling(), "127.0.0.1") if tls else None
    return entity.associate("127.0.0.1", port, ae_title="TUMORLENS", tls_args=secure)


def _echo(port: int, title: str = "TESTER", tls: Tls | None = None) -> bool:
    association = _call(port, title, tls)
    if not association.is_established:
        return False
    status = int(association.send_c_echo().Status)
    association.release()
    return status == 0


def _crowd(port: int, count: int, words: bytes, stack: ExitStack) -> list[socket.socket]:
    made = []
    for _ in range(count):
        one = stack.enter_context(socket.create_connection(("127.0.0.1", port), 60))
        one.sendall(words)
        made.append(one)
    return made


def test_a_node_with_fifty_silent_and_fifty_stuck_peers_answers_the_pacs(
    start_node: Callable[..., Node],
) -> None:
    running = start_node("A@127.0.0.1:9")
    with ExitStack() as stack:
        _crowd(running.port, 50, b"", stack)
        _crowd(running.port, 50, _HALF_A_REQUEST, stack)
        assert _echo(running.port)
        assert _echo(running.port)
    assert running.stop() == 0


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


def _request(context: int) -> bytes:
    """An A-ASSOCIATE-RQ (PS3.8 9.3.2) with one presentation context of this number."""
    syntaxes = _item(0x30, _VERIFICATION.encode()) + _item(0x40, b"1.2.840.10008.1.2")
    body = b"".join(
        (
            _item(0x10, b"1.2.840.10008.3.1.1.1"),
            _item(0x20, bytes((context, 0, 0, 0)) + syntaxes),
            _item(0x50, _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"1.2.3")),
        )
    )
    titles = b"TUMORLENS".ljust(16) + b"TESTER".ljust(16) + bytes(32)
    content = struct.pack(">HH", 1, 0) + titles + body
    return struct.pack(">BBI", 1, 0, len(content)) + content


_EMPTY_COMMAND = bytes.fromhex("0400 00000006 00000002 01 03")


def _ends(port: int, *words: bytes) -> None:
    """Say this, a part at a time, and wait until the node closes the connection."""
    with socket.create_connection(("127.0.0.1", port), 60) as one:
        one.settimeout(60)
        for part in words:
            one.sendall(part)
            if part is not words[-1]:
                assert one.recv(65536)
        while one.recv(65536):
            pass


def test_malformed_data_ends_the_association_and_is_one_line_of_the_log(
    start_node: Callable[..., Node],
) -> None:
    running = start_node("A@127.0.0.1:9")
    threads = Path(f"/proc/{running.process.pid}/task")
    before = len(list(threads.iterdir())) if threads.exists() else 0
    for _ in range(12):
        _ends(running.port, _request(2))  # an even number: it has to be odd
        _ends(running.port, _request(1), _EMPTY_COMMAND)
    assert _echo(running.port)
    until(lambda: not threads.exists() or len(list(threads.iterdir())) <= before)
    assert running.stop() == 0
    told = running.log.read_text()
    assert told.count("closed a connection: malformed data") == 24
    assert "Traceback" not in told


@pytest.mark.parametrize("words", [b"", b"\1", _HALF_A_REQUEST, b"GET / HTTP/1.1\r\n\r\n"])
def test_more_than_there_is_room_for_do_not_shut_it(server: Acceptor, words: bytes) -> None:
    with ExitStack() as stack:
        _crowd(_port(server), connections.MAX_SILENT + 20, words, stack)
        assert _echo(_port(server))
        assert len(server.silent) <= connections.MAX_SILENT
        assert len(server.opening) <= connections.MAX_OPENING


def test_who_has_just_spoken_is_not_let_go_for_a_new_one(server: Acceptor) -> None:
    server._stop.set()  # its steps are made here, one by one
    server._stopped.wait()
    server.silent._most = 1
    listening = server.socket
    assert listening is not None
    with selectors.DefaultSelector() as selector, ExitStack() as stack:
        selector.register(listening, selectors.EVENT_READ)
        (first,) = _crowd(_port(server), 1, b"", stack)
        server._look(listening, selector, 60)
        _crowd(_port(server), 1, b"", stack)
        first.sendall(_HALF_A_REQUEST)
        until(lambda: len(selector.select(0)) == 2)
        server._look(listening, selector, 60)
        assert (len(server.opening), len(server.silent)) == (1, 1)
        for key in list(selector.get_map().values()):
            if key.data is not None:
                key.data.socket.close()


@pytest.mark.parametrize("words", [b"", b"\x16\x03\1\2\0\1"])
def test_nor_do_those_that_never_finish_the_handshake(
    spool: Spool, ours: Authority, words: bytes
) -> None:
    tls = ours.issue(ours.file)
    running = node.start(NodeSettings("127.0.0.1", 0, allowed=("TESTER",), tls=tls), spool)
    try:
        with ExitStack() as stack:
            _crowd(_port(running), connections.MAX_OPENING + 10, words, stack)
            assert _echo(_port(running), tls=ours.issue(ours.file))
    finally:
        running.shutdown()


@pytest.mark.parametrize("words", [b"", b"\1", _HALF_A_REQUEST])
def test_who_comes_and_goes_leaves_no_threads(server: Acceptor, words: bytes) -> None:
    before = set(threading.enumerate())
    for _ in range(20):
        with ExitStack() as stack:
            _crowd(_port(server), 1, words, stack)
    assert _echo(_port(server))
    # pynetdicom would wait half a minute for each of them to ask for an association.
    until(lambda: not (set(threading.enumerate()) - before), 15)


def test_who_is_silent_for_long_is_let_go(
    server: Acceptor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "OPENING_S", 0.2)
    with ExitStack() as stack:
        for words in (b"", _HALF_A_REQUEST):
            (peer,) = _crowd(_port(server), 1, words, stack)
            assert peer.recv(1) == b""


def test_associations_in_which_nothing_is_said_make_room(
    server: Acceptor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_S", 0.0)
    with ExitStack() as stack:
        for _ in range(connections.MAX_OF_A_PEER + 2):
            association = _call(_port(server))
            assert association.is_established
            stack.callback(association.abort)
        assert _echo(_port(server))
        assert len(server.associations) <= connections.MAX_OF_A_PEER


def test_one_peer_with_many_associations_leaves_room_for_another(server: Acceptor) -> None:
    with ExitStack() as stack:
        for _ in range(connections.MAX_OF_A_PEER):
            association = _call(_port(server))
            stack.callback(association.abort)
        assert _call(_port(server)).is_rejected
        assert _echo(_port(server), "OTHER")


def test_titles_that_may_not_call_are_not_counted(server: Acceptor) -> None:
    for _ in range(connections.MAX_ESTABLISHED + 2):
        assert _call(_port(server), "STRANGER").is_rejected
    assert len(server.associations) == 0
    assert _echo(_port(server))


def _flood(connection: socket.socket, unit: bytes) -> None:
    for _ in range(200):
        connection.sendall(unit)
        time.sleep(0.01)


def test_a_peer_that_sends_requests_without_end_is_let_go(
    server: Acceptor, caplog: pytest.LogCaptureFixture
) -> None:
    association = _call(_port(server))
    context = association.accepted_contexts[0].context_id
    # P-DATA-TF with a part of a command that never ends (PS3.8 9.3.5, PS3.7 6.3.1).
    part = struct.pack(">LBB", 2 + (1 << 19), context, 1) + bytes(1 << 19)
    unit = struct.pack(">BBL", 4, 0, len(part)) + part
    connection = association.dul.socket
    assert connection is not None
    plain = connection.socket
    assert plain is not None
    with pytest.raises(OSError):  # noqa: PT011  (reset or broken pipe)
        _flood(plain, unit)
    assert "too many requests, or too long ones" in caplog.text
    association.abort()


def test_a_clock_that_is_set_back_does_not_keep_silent_peers(
    server: Acceptor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tumorlens.pacs.acceptor.SILENCE_S", 0.5)
    now = time.time()
    association = _call(_port(server))
    monkeypatch.setattr(time, "time", lambda: now - 10 * 86400)
    until(lambda: len(server.associations) == 0, 30)
    association.abort()


def test_at_the_end_nobody_is_waited_for(server: Acceptor) -> None:
    before = set(threading.enumerate())
    association = _call(_port(server))
    until(lambda: len(server.associations) == 1)
    server.shutdown()
    until(lambda: len(server.associations) == 0, 30)
    association.abort()
    until(lambda: not (set(threading.enumerate()) - before - {association}), 30)
    server._stopped.set()  # the fixture shuts it down again


def _connection(address: str, stack: ExitStack) -> Connection:
    return Connection(stack.enter_context(socket.socket()), address)


def test_the_oldest_of_the_address_that_holds_most_goes() -> None:
    with ExitStack() as stack:
        stage = Stage(3)
        first, *others = [_connection(address, stack) for address in ("pacs", "x", "x")]
        assert [stage.enter(one) for one in (first, *others)] == [None] * 3
        assert stage.enter(_connection("y", stack)) is others[0]
        leaving: Any = stage.enter(_connection("x", stack))
        assert leaving is others[1]
        assert len(stage) == 3


def test_a_connection_that_was_closed_takes_no_room(tmp_path: Path) -> None:
    with ExitStack() as stack:
        stage = Stage(1)
        gone = _connection("x", stack)
        stage.enter(gone)
        gone.socket.close()
        assert stage.enter(_connection("y", stack)) is None

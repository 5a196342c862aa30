"""What comes in goes to the disk: little memory, nothing too large, nothing left behind."""

import io
import logging
import socket
import struct
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any, Final

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import MRImageStorage
from pynetdicom import AE, _config, dimse_messages, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu_primitives import P_DATA
from tests.pacs.machines import send_all, until

from tumorlens.pacs import node, reception
from tumorlens.pacs.acceptor import Acceptor
from tumorlens.pacs.settings import NodeSettings
from tumorlens.pacs.spool import Spool

_MIB = 1 << 20
_PROGRAM = textwrap.dedent(
    """
    import pathlib, sys
    from tumorlens.pacs import node
    from tumorlens.pacs.settings import NodeSettings
    from tumorlens.pacs.spool import Spool

    spool = Spool(pathlib.Path(sys.argv[1]))
    server = node.start(NodeSettings("127.0.0.1", 0, allowed=("TESTER",)), spool)
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    """
)


@pytest.fixture
def server(spool: Spool) -> Iterator[Acceptor]:
    running = node.start(NodeSettings("127.0.0.1", 0, allowed=("TESTER",)), spool)
    yield running
    running.shutdown()


@pytest.fixture
def write_large(tmp_path: Path, write_dicom: Callable[..., bytes]) -> Callable[[int], Path]:
    """An instance of so many frames of a MiB."""

    def write(frames: int) -> Path:
        path = tmp_path / f"large{frames}"
        path.write_bytes(write_dicom(np.zeros((frames, 1024, 1024), np.uint8)))
        return path

    return write


def _peak(pid: int) -> int:
    """Most bytes of memory that a process has had at a time."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_a_large_instance_does_not_go_through_memory(
    tmp_path: Path, write_large: Callable[[int], Path]
) -> None:
    folder = tmp_path / "spool"
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        port = int(process.stdout.readline())
        small, large = write_large(1), write_large(100)
        small.write_bytes(small.read_bytes().replace(b"1.2.3.4", b"1.2.3.5"))
        assert send_all([small], port, MRImageStorage) == [node.SUCCESS]
        before = _peak(process.pid)
        assert send_all([large], port, MRImageStorage) == [node.SUCCESS]
        grown = _peak(process.pid) - before
        process.communicate("")
    assert grown < 30 * _MIB
    assert max(path.stat().st_size for path in folder.rglob("*.dcm")) > 100 * _MIB


def test_what_is_too_large_is_refused_and_not_kept(
    server: Acceptor, spool: Spool, write_large: Callable[[int], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(reception, "MAX_BYTES", 2 * _MIB)
    port = int(server.server_address[1])
    sent = send_all([write_large(2), write_large(1)], port, MRImageStorage)
    assert sent == [node.OUT_OF_RESOURCES, node.SUCCESS]
    assert list(spool.incoming.iterdir()) == []
    assert len(list(spool.folder.rglob("*.dcm"))) == 1


def test_a_full_disk_is_told_to_the_sender(
    server: Acceptor, spool: Spool, write_large: Callable[[int], Path]
) -> None:
    spool.incoming.rmdir()  # no file can be made
    port = int(server.server_address[1])
    assert send_all([write_large(1)], port, MRImageStorage) == [node.OUT_OF_RESOURCES]
    spool.incoming.mkdir()
    assert send_all([write_large(1)], port, MRImageStorage) == [node.SUCCESS]


def _send_half(association: Association, path: Path) -> None:
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = MRImageStorage, "1.2.3.4"
    request.DataSet = io.BytesIO(path.read_bytes())
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    parts = list(message.encode_msg(association.accepted_contexts[0].context_id or 1, 16382))
    for part in parts[: len(parts) // 2]:
        association.dul.send_pdu(part)


@pytest.mark.parametrize("how", ["abort", "gone"])
def test_half_an_instance_leaves_nothing_behind(
    server: Acceptor, spool: Spool, write_large: Callable[[int], Path],
    how: str,
) -> None:  # fmt: skip
    entity = AE("TESTER")
    entity.add_requested_context(MRImageStorage)
    association = entity.associate("127.0.0.1", int(server.server_address[1]), ae_title="TUMORLENS")
    _send_half(association, write_large(1))
    (path,) = until(lambda: list(spool.incoming.iterdir()))
    assert path.suffix == ".dcm"
    if how == "abort":
        association.abort()
    else:
        assert association.dul.socket
        association.dul.socket.close()
    until(lambda: not list(spool.incoming.iterdir()))
    assert spool.counts() == {}


_STORE: Final[dict[str, Any]] = {
    "CommandField": 0x0001, "MessageID": 7, "Priority": 2, "AffectedSOPClassUID": MRImageStorage,
    "AffectedSOPInstanceUID": "1.2.3.4",
}  # fmt: skip
_NO_DATA: Final = 0x0101
"""Data set type of a message without a data set (PS3.7 E.1)."""


def _answer_to(port: int, data: bytes | None, **elements: Any) -> Dataset | None:
    """The command of the answer to a request of these elements; None if the node hangs up."""
    answers: Queue[Dataset | None] = Queue()
    entity = AE("TESTER")
    entity.add_requested_context(MRImageStorage)
    association = entity.associate(
        "127.0.0.1", port, ae_title="TUMORLENS",
        evt_handlers=[
            (evt.EVT_DIMSE_RECV, lambda event: answers.put(event.message.command_set)),
            (evt.EVT_CONN_CLOSE, lambda _: answers.put(None)),
        ],
    )  # fmt: skip
    command = Dataset()
    for name, value in elements.items():
        if value is not None:
            setattr(command, name, value)
    command.CommandDataSetType = _NO_DATA if data is None else 0
    encoded = encode(command, True, True) or b""
    length = struct.pack("<HHLL", 0, 0, 4, len(encoded))
    parts = [b"\x03" + length + encoded, *([] if data is None else [b"\x02" + data])]
    for part in parts:
        sent = P_DATA()
        # Typed as tuples, and checked to be lists.
        sent.presentation_data_value_list = [[1, part]]  # type: ignore[list-item]
        association.dul.send_pdu(sent)
    transport = association.dul.socket and association.dul.socket.socket
    answer = answers.get(timeout=30)
    if answer is not None:
        assert association.is_established
        association.abort()
    elif transport:  # pynetdicom leaves it to the garbage collector
        transport.close()
    return answer


@pytest.mark.parametrize(
    ("lacking", "why"),
    [
        (None, "no data set came"), ("AffectedSOPInstanceUID", "the request lacks elements"),
        ("AffectedSOPClassUID", "the request lacks elements"),
    ],
)  # fmt: skip
def test_a_request_without_a_data_set_is_refused(
    server: Acceptor, spool: Spool, caplog: pytest.LogCaptureFixture, lacking: str | None, why: str
) -> None:
    given = {name: value for name, value in _STORE.items() if name != lacking}
    answer = _answer_to(int(server.server_address[1]), None, **given)
    assert answer is not None
    assert (answer.CommandField, answer.Status) == (0x8001, node.CANNOT_UNDERSTAND)
    assert answer.MessageIDBeingRespondedTo == 7
    assert f"status C000): {why}" in caplog.text
    assert spool.counts() == {}


@pytest.mark.parametrize(
    ("lacking", "data"),
    [
        ("MessageID", None), ("MessageID", b"a patient"), ("CommandField", None),
        ("CommandField", b"a patient"), ("AffectedSOPInstanceUID", b"a patient"),
        ("AffectedSOPClassUID", b"a patient"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_answered_leaves_nothing_behind(
    server: Acceptor, spool: Spool, caplog: pytest.LogCaptureFixture, lacking: str,
    data: bytes | None,
) -> None:  # fmt: skip
    given = {name: value for name, value in _STORE.items() if name != lacking}
    assert _answer_to(int(server.server_address[1]), data, **given) is None
    assert "closed a connection" in caplog.text
    until(lambda: not list(spool.incoming.iterdir()))


def _shared() -> tuple[object, ...]:
    """What a node changes for all servers of this process."""
    return (
        _config.STORE_RECV_CHUNKED_DATASET, vars(dimse_messages)["NamedTemporaryFile"],
        _config.LOG_HANDLER_LEVEL, logging.getLogger("pynetdicom").level,
    )  # fmt: skip


def test_a_node_that_has_ended_leaves_nothing_changed(spool: Spool) -> None:
    """What other servers of this process get would go to its folder, which may be gone."""
    settings = NodeSettings("127.0.0.1", 0, allowed=("TESTER",))
    logging.getLogger("pynetdicom").setLevel(logging.ERROR)
    before = _shared()
    first, second = node.start(settings, spool), node.start(settings, spool)
    while_running = _shared()
    assert while_running[2:] == ("none", logging.CRITICAL + 1)
    first.shutdown()
    assert (_shared(), second._stopped.is_set()) == (while_running, False)
    second.shutdown()
    assert _shared() == before
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = NodeSettings("127.0.0.1", other.getsockname()[1], allowed=("TESTER",))
        with pytest.raises(OSError, match="in use"):
            node.start(taken, spool)
    assert _shared() == before
    logging.getLogger("pynetdicom").setLevel(logging.NOTSET)

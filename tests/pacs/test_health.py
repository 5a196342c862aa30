"""``/healthz``, ``/metrics`` and the audit log of a node that runs."""

import json
import re
import shutil
import socket
import struct
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import MRImageStorage
from tests.pacs.archives import Archive
from tests.pacs.machines import Node, send_all, until

from tumorlens.pacs import node
from tumorlens.pacs.answering import StudyAnswer
from tumorlens.pacs.destination import destination
from tumorlens.pacs.health import Health, HealthServer
from tumorlens.pacs.journal import Journal
from tumorlens.pacs.settings import NodeSettings
from tumorlens.pacs.spool import Spool
from tumorlens.pacs.worker import Worker

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
_SECRET = "Nobody^Known"
_SAMPLE = re.compile(r'[a-z_]+(\{[a-z]+="[a-z_]+"\})? -?\d+(\.\d+)?')


@pytest.fixture
def archive() -> Iterator[Archive]:
    made = Archive()
    made.start()
    yield made
    made.stop()


def _get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_a_node_tells_how_it_is_and_what_it_did(
    archive: Archive, start_node: Callable[..., Node], tmp_path: Path,
    write_dicom: Callable[..., bytes], head: NDArray[np.uint8],
) -> None:  # fmt: skip
    running = start_node(archive.address, 0, "--http-port", "0")
    found = re.search(r"metrics on 127\.0\.0\.1:(\d+)", running.log.read_text())
    assert found
    port = int(found[1])
    assert _get(port, "/healthz") == (200, '{"status": "ok"}')
    assert _get(port, "/healthz", "HEAD") == (200, "")
    study = tmp_path / "study"
    study.write_bytes(write_dicom(head, PatientName=_SECRET, PatientID="ID7"))
    bad = tmp_path / "bad"
    bad.write_bytes(write_dicom(head, SOPInstanceUID="1.2.987654321", StudyInstanceUID=None))
    assert send_all([study, bad], running.port, MRImageStorage) == [0, 0xA900]
    with socket.create_connection(("127.0.0.1", port)):  # who says nothing holds up nobody
        until(lambda: 'tumorlens_pacs_studies{state="sent"} 1' in _get(port, "/metrics")[1])
        status, text = _get(port, "/metrics")
    assert status == 200
    for line in text.splitlines():
        assert line.startswith("# ") or _SAMPLE.fullmatch(line), line
    for event in ("started", "association", "received", "refused", "answered", "delivered"):
        assert f'tumorlens_pacs_events_total{{event="{event}"}} 1\n' in text
    assert _get(port, "/")[0] == 404
    assert running.stop() == 0
    audit = running.spool / "audit.jsonl"
    events = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [one["event"] for one in events] == [
        "started", "association", "received", "refused", "answered", "delivered", "stopped",
    ]  # fmt: skip
    assert all(one["time"].endswith("+00:00") for one in events)
    assert events[2]["study"] == events[4]["study"]
    assert events[1]["title"] == "TESTER"
    said = audit.read_text() + text + running.log.read_text()
    for secret in ("Nobody", "ID7", "1.2.3", "987654321"):
        assert secret not in said.replace("127.0.0.1", "")


def _no_answer(*_: object) -> StudyAnswer:
    return StudyAnswer([], [])


def test_a_queue_that_cannot_be_read_or_a_worker_that_is_stuck_is_no_good_health(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal = destination("A@127.0.0.1:9", "TUMORLENS")
    worker = Worker(spool, _no_answer, goal, quiet_s=0, keep_s=3600)
    acceptor = node.start(NodeSettings("127.0.0.1", 0, allowed=("TESTER",)), spool)
    health = Health(spool, worker, acceptor, Journal())
    try:
        assert health.state() == (True, {"status": "ok"})
        with monkeypatch.context() as patched:
            patched.setattr(spool.space, "has_room", lambda: False)
            assert health.state() == (True, {"status": "too little disk space: images are refused"})
        worker.last_look -= 2 * 3600
        assert health.state() == (False, {"status": "the worker is stuck"})
        spool.close()
        assert health.state() == (False, {"status": "the queue cannot be read"})
    finally:
        acceptor.shutdown()


def test_what_cannot_be_read_and_who_leaves_leave_no_traceback(
    spool: Spool, capfd: pytest.CaptureFixture[str]
) -> None:
    goal = destination("A@127.0.0.1:9", "TUMORLENS")
    worker = Worker(spool, _no_answer, goal, quiet_s=0, keep_s=9)
    acceptor = node.start(NodeSettings("127.0.0.1", 0, allowed=("TESTER",)), spool)
    server = HealthServer(Health(spool, worker, acceptor, Journal()), 0)
    try:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", server.port)) as leaving:
                leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                leaving.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert _get(server.port, "/healthz?from=probe")[0] == 200
        spool.close()
        assert _get(server.port, "/metrics") == (503, "the spool cannot be read\n")
        shutil.rmtree(spool.folder)
        assert _get(server.port, "/healthz")[0] == 503
        assert _get(server.port, "/metrics")[0] == 503
    finally:
        server.close()
        acceptor.shutdown()
    assert "Traceback" not in capfd.readouterr().err


def test_a_line_that_cannot_be_written_is_counted(tmp_path: Path) -> None:
    link = tmp_path / "audit.jsonl"
    link.symlink_to("/dev/full")
    journal = Journal(link, rotate=False)
    journal.record("started")
    assert journal.counts() == {"started": 1, "audit_lost": 1}
    journal.close()


def test_the_audit_log_begins_anew_before_it_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tumorlens.pacs.journal._ROTATE_BYTES", 1000)
    journal = Journal(tmp_path / "audit.jsonl")
    for number in range(100):
        journal.record("received", study=f"{number:032x}")
    journal.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 6
    assert all(path.stat().st_size <= 1000 for path in files)

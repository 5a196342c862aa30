"""Encrypted associations: who is let in, who is trusted, and what is said of others."""

import gc
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from numpy.typing import NDArray
from pydicom.uid import MRImageStorage
from tests.pacs.machines import Authority, send_all, until

from tumorlens.cli.pacs import command
from tumorlens.pacs import node
from tumorlens.pacs.acceptor import Acceptor
from tumorlens.pacs.destination import SendError, UnreachableError, destination
from tumorlens.pacs.settings import NodeSettings
from tumorlens.pacs.spool import Spool
from tumorlens.pacs.tls import Tls

# pynetdicom 3.0 leaves the socket of a refused connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

_SECRET = "Nobody^Known"


@pytest.fixture
def server(spool: Spool, ours: Authority) -> Iterator[Acceptor]:
    settings = NodeSettings("127.0.0.1", 0, allowed=("TESTER",), tls=ours.issue(ours.file))
    running = node.start(settings, spool)
    yield running
    running.shutdown()
    gc.collect()


@pytest.fixture
def image(tmp_path: Path, write_dicom: Callable[..., bytes], head: NDArray[np.uint8]) -> Path:
    path = tmp_path / "image"
    path.write_bytes(write_dicom(head, PatientName=_SECRET))
    return path


def _send(server: Acceptor, image: Path, tls: Tls | None) -> None:
    address = f"TUMORLENS@127.0.0.1:{server.server_address[1]!s}"
    destination(address, "TESTER", tls).send(image, MRImageStorage)


def _strangers(ours: Authority, others: Authority) -> dict[str, Tls]:
    past = datetime.now(UTC) - timedelta(days=9)
    expired: dict[str, Any] = {"not_before": past, "not_after": past + timedelta(days=1)}
    return {
        "unable to get local issuer": others.issue(ours.file, common_name=_SECRET),
        "expired": ours.issue(ours.file, common_name=_SECRET, **expired),
    }


@pytest.mark.parametrize("reason", ["unable to get local issuer", "expired"])
def test_a_stranger_is_refused_in_one_line_and_the_node_goes_on(
    server: Acceptor, spool: Spool, ours: Authority, others: Authority, image: Path,
    caplog: pytest.LogCaptureFixture, reason: str,
) -> None:  # fmt: skip
    stranger = _strangers(ours, others)[reason]
    with caplog.at_level(logging.INFO), pytest.raises(UnreachableError, match=r"TLS \(.*\)"):
        _send(server, image, stranger)
    # Twice: the client looks again to say why. The alerts are sent before the lines are written.
    until(lambda: len(caplog.records) >= 2)
    said = {record.getMessage() for record in caplog.records if "tumorlens" in record.name}
    (line,) = said
    assert line.startswith("refused a connection from 127.0.0.1: TLS (")
    assert reason in line
    assert _SECRET not in caplog.text
    assert spool.counts() == {}
    _send(server, image, ours.issue(ours.file))
    assert spool.counts() == {"receiving": 1}


def test_who_shows_no_certificate_is_refused(
    server: Acceptor, ours: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    context = ssl.create_default_context(cafile=ours.file)
    with socket.create_connection(("127.0.0.1", int(server.server_address[1])), 30) as plain:
        secure = context.wrap_socket(plain, server_hostname="127.0.0.1")
        with secure, pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"):
            secure.recv(1)
    # The alert is sent before the line is written.
    until(lambda: caplog.messages)
    assert caplog.messages == [
        "refused a connection from 127.0.0.1: TLS (peer did not return a certificate)"
    ]


def test_a_plain_caller_is_not_served(
    server: Acceptor, spool: Spool, ours: Authority, image: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    with pytest.raises(SendError):
        _send(server, image, None)
    until(lambda: caplog.messages)
    assert any("refused a connection from 127.0.0.1: TLS (" in line for line in caplog.messages)
    assert spool.counts() == {}
    _send(server, image, ours.issue(ours.file))


def test_without_authorities_whoever_trusts_the_node_may_call(
    spool: Spool, ours: Authority, image: Path
) -> None:
    settings = NodeSettings("127.0.0.1", 0, allowed=("TESTER",), tls=ours.issue(None))
    running = node.start(settings, spool)
    try:
        context = ssl.create_default_context(cafile=ours.file)  # with no certificate of its own
        sent = send_all(
            [image], int(running.server_address[1]), MRImageStorage, (context, "127.0.0.1")
        )
        assert sent == [0]
    finally:
        running.shutdown()


def test_silent_peers_do_not_shut_out_others(
    server: Acceptor, spool: Spool, ours: Authority, image: Path
) -> None:
    address = ("127.0.0.1", int(server.server_address[1]))
    silent = [socket.create_connection(address, 30) for _ in range(20)]
    _send(server, image, ours.issue(ours.file))
    assert spool.counts() == {"receiving": 1}
    for one in silent:
        one.close()


def test_an_impostor_gets_nothing(
    spool: Spool, ours: Authority, others: Authority, image: Path
) -> None:
    settings = NodeSettings("127.0.0.1", 0, allowed=("TESTER",), tls=others.issue(None))
    running = node.start(settings, spool)
    try:
        with pytest.raises(UnreachableError, match="unable to get local issuer"):
            _send(running, image, ours.issue(ours.file))
        assert spool.counts() == {}
    finally:
        running.shutdown()
        gc.collect()


def _locked(pem: bytes) -> bytes:
    key = serialization.load_pem_private_key(pem, None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )


def test_wrong_files_are_told_at_the_start(tmp_path: Path, ours: Authority) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    own = ours.issue(None)
    locked = tmp_path / "locked.key"  # nobody is there to type its password
    locked.write_bytes(_locked(own.key.read_bytes()))
    arguments = ["listen", "--allow", "A", "--send-to", "A@b:1", "--spool", str(tmp_path / "s")]
    for options in (["--tls-ca", ours.file], ["--tls-cert", ours.file],
                    ["--tls-cert", wrong, "--tls-key", wrong], ["--web-ca", wrong],
                    ["--tls-cert", own.certificate, "--tls-key", locked]):  # fmt: skip
        result = CliRunner().invoke(command, [*arguments, *map(str, options)])
        assert result.exit_code == 2
        assert "Error: " in result.output
    assert not (tmp_path / "s").exists()

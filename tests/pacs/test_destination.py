"""Sending by DICOMweb: whom it trusts, and what it makes of a server's answers."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import MRImageStorage
from tests.pacs.archives import REPORT, Archive, WebArchive
from tests.pacs.machines import Authority

from tumorlens.pacs.destination import SendError, UnansweredError, UnreachableError, destination
from tumorlens.pacs.node import start
from tumorlens.pacs.settings import NodeSettings
from tumorlens.pacs.spool import Spool
from tumorlens.pacs.tls import Tls

_SECRET = "Nobody^Known"


@pytest.fixture
def serve() -> Iterator[Callable[..., WebArchive]]:
    with ExitStack() as running:

        def start(tls: Tls | None = None) -> WebArchive:
            archive = WebArchive(tls)
            running.callback(archive.stop)
            return archive

        yield start


@pytest.fixture
def image(tmp_path: Path, write_dicom: Callable[..., bytes], head: NDArray[np.uint8]) -> Path:
    path = tmp_path / "image"
    path.write_bytes(write_dicom(head, PatientName=_SECRET))
    return path


def _send(archive: WebArchive, image: Path, **options: Any) -> None:
    destination(archive.url, "TESTER", **options).send(image, MRImageStorage)


def test_a_server_of_the_configured_authority_is_trusted(
    serve: Callable[..., WebArchive], ours: Authority, image: Path
) -> None:
    archive = serve(ours.issue(None))
    _send(archive, image, web_authorities=ours.file)
    assert archive.uids == [dcmread(image).SOPInstanceUID]


@pytest.mark.parametrize("configured", [True, False])
def test_a_server_of_another_authority_gets_nothing_and_gives_one_error(
    serve: Callable[..., WebArchive], ours: Authority, others: Authority, image: Path,
    monkeypatch: pytest.MonkeyPatch, configured: bool,
) -> None:  # fmt: skip
    archive = serve(others.issue(None))
    if configured:  # what requests reads in the environment must not widen it
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(others.file))
    with pytest.raises(UnreachableError) as caught:
        _send(archive, image, web_authorities=ours.file if configured else None)
    assert str(caught.value) == "STOW-RS: TLS (unable to get local issuer certificate)"
    assert archive.uids == []


def test_a_server_that_asks_for_a_certificate_gets_ours(
    serve: Callable[..., WebArchive], ours: Authority, others: Authority, image: Path
) -> None:
    archive = serve(ours.issue(ours.file))
    for tls in (None, others.issue(ours.file)):
        with pytest.raises(UnreachableError):
            _send(archive, image, tls=tls, web_authorities=ours.file)
    assert archive.uids == []
    _send(archive, image, tls=ours.issue(ours.file))  # its authorities stand for the web, too
    assert len(archive.uids) == 1


def _refusal(*reasons: int) -> dict[str, Any]:
    failed = [{"00081197": {"vr": "US", "Value": [reason]}} for reason in reasons]
    return {"00081198": {"vr": "SQ", "Value": failed}}


def test_a_duplicate_counts_as_delivered(serve: Callable[..., WebArchive], image: Path) -> None:
    archive = serve()
    archive.status, archive.answer = 409, _refusal(0x0111)
    _send(archive, image)


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (409, _refusal(0x0110), SendError),
        (409, {}, SendError),
        (413, {}, SendError),
        (401, {}, UnreachableError),
        (503, {}, UnreachableError),
        (500, {}, UnansweredError),
    ],
)
def test_what_a_server_does_not_take_is_told_from_a_server_that_takes_nothing(
    serve: Callable[..., WebArchive], image: Path, status: int, answer: dict[str, Any],
    kind: type[SendError],
) -> None:  # fmt: skip
    archive = serve()
    archive.status, archive.answer = status, answer
    with pytest.raises(SendError) as caught:
        _send(archive, image)
    assert type(caught.value) is kind
    assert str(caught.value) == f"STOW-RS: status {status}"


def test_stored_in_part_is_not_stored(serve: Callable[..., WebArchive], image: Path) -> None:
    archive = serve()
    archive.answer = _refusal(0x0110)
    with pytest.raises(SendError, match="did not store it"):
        _send(archive, image)


@pytest.fixture
def node() -> Iterator[Archive]:
    """A DICOM node that takes MR images."""
    archive = Archive()
    archive.kinds = [MRImageStorage]
    archive.start()
    yield archive
    archive.stop()


@pytest.mark.parametrize("status", [0x0000, 0x0107, 0x0111, 0x0116, 0xB000, 0xB006, 0xB007])
def test_what_a_node_stored_with_a_warning_or_had_already_is_delivered(
    node: Archive, image: Path, status: int
) -> None:
    node.status = status
    destination(node.address, "US").send(image, MRImageStorage)
    assert len(node.uids) == 1


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC000, 0x0110, 0x0122])
def test_what_a_node_did_not_store_stays_in_the_queue(
    node: Archive, image: Path, status: int
) -> None:
    node.status = status
    with pytest.raises(SendError, match=f"^ARCHIVE: status {status:04X}$") as caught:
        destination(node.address, "US").send(image, MRImageStorage)
    assert type(caught.value) is SendError, "the next object may be taken"


def test_a_node_that_knows_no_such_object_may_take_others(node: Archive, image: Path) -> None:
    with pytest.raises(SendError, match="does not accept this kind of object") as caught:
        destination(node.address, "US").send(image, REPORT)
    assert type(caught.value) is SendError


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")
def test_an_ipv6_address_stands_in_brackets(spool: Spool, image: Path) -> None:
    server = start(NodeSettings("::1", 0, allowed=("US",)), spool)
    goal = destination(f"TUMORLENS@[::1]:{server.server_address[1]!s}", "US")
    goal.send(image, MRImageStorage)
    server.shutdown()
    assert len(spool.due(0)) == 1


@pytest.mark.parametrize(
    "text",
    ["", "ARCHIVE", "ARCHIVE@host", "ARCHIVE@host:0", "ARCHIVE@host:65536", "@host:104",
     "A@B@host:104", "ARCHIVE@host:104:1", "ARCHIVE@::1:104",
     "ARCHIVE@host:1x", "ftp://host/", "A\\B@host:104",
     "SEVENTEEN LETTERS@host:104"],
)  # fmt: skip
def test_what_is_no_address_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither TITLE@HOST:PORT|is not an AE title"):
        destination(text, "US")

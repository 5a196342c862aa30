"""The node by itself: who may call, what it takes, what is refused."""

import gc
import io
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, MRImageStorage, SecondaryCaptureImageStorage
from pynetdicom import AE
from pynetdicom.association import Association

from tumorlens.cli.pacs import command
from tumorlens.pacs import node
from tumorlens.pacs.acceptor import Acceptor
from tumorlens.pacs.destination import DicomNode, DicomWeb, UnreachableError, destination
from tumorlens.pacs.settings import NodeSettings, checked_title
from tumorlens.pacs.spool import Spool

_VERIFICATION = "1.2.840.10008.1.1"


@pytest.fixture
def server(spool: Spool) -> Iterator[Acceptor]:
    running = node.start(NodeSettings("127.0.0.1", 0, allowed=("TESTER",)), spool)
    yield running
    running.shutdown()


def _call(server: Acceptor, own: str = "TESTER", other: str = "TUMORLENS") -> Association:
    entity = AE(own)
    for kind in (_VERIFICATION, MRImageStorage, SecondaryCaptureImageStorage):
        entity.add_requested_context(kind)
    return entity.associate("127.0.0.1", int(server.server_address[1]), ae_title=other)


def test_only_listed_titles_may_call(server: Acceptor) -> None:
    assert _call(server, own="STRANGER").is_rejected
    assert _call(server, other="SOMEONE").is_rejected
    association = _call(server)
    assert association.is_established
    assert association.send_c_echo().Status == 0
    association.release()


def test_the_log_tells_which_title_was_wrong(
    server: Acceptor, caplog: pytest.LogCaptureFixture
) -> None:
    _call(server, own="STRANGER", other="SOMEONE")
    deadline = time.monotonic() + 10
    while not caplog.messages and time.monotonic() < deadline:
        time.sleep(0.01)  # the node answers before it logs
    assert "calling AE title 'STRANGER', called AE title 'SOMEONE'" in caplog.text


def test_an_empty_list_does_not_mean_everyone(spool: Spool) -> None:
    with pytest.raises(ValueError, match="allowed"):
        node.start(NodeSettings("127.0.0.1", 0), spool)


def test_an_instance_is_on_disk_as_it_was_sent(
    server: Acceptor, spool: Spool, write_dicom: Callable[..., bytes],
    head: NDArray[np.uint8],
) -> None:  # fmt: skip
    sent = dcmread(io.BytesIO(write_dicom(head)))
    association = _call(server)
    assert association.send_c_store(sent).Status == node.SUCCESS
    association.release()
    (one,) = spool.due(0)
    (path,) = spool.study_folder(one.key).iterdir()
    kept = dcmread(path)
    assert kept.SOPInstanceUID == sent.SOPInstanceUID
    assert np.array_equal(kept.pixel_array, sent.pixel_array)


def test_an_instance_of_no_study_is_refused(
    server: Acceptor, spool: Spool, write_dicom: Callable[..., bytes],
    head: NDArray[np.uint8],
) -> None:  # fmt: skip
    association = _call(server)
    without = dcmread(io.BytesIO(write_dicom(head, StudyInstanceUID=None)))
    assert association.send_c_store(without).Status == node.DOES_NOT_MATCH
    association.release()
    assert spool.counts() == {}


def test_compressed_images_are_taken(server: Acceptor) -> None:
    entity = AE("TESTER")
    entity.add_requested_context(MRImageStorage, JPEG2000Lossless)
    port = int(server.server_address[1])
    association = entity.associate("127.0.0.1", port, ae_title="TUMORLENS")
    assert [context.transfer_syntax for context in association.accepted_contexts] == [
        [JPEG2000Lossless]
    ]
    association.release()


def test_where_answers_go() -> None:
    assert isinstance(destination("PACS@host:104", "T"), DicomNode)
    assert isinstance(destination("https://host/dicom-web", "T"), DicomWeb)
    for text in ("host:104", "PACS@host:0", "PACS@host:65536"):
        with pytest.raises(ValueError, match="neither"):
            destination(text, "T")


@pytest.mark.parametrize("title", ["", "  ", "SEVENTEEN LETTERS", "A\\B", "A\tB", "\u00c4"])
def test_what_is_no_ae_title_is_told_at_the_start(tmp_path: Path, title: str) -> None:
    usual = {"--allow": "X", "--ae-title": "T", "--send-to": "A@127.0.0.1:9"}
    usual |= {"--spool": str(tmp_path / "spool"), "--port": "0", "--bundle": str(tmp_path)}
    wrong = {"--allow": title, "--ae-title": title}
    if title:
        wrong["--send-to"] = f"{title}@127.0.0.1:9"
    for option, value in wrong.items():
        arguments = [part for pair in (usual | {option: value}).items() for part in pair]
        result = CliRunner().invoke(command, ["listen", *arguments])
        assert result.exit_code == 2
        assert option in result.output
        assert "is not an AE title" in " ".join(result.output.split())
    assert checked_title(" PACS ") == "PACS"


@pytest.mark.parametrize(
    "text", ["PACS@127.0.0.1:9", "PACS@none.invalid:104", "http://127.0.0.1:9/dicom-web"]
)
def test_a_destination_that_is_not_there_is_one_error(
    tmp_path: Path, write_dicom: Callable[..., bytes], head: NDArray[np.uint8], text: str
) -> None:
    (tmp_path / "x").write_bytes(write_dicom(head))
    with pytest.raises(UnreachableError):
        destination(text, "T").send(tmp_path / "x", MRImageStorage)
    gc.collect()


def test_a_peer_that_announces_a_gigabyte_is_let_go(
    server: Acceptor, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(("127.0.0.1", int(server.server_address[1])), 60) as peer:
        peer.sendall(struct.pack(">BBL", 1, 0, 1 << 30))
        assert peer.recv(1) == b""
    assert caplog.messages == ["closed a connection: a data unit of 1073741824 bytes"]

"""An instance that comes again: the same, with another header, encoded otherwise, or other."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
)
from pynetdicom import AE

from tumorlens.imaging.dicom.instance import identify
from tumorlens.pacs import node
from tumorlens.pacs.acceptor import Acceptor
from tumorlens.pacs.settings import NodeSettings
from tumorlens.pacs.spool import OtherContentError, Spool


@pytest.fixture
def server(spool: Spool) -> Iterator[Acceptor]:
    running = node.start(NodeSettings("127.0.0.1", 0, allowed=("TESTER",)), spool)
    yield running
    running.shutdown()


@pytest.fixture
def send(server: Acceptor, tmp_path: Path) -> Callable[..., int]:
    def send(data: bytes, syntax: str | None = None) -> int:
        entity = AE("TESTER")
        entity.add_requested_context(MRImageStorage, syntax)
        association = entity.associate(
            "127.0.0.1", int(server.server_address[1]), ae_title="TUMORLENS"
        )
        path = tmp_path / "sent.dcm"
        path.write_bytes(data)
        status = int(association.send_c_store(path).Status)
        association.release()
        return status

    return send


def test_the_same_again_is_welcome_and_not_worth_a_word(
    send: Callable[..., int], spool: Spool, caplog: pytest.LogCaptureFixture,
    write_dicom: Callable[..., bytes], head: NDArray[np.uint8],
) -> None:  # fmt: skip
    assert [send(write_dicom(head)) for _ in range(2)] == [node.SUCCESS] * 2
    assert caplog.messages == []
    assert [one.revision for one in spool.due(0)] == [1]


def test_other_pixels_are_refused_and_the_first_are_kept(
    send: Callable[..., int], spool: Spool, caplog: pytest.LogCaptureFixture,
    write_dicom: Callable[..., bytes], head: NDArray[np.uint8],
) -> None:  # fmt: skip
    assert send(write_dicom(head)) == node.SUCCESS
    assert send(write_dicom(255 - head)) == node.OTHER_CONTENT
    assert "an instance was sent again with different pixels; the first is kept" in caplog.text
    # The same bytes, to be read otherwise, are other pixels too.
    assert send(write_dicom(head, PhotometricInterpretation="MONOCHROME1")) == node.OTHER_CONTENT
    (one,) = spool.due(0)
    (path,) = spool.study_folder(one.key).iterdir()
    assert head.tobytes() in path.read_bytes()
    spool.finish(one)
    spool.prune(0)  # the file is gone, and what it was is known
    assert send(write_dicom(255 - head)) == node.OTHER_CONTENT
    assert send(write_dicom(head)) == node.SUCCESS


@pytest.mark.parametrize(
    ("tags", "syntax", "words"),
    [
        ({"PatientName": "Corrected"}, None, "with the same pixels and another header"),
        ({}, ImplicitVRLittleEndian, "in another encoding, so its pixels were not compared"),
    ],
)
def test_what_differs_otherwise_is_taken_for_the_same_with_a_word(
    send: Callable[..., int], caplog: pytest.LogCaptureFixture,
    write_dicom: Callable[..., bytes], head: NDArray[np.uint8],
    tags: dict[str, Any], syntax: str | None, words: str,
) -> None:  # fmt: skip
    assert send(write_dicom(head), ExplicitVRLittleEndian) == node.SUCCESS
    other = write_dicom(head, **tags)
    if syntax:
        other = _reencoded(other, syntax)
    assert send(other, syntax or ExplicitVRLittleEndian) == node.SUCCESS
    assert words in caplog.text


def _reencoded(data: bytes, syntax: str) -> bytes:
    from pydicom import dcmread

    dataset = dcmread(io.BytesIO(data))
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_deflated_pixels_are_compared_as_a_whole(
    write_dicom: Callable[..., bytes], head: NDArray[np.uint8]
) -> None:
    digests = [
        identify(io.BytesIO(_reencoded(write_dicom(pixels), DeflatedExplicitVRLittleEndian)), "x")
        for pixels in (head, 255 - head, head)
    ]
    assert digests[0].digest == digests[2].digest != digests[1].digest
    assert digests[0].digest.split(":")[0] == digests[1].digest.split(":")[0]


def test_identify_says_whose_it_is(
    write_dicom: Callable[..., bytes], head: NDArray[np.uint8]
) -> None:
    found = identify(io.BytesIO(write_dicom(head)), "x")
    assert (found.study_uid, found.sop_instance_uid) == ("1.2", "1.2.3.4")
    without = identify(io.BytesIO(write_dicom(head, StudyInstanceUID=None)), "x")
    assert without.study_uid == ""


def test_two_files_of_one_name_are_told_apart_without_a_digest(spool: Spool) -> None:
    assert spool.accept("1.2", "1.2.1", b"first") is True
    assert spool.accept("1.2", "1.2.1", b"first") is False
    with pytest.raises(OtherContentError, match="different pixels"):
        spool.accept("1.2", "1.2.1", b"other")

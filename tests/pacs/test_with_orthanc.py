"""Our node beside a real PACS: it forwards studies to us, and finds our answers in itself."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from pydicom import dcmread
from tests.pacs.machines import Authority, Node, Orthanc, free_port, until
from tests.phantom_series import phantom_series

from tumorlens.cli.pacs import command

_PATIENT = "Nobody^Known"
STUDIES = int(os.environ.get("TUMORLENS_TEST_STUDIES", "20"))
"""In the test that kills the node; 200 takes minutes."""


def _put(orthanc: Any, files: list[bytes]) -> None:
    for data in files:
        orthanc.call("/instances", data)


def _study(write_dicom: Callable[..., bytes], head: NDArray[np.uint8], number: int) -> bytes:
    return write_dicom(
        head, StudyInstanceUID=f"1.2.{number}", SeriesInstanceUID=f"1.2.{number}.1",
        SOPInstanceUID=f"1.2.{number}.1.1", PatientName=_PATIENT, PatientID=f"ID{number}",
    )  # fmt: skip


def test_a_forwarded_study_comes_back_as_report_and_overlay(
    orthanc: Any, node_port: int, start_node: Any, write_series: Callable[..., list[bytes]]
) -> None:
    node = start_node(f"ORTHANC@127.0.0.1:{orthanc.dicom}", node_port)
    _put(orthanc, write_series(4, PatientName=_PATIENT, PatientID="ID7"))
    assert orthanc.call("/modalities/node/echo", b"{}") == {}
    orthanc.forward_all()
    orthanc.wait_for("SR", 1)
    orthanc.wait_for("OT", 1)
    (report,) = (dcmread(io.BytesIO(data)) for data in orthanc.files("SR"))
    assert (report.StudyInstanceUID, report.PatientID) == ("1.2", "ID7")
    # The images once more: nothing new comes of that.
    images = orthanc.find("Instance", "MR")
    orthanc.call("/modalities/node/store", json.dumps(images).encode())
    assert node.stop() == 0
    assert (len(orthanc.instances("SR")), len(orthanc.instances("OT"))) == (1, 1)
    said = node.log.read_text()
    assert "delivered" in said
    secret = ("Nobody", "ID7", "1.2.3", str(report.SOPInstanceUID))
    assert not [word for word in secret if word in said]


def test_the_attention_map_of_a_tumour_comes_back_where_it_is_asked_for(
    orthanc: Any, node_port: int, start_node: Any, write_dicom: Callable[..., bytes]
) -> None:
    options = ("--segmentation", "--bundle", "phantom")
    node = start_node(f"ORTHANC@127.0.0.1:{orthanc.dicom}", node_port, *options)
    series = phantom_series(write_dicom, "glioma")
    _put(orthanc, series)
    orthanc.forward_all()
    orthanc.wait_for("SEG", 1)
    (found,) = (dcmread(io.BytesIO(data)) for data in orthanc.files("SEG"))
    images = {dcmread(io.BytesIO(data)).SOPInstanceUID for data in series}
    (referred,) = found.ReferencedSeriesSequence
    assert {one.ReferencedSOPInstanceUID for one in referred.ReferencedInstanceSequence} <= images
    assert node.stop() == 0
    assert (len(orthanc.instances("SR")), len(orthanc.instances("OT"))) == (1, 1)


def test_killed_in_the_middle_every_study_is_answered_once(
    orthanc: Any,
    node_port: int,
    start_node: Any,
    write_dicom: Callable[..., bytes],
    head: NDArray[np.uint8],
) -> None:
    node = start_node(f"ORTHANC@127.0.0.1:{orthanc.dicom}", node_port)
    _put(orthanc, [_study(write_dicom, head, number) for number in range(STUDIES)])
    orthanc.forward_all()
    for answered in (1, STUDIES // 3, STUDIES // 2):
        orthanc.wait_for("SR", answered)
        node.kill()
        node.start()
    orthanc.wait_for("SR", STUDIES)
    orthanc.wait_for("OT", STUDIES)
    assert node.stop() == 0
    reports = [dcmread(io.BytesIO(data)) for data in orthanc.files("SR")]
    assert sorted(report.StudyInstanceUID for report in reports) == sorted(
        f"1.2.{number}" for number in range(STUDIES)
    )


def test_pull_fetches_by_dicomweb_and_stores_by_dicomweb(
    orthanc: Any,
    tmp_path: Path,
    tiny_bundle: Path,
    write_dicom: Callable[..., bytes],
    head: NDArray[np.uint8],
) -> None:
    if "dicom-web" not in orthanc.call("/plugins"):
        pytest.skip("needs Orthanc's DICOMweb (Debian package orthanc-dicomweb)")
    _put(orthanc, [_study(write_dicom, head, number) for number in range(2)])
    url = f"{orthanc.url}/dicom-web"
    arguments = [
        "pull", url, "--patient-id", "ID1", "--spool", str(tmp_path / "spool"), "--send-to", url,
        "--bundle", str(tiny_bundle),
    ]  # fmt: skip
    for _ in range(2):
        result = CliRunner().invoke(command, arguments)
        assert result.exit_code == 0, result.output
    (report,) = (dcmread(io.BytesIO(data)) for data in orthanc.files("SR"))
    assert report.StudyInstanceUID == "1.2.1"


def _options(authority: Authority) -> list[str]:
    own = authority.issue(authority.file)
    return ["--tls-cert", str(own.certificate), "--tls-key", str(own.key),
            "--tls-ca", str(authority.file)]  # fmt: skip


@pytest.mark.parametrize("how", ["dicom", "web"])
def test_a_study_comes_and_its_answer_goes_encrypted(
    start_orthanc: Callable[..., Orthanc], node_port: int, start_node: Callable[..., Node],
    ours: Authority, write_series: Callable[..., list[bytes]], how: str,
) -> None:  # fmt: skip
    orthanc = start_orthanc(node_port, None, (ours, ours.issue(ours.file)))
    if how == "web" and "dicom-web" not in orthanc.call("/plugins"):
        pytest.skip("needs Orthanc's DICOMweb (Debian package orthanc-dicomweb)")
    by_dicom = f"ORTHANC@127.0.0.1:{orthanc.dicom}"
    send_to = by_dicom if how == "dicom" else f"{orthanc.url}/dicom-web"
    node = start_node(send_to, node_port, *_options(ours))
    for data in write_series(3):
        orthanc.call("/instances", data)
    orthanc.forward_all()
    orthanc.wait_for("SR", 1)
    orthanc.wait_for("OT", 1)
    assert node.stop() == 0


def test_a_real_archive_that_comes_up_again_is_sent_to_once(
    start_orthanc: Callable[..., Orthanc], node_port: int, start_node: Callable[..., Node],
    write_series: Callable[..., list[bytes]],
) -> None:  # fmt: skip
    ports = free_port(), free_port()
    orthanc = start_orthanc(node_port, ports)
    node = start_node(f"ORTHANC@127.0.0.1:{ports[1]}", node_port, "--quiet-seconds", "5")
    for data in write_series(3):
        orthanc.call("/instances", data)
    orthanc.forward_all()
    orthanc.stop()
    until(lambda: "not delivered" in node.log.read_text())
    node.kill()
    node.start()
    again: Any = start_orthanc(node_port, ports)
    again.wait_for("SR", 1)
    again.wait_for("OT", 1)
    assert node.stop() == 0
    assert (len(again.instances("SR")), len(again.instances("OT"))) == (1, 1)

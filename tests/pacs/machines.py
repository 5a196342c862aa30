"""A real PACS, Orthanc, and our node as a process of its own, both on loopback."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import trustme
from pynetdicom import AE

from tumorlens.inference.classifier import Classifier
from tumorlens.pacs.answering import answer_study
from tumorlens.pacs.tls import Tls
from tumorlens.pacs.worker import Answer

PROGRAM = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
_DICOM_WEB = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answer_here(classifier: Classifier) -> Answer:
    """Answers studies in this process."""
    return lambda _, folder, delivered: answer_study(classifier, folder, delivered)


def until(condition: Callable[[], Any], seconds: float = 300.0) -> Any:
    """Wait for a true value, and return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return found


class Orthanc:
    """A running Orthanc, by its REST interface."""

    def __init__(
        self, folder: Path, node_port: int, ports: tuple[int, int] | None = None,
        secured: "tuple[Authority, Tls] | None" = None,
    ) -> None:  # fmt: skip
        self.http, self.dicom = ports or (free_port(), free_port())
        self.url = f"http://127.0.0.1:{self.http}"
        settings = {
            "Name": "test", "StorageDirectory": str(folder / "db"),
            "IndexDirectory": str(folder / "db"), "HttpPort": self.http, "DicomPort": self.dicom,
            "DicomAet": "ORTHANC", "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
            "DicomModalities": {"node": {"AET": "TUMORLENS", "Host": "127.0.0.1",
                                         "Port": node_port, "UseDicomTls": bool(secured)}},
            "Plugins": [_DICOM_WEB] if Path(_DICOM_WEB).exists() else [],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }  # fmt: skip
        if secured:
            authority, tls = secured
            # DICOM alone: with https Debian's Orthanc 1.10.1 ends by a segmentation fault.
            settings |= {
                "DicomTlsEnabled": True,
                "DicomTlsCertificate": str(tls.certificate), "DicomTlsPrivateKey": str(tls.key),
                "DicomTlsTrustedCertificates": str(authority.file),
            }  # fmt: skip
        (folder / "orthanc.json").write_text(json.dumps(settings))
        with (folder / "orthanc.log").open("wb") as log:
            self._process = subprocess.Popen(
                [PROGRAM, str(folder / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=log
            )
        until(self._is_up)

    def call(self, path: str, data: bytes | None = None) -> Any:
        asked = Request(self.url + path, data=data)
        with urlopen(asked, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def find(self, level: str, modality: str) -> list[str]:
        """Orthanc's names of what there is of a modality."""
        query = {"Level": level, "Query": {"Modality": modality}}
        found: list[str] = self.call("/tools/find", json.dumps(query).encode())
        return found

    def instances(self, modality: str) -> list[str]:
        """Orthanc's names of the instances of a modality."""
        return self.find("Instance", modality)

    def files(self, modality: str) -> list[bytes]:
        """The files of the instances of a modality."""
        found = []
        for one in self.instances(modality):
            asked = f"{self.url}/instances/{one}/file"
            with urlopen(asked, timeout=60) as answer:
                found.append(answer.read())
        return found

    def wait_for(self, modality: str, count: int) -> None:
        """Until it holds so many instances of a modality."""
        until(lambda: len(self.instances(modality)) >= count)

    def forward_all(self) -> None:
        """Send every study to our node."""
        studies = self.call("/studies")
        self.call("/modalities/node/store", json.dumps(studies).encode())

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)

    def _is_up(self) -> bool:
        assert self._process.poll() is None, "Orthanc ended"
        try:
            return bool(self.call("/system"))
        except OSError:
            return False


class Node:
    """``tumorlens pacs listen`` as a process."""

    def __init__(
        self, folder: Path, bundle: Path, send_to: str, port: int = 0, *options: str
    ) -> None:
        self.log, self.spool = folder / "node.log", folder / "spool"
        self._arguments = [
            sys.executable, "-m", "tumorlens", "pacs", "listen", "--port", str(port), "--spool",
            str(self.spool), "--send-to", send_to, "--allow", "ORTHANC", "--allow", "TESTER",
            "--quiet-seconds", "1", "--bundle", str(bundle), *options,
        ]  # fmt: skip
        self.start()

    def start(self) -> None:
        seen = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._arguments, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"}
            )
        found = until(lambda: self._port(seen))
        self.port = int(found[1])

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def end(self) -> None:
        if self.process.poll() is None:
            self.kill()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)

    def _port(self, seen: int) -> re.Match[bytes] | None:
        assert self.process.poll() is None, self.log.read_text()
        return re.search(rb"listening on \S+:(\d+)", self.log.read_bytes()[seen:])


class Authority:
    """A private certificate authority."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._ca = trustme.CA(organization_name=name)
        self.file = folder / f"{name}-ca.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def issue(self, trusting: Path | None, **options: Any) -> Tls:
        """A certificate for 127.0.0.1, and whom its holder trusts."""
        made = self._ca.issue_cert("127.0.0.1", **options)
        number = len(list(self._folder.iterdir()))
        certificate = self._folder / f"{self._name}-{number}.pem"
        key = certificate.with_suffix(".key")
        made.private_key_pem.write_to_path(str(key))
        for blob in made.cert_chain_pems:
            blob.write_to_path(str(certificate), append=True)
        return Tls(certificate, key, trusting)


def send_all(
    files: list[Path], port: int, sop_class: str, tls: tuple[ssl.SSLContext, str] | None = None
) -> list[int]:
    """Send files to our node in one association; say with which status each was answered."""
    entity = AE("TESTER")
    entity.add_requested_context(sop_class)
    association = entity.associate("127.0.0.1", port, ae_title="TUMORLENS", tls_args=tls)
    assert association.is_established
    statuses = [int(association.send_c_store(path).Status) for path in files]
    association.release()
    return statuses

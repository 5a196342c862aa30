"""Where answers go: a DICOM node (C-STORE) or a DICOMweb server (STOW-RS)."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from tumorlens.errors import TumorlensError
from tumorlens.imaging.dicom.classes import EXPLICIT_LITTLE_ENDIAN
from tumorlens.imaging.dicom.parse import parse
from tumorlens.pacs.settings import Tls

if TYPE_CHECKING:
    from dicomweb_client import DICOMwebClient

TOKEN_VARIABLE: Final = "TUMORLENS_PACS_TOKEN"  # noqa: S105  (a name, not a token)
"""Environment variable with a bearer token for DICOMweb servers."""
_NODE: Final = re.compile(r"(?P<title>[^@]{1,16})@(?P<host>[^@:]+):(?P<port>\d{1,5})")


class SendError(TumorlensError):
    """An answer could not be delivered; it stays in the queue."""

    kind = "send"


class Destination(Protocol):
    """Takes finished files."""

    def send(self, path: Path, sop_class_uid: str) -> None:
        """Deliver one; raise ``SendError`` unless the other side confirms it."""


class DicomNode:
    """Sends by C-STORE."""

    def __init__(self, title: str, host: str, port: int, own_title: str, tls: Tls | None) -> None:
        self._title, self._host, self._port = title, host, port
        self._own_title, self._tls = own_title, tls

    def send(self, path: Path, sop_class_uid: str) -> None:
        """See ``Destination``."""
        from pynetdicom import AE

        entity = AE(self._own_title)
        entity.add_requested_context(sop_class_uid, EXPLICIT_LITTLE_ENDIAN)
        tls = (self._tls.calling(), self._host) if self._tls else None
        association = entity.associate(self._host, self._port, ae_title=self._title, tls_args=tls)
        if not association.is_established:
            raise SendError(f"{self._title}: no association")
        try:
            status = association.send_c_store(path).get("Status")
        except (OSError, RuntimeError, ValueError) as error:
            raise SendError(f"{self._title}: {type(error).__name__}") from error
        finally:
            association.release()
        # Warnings (PS3.4 table B.2-1, Bxxx) mean that it was stored.
        if status is None or (status != 0 and status >> 12 != 0xB):
            raise SendError(f"{self._title}: status {status}")


class DicomWeb:
    """Sends by STOW-RS."""

    def __init__(self, url: str, tls: Tls | None) -> None:
        self._url, self._tls = url, tls

    def send(self, path: Path, sop_class_uid: str) -> None:  # noqa: ARG002
        """See ``Destination``."""
        from requests import RequestException

        dataset = parse(path.read_bytes(), path.name)
        try:
            answer = web_client(self._url, self._tls).store_instances([dataset])
        except (RequestException, OSError) as error:
            raise SendError(f"STOW-RS: {type(error).__name__}") from error
        if answer.get("FailedSOPSequence"):
            raise SendError("STOW-RS: the server did not store it")


def web_client(url: str, tls: Tls | None = None) -> "DICOMwebClient":
    """Make a client for the DICOMweb server at ``url``."""
    from dicomweb_client import DICOMwebClient
    from requests import Session

    session = Session()
    if tls is not None:
        session.cert = (str(tls.certificate), str(tls.key))
        session.verify = str(tls.authorities) if tls.authorities else True
    if token := os.environ.get(TOKEN_VARIABLE):
        session.headers["Authorization"] = f"Bearer {token}"
    client = DICOMwebClient(url, session=session)
    client.set_http_retry_params(retry=False)  # it would hold up the queue, which tries again
    return client


def destination(text: str, own_title: str, tls: Tls | None = None) -> Destination:
    """Read ``TITLE@HOST:PORT`` or ``http(s)://...``; raise ``ValueError`` for neither."""
    if text.startswith(("http://", "https://")):
        return DicomWeb(text, tls)
    found = _NODE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text} is neither TITLE@HOST:PORT nor the address of a DICOMweb server")
    return DicomNode(found["title"], found["host"], int(found["port"]), own_title, tls)

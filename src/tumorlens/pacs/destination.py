"""Where answers go: a DICOM node (C-STORE) or a DICOMweb server (STOW-RS)."""

import re
import socket
import ssl
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.status import code_to_category
from pynetdicom.transport import AddressInformation, AssociationSocket
from requests import HTTPError, RequestException, Response

from tumorlens.errors import TumorlensError
from tumorlens.imaging.dicom.classes import EXPLICIT_LITTLE_ENDIAN
from tumorlens.imaging.dicom.parse import parse
from tumorlens.pacs import web
from tumorlens.pacs.settings import checked_title
from tumorlens.pacs.tls import Tls, why

_NODE: Final = re.compile(
    r"(?P<title>[^@]+)@(?P<host>\[[0-9A-Fa-f:.]+\]|[^@:\[\]]+):(?P<port>\d{1,5})"
)
_PORTS: Final = range(1, 1 << 16)
_VERDICT_S: Final = 2.0
"""Wait for a peer's word on our certificate: with TLS 1.3 it comes after the handshake."""
_STORED: Final = frozenset({"Success", "Warning"})
"""Categories of status codes that mean that an object was stored (PS3.7 annex C)."""
_ABOUT_THE_OBJECT: Final = frozenset({400, 409, 413, 415, 422})
"""HTTP status codes that speak of what was sent, not of the server."""


class SendError(TumorlensError):
    """An answer could not be delivered; it stays in the queue."""

    kind = "send"


class UnreachableError(SendError):
    """The other side takes nothing at all now: the next answer would fare no better."""

    kind = "unreachable"


class UnansweredError(UnreachableError):
    """There is no verdict on the answer: the other side may be down, or fail at this kind."""

    kind = "unanswered"


class Destination(Protocol):
    """Takes finished files."""

    def send(self, path: Path, sop_class_uid: str) -> None:
        """Deliver one; raise ``SendError`` unless the other side has it then."""


class _Socket(AssociationSocket):
    """Closes a connection that failed: pynetdicom 3.0 leaves that to the garbage collector."""

    def _shutdown_socket(self) -> None:
        failed = self.socket
        super()._shutdown_socket()
        if failed is not None:
            failed.close()


class _Caller(AE):
    """Connects through ``_Socket``."""

    def _create_socket(
        self, assoc: Association, address: AddressInformation,
        tls_args: tuple[ssl.SSLContext, str] | None,
    ) -> AssociationSocket:  # fmt: skip
        connection = _Socket(assoc, address=address)
        connection.tls_args = tls_args
        return connection


class DicomNode:
    """Sends by C-STORE."""

    def __init__(self, title: str, host: str, port: int, own_title: str, tls: Tls | None) -> None:
        self._title, self._host, self._port = title, host, port
        self._own_title, self._tls = own_title, tls

    def send(self, path: Path, sop_class_uid: str) -> None:
        """See ``Destination``."""
        entity = _Caller(self._own_title)
        entity.connection_timeout = web.CONNECT_S
        entity.add_requested_context(sop_class_uid, EXPLICIT_LITTLE_ENDIAN)
        tls = (self._tls.calling(), self._host) if self._tls else None
        try:
            association = entity.associate(
                self._host, self._port, ae_title=self._title, tls_args=tls
            )
        except OSError as error:  # no such host
            raise UnreachableError(f"{self._title}: {why(error)}") from error
        if not association.is_established:
            if association.rejected_contexts:  # others may be welcome
                raise SendError(f"{self._title}: does not accept this kind of object")
            reason = "rejected" if association.is_rejected else self._why_not()
            raise UnreachableError(f"{self._title}: {reason}")
        try:
            status = association.send_c_store(path).get("Status")
        except (OSError, RuntimeError, ValueError) as error:
            raise SendError(f"{self._title}: {type(error).__name__}") from error
        finally:
            association.release()
        if status is None:
            raise UnansweredError(f"{self._title}: no answer")
        if status != web.DUPLICATE and code_to_category(status) not in _STORED:
            raise SendError(f"{self._title}: status {status:04X}")

    def _why_not(self) -> str:
        """Look again, without pynetdicom, which tells the reason to its log only."""
        try:
            with socket.create_connection((self._host, self._port), web.CONNECT_S) as plain:
                if self._tls is not None:
                    self._shake_hands(plain, self._tls)
        except ssl.SSLError as error:
            return f"TLS ({why(error)})"
        except OSError as error:
            return why(error)
        return "no association"

    def _shake_hands(self, plain: socket.socket, tls: Tls) -> None:
        with tls.calling().wrap_socket(plain, server_hostname=self._host) as secure:
            secure.settimeout(_VERDICT_S)
            with suppress(TimeoutError):  # silence is consent
                secure.recv(1)


class DicomWeb:
    """Sends by STOW-RS."""

    def __init__(self, server: web.WebServer) -> None:
        self._server = server

    def send(self, path: Path, sop_class_uid: str) -> None:  # noqa: ARG002
        """See ``Destination``."""
        dataset = parse(path.read_bytes(), path.name)
        try:
            with self._server.client() as client:
                answer = client.store_instances([dataset])
        except HTTPError as error:
            if _is_stored(error.response):
                return
            raise _kind_of(error.response)(f"STOW-RS: {web.reason(error)}") from error
        except (RequestException, OSError) as error:
            raise UnreachableError(f"STOW-RS: {web.reason(error)}") from error
        if answer.get("FailedSOPSequence"):
            raise SendError("STOW-RS: the server did not store it")


def _is_stored(refusal: Response | None) -> bool:
    """Whether the server refuses an object because it has it."""
    if refusal is None or refusal.status_code not in _ABOUT_THE_OBJECT:
        return False
    return web.is_duplicate(refusal)


def _kind_of(refusal: Response | None) -> type[SendError]:
    """What the answer of a server says about further objects."""
    status = None if refusal is None else refusal.status_code
    if status in _ABOUT_THE_OBJECT:
        return SendError
    return UnansweredError if status == HTTPStatus.INTERNAL_SERVER_ERROR else UnreachableError


def destination(
    text: str, own_title: str, tls: Tls | None = None, web_authorities: Path | None = None
) -> Destination:
    """Read ``TITLE@HOST:PORT`` or ``http(s)://...``; raise ``ValueError`` for neither.

    ``web_authorities`` are for https, see ``WebServer``.
    """
    if text.startswith(("http://", "https://")):
        return DicomWeb(web.WebServer(text, tls, web_authorities))
    match = _NODE.fullmatch(text)
    if match is None or int(match["port"]) not in _PORTS:
        raise ValueError(f"{text} is neither TITLE@HOST:PORT nor the address of a DICOMweb server")
    title = checked_title(match["title"])
    host = match["host"].strip("[]")  # around an IPv6 address
    return DicomNode(title, host, int(match["port"]), own_title, tls)

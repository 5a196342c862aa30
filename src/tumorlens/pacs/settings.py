"""How the node is set up."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFAULT_AE_TITLE: Final = "TUMORLENS"
DEFAULT_PORT: Final = 11112
"""Registered for DICOM."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificate and key of this node (PEM), and the authorities whose peers are let in."""

    certificate: Path
    key: Path
    authorities: Path | None = None

    def listening(self) -> ssl.SSLContext:
        """For incoming associations; with ``authorities`` the peer must show a certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.authorities)
        context.load_cert_chain(self.certificate, self.key)
        context.verify_mode = ssl.CERT_REQUIRED if self.authorities else ssl.CERT_NONE
        return context

    def calling(self) -> ssl.SSLContext:
        """For outgoing associations; the peer's certificate is always checked."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=self.authorities)
        context.load_cert_chain(self.certificate, self.key)
        return context


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Where to listen, and to whom."""

    host: str
    port: int
    ae_title: str = DEFAULT_AE_TITLE
    allowed: tuple[str, ...] = ()
    """AE titles that may call; at least one."""
    tls: Tls | None = None

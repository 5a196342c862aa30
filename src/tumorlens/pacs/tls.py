"""Certificates of the node, and those it trusts."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from tumorlens.text import reason_of


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificate and key of this node (PEM), and the authorities whose peers are let in."""

    certificate: Path
    key: Path
    authorities: Path | None = None

    def listening(self) -> ssl.SSLContext:
        """For incoming associations; with ``authorities`` the peer must show a certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.authorities)
        self._identify(context)
        context.verify_mode = ssl.CERT_REQUIRED if self.authorities else ssl.CERT_NONE
        return context

    def calling(self) -> ssl.SSLContext:
        """For outgoing associations; the peer's certificate is always checked."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=self.authorities)
        self._identify(context)
        return context

    def _identify(self, context: ssl.SSLContext) -> None:
        # With any password, or else OpenSSL asks the terminal for that of an encrypted key.
        context.load_cert_chain(self.certificate, self.key, password="")


def why(error: OSError) -> str:
    """What went wrong with a connection, in OpenSSL's or the system's words.

    They name no person: of a certificate they quote the rule it breaks, not its subject.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no handshake").lower().replace("_", " ")
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return reason_of(error)

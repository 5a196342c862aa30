"""A client for DICOMweb servers with the configured trust, whose errors say what went wrong."""

import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dicomweb_client import DICOMwebClient
from requests import HTTPError, PreparedRequest, RequestException, Response, Session
from requests.adapters import HTTPAdapter
from requests.exceptions import Timeout

from tumorlens.pacs.tls import Tls, why

TOKEN_VARIABLE: Final = "TUMORLENS_PACS_TOKEN"  # noqa: S105  (a name, not a token)
"""Environment variable with a bearer token for DICOMweb servers."""
CONNECT_S: Final = 10.0
"""Longest wait for a connection."""
SILENCE_S: Final = 60.0
"""Longest wait for the next bytes of an answer."""
DUPLICATE: Final = 0x0111
"""Failure reason of an object that is there already (PS3.7 C.4.2.1.3, PS3.18 table 10.5.3-1)."""
_FAILED_SEQUENCE: Final = "00081198"
_FAILURE_REASON: Final = "00081197"


@dataclass(frozen=True, slots=True)
class WebServer:
    """Address of a DICOMweb server, and how its identity is checked."""

    url: str
    tls: Tls | None = None
    """Our certificate, where the server asks for one."""
    authorities: Path | None = None
    """PEM file of those who may vouch for the server; None for ``tls.authorities``, or else for
    those that requests trusts."""

    @contextmanager
    def client(self) -> Iterator[DICOMwebClient]:
        """Open a client; it tries everything once."""
        with Session() as session:
            if self.tls is not None:
                session.cert = (str(self.tls.certificate), str(self.tls.key))
            trusted = self.authorities or (self.tls.authorities if self.tls else None)
            if trusted is not None:
                session.mount("https://", _Trusting(trusted))
            if token := os.environ.get(TOKEN_VARIABLE):
                session.headers["Authorization"] = f"Bearer {token}"
            client = DICOMwebClient(self.url, session=session, timeout=(CONNECT_S, SILENCE_S))
            client.set_http_retry_params(retry=False)  # it would hold up the queue, which retries
            yield client


class _Trusting(HTTPAdapter):
    """Trusts one file of authorities.

    Setting ``Session.verify`` is not enough: requests lets REQUESTS_CA_BUNDLE in the environment
    overrule it.
    """

    def __init__(self, authorities: Path) -> None:
        super().__init__()
        self._authorities = str(authorities)

    def send(
        self, request: PreparedRequest, stream: bool = False, timeout: Any = None,
        verify: bool | str = True, cert: Any = None, proxies: Mapping[str, str] | None = None,
    ) -> Response:  # fmt: skip
        """See ``HTTPAdapter``; ``verify`` is ignored."""
        del verify
        through = dict(proxies) if proxies else None
        return super().send(request, stream, timeout, self._authorities, cert, through)


def reason(error: Exception) -> str:
    """What went wrong in a few words; not the error's own, which quote addresses and queries."""
    if (tls_error := _tls_error(error)) is not None:
        return f"TLS ({why(tls_error)})"
    if isinstance(error, Timeout):
        return "no answer in time"
    if isinstance(error, HTTPError) and error.response is not None:
        return f"status {error.response.status_code}"
    if isinstance(error, RequestException):
        return "cannot be reached"
    return type(error).__name__


def is_duplicate(response: Response) -> bool:
    """Whether a server refuses objects (status 409) for being there already, all of them."""
    try:
        answer = response.json()
        codes = [failed[_FAILURE_REASON]["Value"] for failed in answer[_FAILED_SEQUENCE]["Value"]]
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    return bool(codes) and all(code == [DUPLICATE] for code in codes)


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    """OpenSSL's error, below those of urllib3 and requests."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error

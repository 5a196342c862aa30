"""Files out of a multipart body (RFC 7578), as it streams in.

Every limit is checked before the bytes that break it are kept, and nothing touches the disk: the
framework's own form parser would spool to temporary files. The syntax is python-multipart's work.
"""

import asyncio
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from tumorlens.server.admission import Ticket
from tumorlens.server.clients import gone
from tumorlens.server.problems import Problem, malformed, too_large
from tumorlens.server.settings import Limits

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD: Final = "files"
_MULTIPART: Final = b"multipart/form-data"
_SHOWN_NAME: Final = 50
_QUOTED: Final = re.compile(rb'"(?:\\.|[^"\\])*"')
_NAMED: Final = re.compile(rb";[ \t]*(name|filename)[ \t]*=", re.IGNORECASE)
"""The parameters of a part that are read."""
_CHARACTER_BYTES: Final = 4
"""Most bytes of a character in UTF-8."""
_HEADER_BYTES: Final = 1024
"""Longest header of a part, beside the name of the file."""
_AS_IT_IS: Final = frozenset({b"binary", b"8bit", b"7bit"})
"""Transfer encodings that change nothing (RFC 2045, 6.2)."""


class Upload(NamedTuple):
    """One file, as the client named it. The name is only ever repeated, never opened."""

    name: str
    data: bytes


async def receive(request: Request, limits: Limits, ticket: Ticket) -> list[Upload]:
    """Read the whole body; return its files in order.

    Raises ``Problem``: 400 for a damaged body, 408 for a slow one, 413 for too large or too many,
    415 for another content type, 503 where the server as a whole is full.
    """
    collector = _Collector(limits, ticket)
    parser = MultipartParser(_boundary(request), collector.callbacks())
    parser.max_header_size = limits.body_bytes  # the collector has a limit, with a reason
    _check_length(request, limits)
    size = 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limits.body_bytes:
                    raise _body_too_large(limits)
                parser.write(chunk)
        parser.finalize()
    except TimeoutError as error:
        raise Problem(
            HTTPStatus.REQUEST_TIMEOUT,
            "slow",
            f"the body did not arrive completely within {limits.body_seconds:g} seconds",
        ) from error
    except ClientDisconnect as error:
        raise gone() from error
    except FormParserError as error:
        raise malformed("the multipart body is damaged") from error
    if not collector.ended:
        raise malformed("the multipart body ends before its closing boundary")
    if not collector.files:
        raise malformed(f"no file in the field '{FIELD}'")
    return collector.files


def _boundary(request: Request) -> bytes:
    encodings = request.headers.getlist("content-encoding")
    if any(encoding.strip().lower() != "identity" for encoding in encodings):
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type",
            "the body is compressed (Content-Encoding); send it unencoded",
        )  # fmt: skip
    stated = request.headers.getlist("content-type") or [""]
    if len(stated) > 1:
        raise malformed("the request has several headers Content-Type")
    kind, options = parse_options_header(stated[0])
    if kind != _MULTIPART:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type",
            f"send multipart/form-data with the images in the field '{FIELD}'",
        )  # fmt: skip
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:  # RFC 2046, 5.1.1
        raise malformed("the content type has no boundary of 1 to 70 characters")
    return boundary


def _check_length(request: Request, limits: Limits) -> None:
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > limits.body_bytes:
        raise _body_too_large(limits)


def _body_too_large(limits: Limits) -> Problem:
    return too_large(f"a body of more than {limits.body_bytes:,} bytes")


class _Collector:
    """The parser's callbacks: they build ``files`` part by part."""

    def __init__(self, limits: Limits, ticket: Ticket) -> None:
        self._limits, self._ticket = limits, ticket
        self.files: list[Upload] = []
        self.ended = False
        self._field, self._value = bytearray(), bytearray()
        self._disposition = b""
        self._name = ""
        self._data = bytearray()

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda *chunk: self._grow(self._field, *chunk),
            "on_header_value": lambda *chunk: self._grow(self._value, *chunk),
            "on_header_end": self._header,
            "on_headers_finished": self._headers,
            "on_part_data": self._more,
            "on_part_end": self._finish,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._ticket.add_file()
        self._disposition = b""
        self._data = bytearray()

    def _grow(self, header: bytearray, data: bytes, start: int, end: int) -> None:
        header += memoryview(data)[start:end]
        limit = _HEADER_BYTES + _CHARACTER_BYTES * self._limits.name_characters
        if len(header) > limit:
            raise malformed(f"a header of a part has more than {limit:,} bytes")

    def _header(self) -> None:
        name, value = bytes(self._field).lower(), bytes(self._value)
        if name == b"content-disposition":
            if self._disposition:
                raise malformed("a part with several headers Content-Disposition")
            self._disposition = value
        elif name == b"content-transfer-encoding" and value.strip().lower() not in _AS_IT_IS:
            raise malformed("a part is encoded (Content-Transfer-Encoding); send it unencoded")
        self._field.clear()
        self._value.clear()

    def _headers(self) -> None:
        named = [name.lower() for name in _NAMED.findall(_QUOTED.sub(b"", self._disposition))]
        if len(set(named)) < len(named):
            raise malformed("a part whose name or filename is stated twice")
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if name != FIELD:
            raise malformed(
                f"the field {name[:_SHOWN_NAME]!r} is not known; send files in the field "
                f"'{FIELD}', and nothing else"
            )
        if not options.get(b"filename", b"").strip():
            raise malformed(self._nameless())
        self._name = options[b"filename"].decode("utf-8", "replace")
        if len(self._name) > self._limits.name_characters:
            raise malformed(f"a file name of more than {self._limits.name_characters} characters")

    def _nameless(self) -> str:
        if b"filename*" in self._disposition.lower():
            return (
                "a part with filename*, which multipart/form-data does not have (RFC 7578, 4.2); "
                "send filename, in UTF-8"
            )
        return f"a part of the field '{FIELD}' without a file name"

    def _more(self, data: bytes, start: int, end: int) -> None:
        self._ticket.hold(end - start)
        self._data += memoryview(data)[start:end]

    def _finish(self) -> None:
        self.files.append(Upload(self._name, bytes(self._data)))
        self._data = bytearray()

    def _end(self) -> None:
        self.ended = True

"""Errors as problem details, RFC 9457: one JSON form for whatever goes wrong."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 2
BUSY: Final = "busy"


class Problem(Exception):  # noqa: N818  (the word of RFC 9457)
    """Ends a request with ``status``; ``kind`` is a stable word for programs and metrics."""

    def __init__(
        self,
        status: HTTPStatus,
        kind: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        """``detail`` is for a person; ``more`` are extension members of the JSON object."""
        super().__init__(kind)
        self.status, self.kind, self.detail = status, kind, detail
        self.headers, self.more = dict(headers or {}), more

    def response(self) -> Response:
        """What the client gets."""
        content = {
            "type": f"urn:tumorlens:problem:{self.kind}",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": self.detail,
            **self.more,
        }
        body = json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace")
        return Response(body, self.status, self.headers, MEDIA_TYPE)


def busy(what: str) -> Problem:
    """The queue is full: come back a little later."""
    return _later(BUSY, f"the server is at its limit of {what}")


def no_worker() -> Problem:
    """There is no process that could answer."""
    return _later("no_worker", "the server cannot start a process for this request")


def stopped() -> Problem:
    """The server was told twice to end, or did not finish in time."""
    return _later("stopped", "the server was stopped before it had answered")


def no_room(why: str) -> Problem:
    """A study cannot be written to the disk; ``why`` is the system's word for it."""
    return Problem(
        HTTPStatus.INSUFFICIENT_STORAGE, "no_room",
        f"the study cannot be written to the temporary folder of the server ({why}); "
        "try again later",
    )  # fmt: skip


def _later(kind: str, detail: str) -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        kind,
        f"{detail}; try again in {RETRY_AFTER_SECONDS} seconds",
        {"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def too_large(detail: str) -> Problem:
    """The request is beyond a limit."""
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", detail)


def malformed(detail: str) -> Problem:
    """The request is not what the documentation asks for."""
    return Problem(HTTPStatus.BAD_REQUEST, "malformed", detail)


def install(app: FastAPI) -> None:
    """Have every error of ``app`` answered as a problem."""
    app.exception_handler(Problem)(_problem)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(RequestValidationError)(_validation_error)
    app.exception_handler(Exception)(_unexpected)


def _problem(request: Request, error: Problem) -> Response:
    request.scope["tumorlens.refusal"] = error.kind
    return error.response()


def _http_error(request: Request, error: HTTPException) -> Response:
    status = HTTPStatus(error.status_code)
    kind = status.phrase.lower().replace(" ", "_")
    return _problem(request, Problem(status, kind, str(error.detail), error.headers))


def _validation_error(request: Request, error: RequestValidationError) -> Response:
    faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
    problem = Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_parameter", "; ".join(faults))
    return _problem(request, problem)


def _unexpected(request: Request, _: Exception) -> Response:
    """Reveal nothing of the error; the log has its type and place."""
    return _problem(
        request, Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "an internal error")
    )

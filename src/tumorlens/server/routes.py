"""The routes: what goes in and out over HTTP."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from tumorlens.labels import RESEARCH_NOTICE
from tumorlens.server import metrics, schemas, tasks, uploads
from tumorlens.server.clients import turn_of, unless_gone
from tumorlens.server.predictor import HeatmapMode
from tumorlens.server.problems import MEDIA_TYPE, Problem
from tumorlens.server.state import State
from tumorlens.server.tasks import EncodedRecord

_PROBLEMS: Final = {
    400: "The request is malformed.",
    401: "A bearer token is needed.",
    403: "The request comes from a web page of another site.",
    408: "The body took too long to arrive.",
    413: "The body is too large, or has too many files.",
    415: "The body is not multipart/form-data.",
    422: "A parameter is wrong.",
    503: "The server is at its limit; see Retry-After.",
    507: "The disk of the server has no room for the study.",
}
FILES_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [uploads.FIELD],
                "additionalProperties": False,
                "properties": {
                    uploads.FIELD: {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "string", "format": "binary"},
                        "description": "One part with a file name for each file.",
                    }
                },
            }
        }
    },
}
_NOT_ONE: Final = "None of the files could be used (each record says why), or a parameter is wrong."
_SHOWN_NAME: Final = 50
api = APIRouter()


def problems(*statuses: int, unprocessable: str = "") -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route that may end in ``statuses``; ``unprocessable`` explains 422."""
    schema = schemas.Problem.model_json_schema()
    words = _PROBLEMS | ({422: unprocessable} if unprocessable else {})
    return {
        status: {"description": words[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def _check_query(request: Request) -> None:
    """Refuse a parameter that is not known or comes twice: one of its values would be ignored."""
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    for name, _ in request.query_params.multi_items():
        if name not in known:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_parameter",
                f"query: {name[:_SHOWN_NAME]!r} is unknown, or was given twice",
            )  # fmt: skip
        known.remove(name)


@api.post(
    "/v1/predictions",
    response_model=schemas.Predictions,
    responses=problems(400, 401, 403, 408, 413, 415, 422, 503, unprocessable=_NOT_ONE),
    openapi_extra={"requestBody": FILES_BODY},
    dependencies=[Depends(_check_query)],
    tags=["classify"],
    summary="Classify images",
    response_description="One record for each file; at least one has an answer.",
)
async def predictions(
    request: Request,
    heatmap: Annotated[
        HeatmapMode, Query(description="`1`: with map and overlay PNG; `grid`: without the PNG.")
    ] = "0",
    preview: Annotated[bool, Query(description="Add the decoded image as 16-bit PNG.")] = False,
) -> Response:
    """Classify one or many files, in any format that `tumorlens predict` reads.

    Each file gets a record: an answer, or an error. The status is 200 if at least one file got an
    answer. Otherwise it is 422, and the records are in the member `predictions` of the problem.
    """
    state: State = request.app.state.tumorlens
    with state.admission.ticket() as ticket:
        files = await uploads.receive(request, state.settings.limits, ticket)
        working = state.predictor.records(
            files, ticket, turn_of(request), heatmap=heatmap, preview=preview
        )
        records = await unless_gone(request, working)
    if all(record.failed for record in records):
        raise _no_usable_file(records, f"none of {len(records)} files")
    return _records(records)


@api.post(
    "/v1/studies",
    response_model=schemas.StudyAnswers,
    responses=problems(400, 401, 403, 408, 413, 415, 422, 503, 507, unprocessable=_NOT_ONE),
    openapi_extra={"requestBody": FILES_BODY},
    dependencies=[Depends(_check_query)],
    tags=["classify"],
    summary="Classify a study",
    response_description="One record for each series, volume or image.",
)
async def study(request: Request) -> Response:
    """Classify a zip archive, or many files, as one study.

    DICOM files are grouped into series; each series or volume gets an answer for each slice and
    one for the whole, like `tumorlens predict FOLDER`. While it is read, the study is stored in
    a temporary folder that only the server's user can open.
    """
    state: State = request.app.state.tumorlens
    with state.admission.study_ticket() as ticket:
        files = await uploads.receive(request, state.settings.limits, ticket)
        working = state.predictor.study(files, ticket, turn_of(request))
        records, skipped = await unless_gone(request, working)
    if all(record.failed for record in records):
        nothing = f"none of {len(records)} inputs" if records else "no image among the files"
        raise _no_usable_file(records, nothing)
    return _records(records, skipped=skipped)


@api.get(
    "/v1/models",
    response_model=schemas.Models,
    responses=problems(400, 401, 403),
    tags=["classify"],
    summary="The model in use",
    response_description="The model, its cost and its measurements.",
)
async def models(request: Request) -> Response:
    """The model, its cost and its measurements."""
    state: State = request.app.state.tumorlens
    return _json(state.models())


@api.get(
    "/healthz",
    response_model=schemas.Health,
    responses=problems(400),
    tags=["operate"],
    summary="Check that the process is alive",
    response_description="The process is alive.",
)
async def healthz() -> Response:
    """The status is 200 as long as the process responds."""
    return _json({"status": "ok"})


@api.get(
    "/readyz",
    response_model=schemas.Health,
    responses=problems(400, 503),
    tags=["operate"],
    summary="Check that the server accepts work",
    response_description="The server accepts work.",
)
async def readyz(request: Request) -> Response:
    """The status is 200 if the model is loaded and the queue has room, otherwise 503."""
    state: State = request.app.state.tumorlens
    state.admission.check()
    return _json({"status": "ready"})


@api.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {
            "description": "Metrics in the Prometheus text format.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **problems(400, 401, 403),
    },
    tags=["operate"],
    summary="Metrics for Prometheus",
)
async def prometheus(request: Request) -> Response:
    """Requests, latency, queue, refusals by reason, images by outcome, workers."""
    state: State = request.app.state.tumorlens
    state.metrics.queue.set(state.admission.images)
    state.metrics.queue_bytes.set(state.admission.bytes)
    state.metrics.workers.set(len(state.predictor.pool.pids))
    text = await run_in_threadpool(state.metrics.exposition)
    return Response(text, media_type=metrics.MEDIA_TYPE)


def _no_usable_file(encoded: Sequence[EncodedRecord], otherwise: str) -> Problem:
    """What is wrong with the one file, or ``otherwise``; the records say it of each."""
    records = [record.record() for record in encoded]
    detail = records[0]["error"]["message"] if len(records) == 1 else otherwise
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, "no_usable_file", detail, predictions=records
    )  # fmt: skip


def _records(records: Sequence[EncodedRecord], **more: Any) -> Response:
    """The records as the workers wrote them, unread."""
    rest = tasks.to_json({**more, "notice": RESEARCH_NOTICE})
    body = b'{"predictions": [' + b", ".join(record.json for record in records) + b"], " + rest[1:]
    return Response(body, media_type="application/json")


def _json(content: dict[str, Any]) -> Response:
    return Response(tasks.to_json(content), media_type="application/json")

"""The page, its files, and the documentation of the interface, with no script but our own."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response

from tumorlens.reporting import html
from tumorlens.server.site import INDEX, Asset

_EXAMPLE_FILES = {"/v1/predictions": ["a.png", "b.dcm"], "/v1/studies": ["study.zip"]}


def router(site: Mapping[str, Asset]) -> APIRouter:
    """Routes for ``/`` and each file of ``site``."""
    routes = APIRouter(include_in_schema=False)

    async def page(request: Request) -> Response:
        name = request.scope["route"].path.removeprefix("/") or INDEX
        return _answer(request, site[name])

    for name in site:
        routes.add_api_route("/" if name == INDEX else f"/{name}", page)
    return routes


def add_docs(app: FastAPI) -> None:
    """Add ``/docs``: the OpenAPI document as a plain page."""

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        page = html.render("api.html", api=app.openapi(), operations=_operations(app))
        return Response(page, media_type="text/html; charset=utf-8")


def _operations(app: FastAPI) -> list[dict[str, Any]]:
    return [
        {
            "path": path,
            "method": method.upper(),
            "example_files": _EXAMPLE_FILES.get(path, []),
            **operation,
        }
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
    ]


def _answer(request: Request, asset: Asset) -> Response:
    headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}
    if asset.gzipped:
        headers["Vary"] = "Accept-Encoding"
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    body = asset.body
    if asset.gzipped and _takes_gzip(request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
    elif asset.gzipped:
        body = asset.plain()
    return Response(body, headers=headers, media_type=asset.media_type)


def _takes_gzip(accepted: str) -> bool:
    """Whether an ``Accept-Encoding`` names gzip with a weight that is not 0 (RFC 9110, 12.5.3)."""
    codings = (coding.partition(";") for coding in accepted.lower().split(","))
    weights = {name.strip(): weight.strip() for name, _, weight in codings}
    return weights.get("gzip", "q=0").strip("0.") != "q="

"""The application: routes, life cycle, documentation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI
from starlette.types import ASGIApp

import tumorlens
from tumorlens.bundle import load
from tumorlens.labels import RESEARCH_NOTICE
from tumorlens.server import pages, problems, routes, schemas, scratch, site
from tumorlens.server.admission import AdmissionControl
from tumorlens.server.guard import Guard
from tumorlens.server.metrics import Metrics
from tumorlens.server.predictor import Predictor
from tumorlens.server.settings import Settings
from tumorlens.server.state import State

_DESCRIPTION: Final = f"Classifies brain MRI slices. {RESEARCH_NOTICE}"


class _Application(FastAPI):
    """Whose OpenAPI document takes the records' schemas from their definition."""

    def openapi(self) -> dict[str, Any]:
        """The document, made once."""
        document = super().openapi()
        document["components"]["schemas"].update(schemas.record_components())
        return document


def create_app(settings: Settings) -> ASGIApp:
    """Load the bundle and build the server; raise ``BundleError`` where that cannot be used."""
    metrics = Metrics()
    bundle = load(settings.bundle)
    scratch.sweep()
    predictor = Predictor(bundle, settings, metrics)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            predictor.close()

    app = _Application(
        title="tumorlens",
        version=tumorlens.__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=life,
    )
    app.state.tumorlens = State(settings, metrics, AdmissionControl(settings.limits), predictor)
    problems.install(app)
    app.include_router(routes.api)
    app.include_router(pages.router(site.assets(bundle)))
    pages.add_docs(app)
    return Guard(app, settings, metrics)

"""Archives that remember what they were sent: one by C-STORE, one by STOW-RS. Both on loopback."""

import gc
import io
import ssl
import threading
from typing import Any

import uvicorn
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, events, evt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.pacs.machines import free_port, until

from tumorlens.imaging.dicom.classes import EXPLICIT_LITTLE_ENDIAN
from tumorlens.pacs.tls import Tls

CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
REPORT = "1.2.840.10008.5.1.4.1.1.88.34"
_OUT_OF_RESOURCES = 0xA700


class Archive:
    """A DICOM node that can go down and come up again, and may refuse kinds of objects."""

    def __init__(self) -> None:
        self.port = free_port()
        self.address = f"ARCHIVE@127.0.0.1:{self.port}"
        self.uids: list[str] = []
        self.reports: list[Dataset] = []
        self.asked: list[str] = []
        self.refuses: set[str] = set()
        self.aborts: set[str] = set()
        """Kinds at which it breaks off the association."""
        self.status = 0
        """The answer to what it does not refuse."""
        self.kinds = [CAPTURE, REPORT]
        self._server: Any = None
        self._before = set[threading.Thread]()

    def start(self) -> None:
        self._before = set(threading.enumerate())
        entity = AE("ARCHIVE")
        for kind in self.kinds:
            entity.add_supported_context(kind, EXPLICIT_LITTLE_ENDIAN)
        handlers: Any = [(evt.EVT_C_STORE, self._store)]
        address = ("127.0.0.1", self.port)
        self._server = entity.start_server(address, block=False, evt_handlers=handlers)

    def stop(self) -> None:
        if self._server is None:
            return
        self._server.shutdown()
        self._server = None
        for thread in set(threading.enumerate()) - self._before:
            thread.join(60)
        gc.collect()  # of sockets that the peer has closed pynetdicom only lets go

    def _store(self, event: events.Event) -> int:
        kind, uid = (
            str(getattr(event.request, f"AffectedSOP{which}UID")) for which in ("Class", "Instance")
        )
        self.asked.append(uid)
        if kind in self.aborts:
            event.assoc.abort()
        if kind in self.refuses | self.aborts:
            return _OUT_OF_RESOURCES
        self.uids.append(uid)
        if kind == REPORT:
            self.reports.append(event.dataset)
        return self.status


class WebArchive:
    """The storing part of a DICOMweb server, with or without TLS; it answers with ``status``."""

    def __init__(self, tls: Tls | None = None) -> None:
        self.uids: list[str] = []
        self.status, self.answer = 200, dict[str, Any]()
        port = free_port()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{port}"
        secured: dict[str, Any] = {}
        if tls:
            secured = {"ssl_certfile": tls.certificate, "ssl_keyfile": tls.key}
            if tls.authorities:
                asking = {"ssl_ca_certs": str(tls.authorities), "ssl_cert_reqs": ssl.CERT_REQUIRED}
                secured |= asking
        app = Starlette(routes=[Route("/studies", self._store, methods=["POST"])])
        self._server = uvicorn.Server(
            uvicorn.Config(app, port=port, log_level="critical", lifespan="off", **secured)
        )
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        until(lambda: self._server.started)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    async def _store(self, request: Request) -> Response:
        body = await request.body()
        if self.status == 200:
            file = io.BytesIO(body[body.index(b"DICM") - 128 :])
            self.uids.append(str(dcmread(file, stop_before_pixels=True).SOPInstanceUID))
        return JSONResponse(self.answer, self.status, media_type="application/dicom+json")

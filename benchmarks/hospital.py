"""A simulated hospital on loopback: a study of a synthetic head, a sender, an archive."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from benchmarks import dicom
from pydicom.uid import MRImageStorage, generate_uid
from pynetdicom import AE, events, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    Comprehensive3DSRStorage,
    SecondaryCaptureImageStorage,
    Verification,
)

from tumorlens.demo.phantoms import Patient

TITLE: Final = "HOSPITAL"
_SLICES: Final = 24
_SPACING_MM: Final = 5
_KINDS: Final = {
    str(Comprehensive3DSRStorage): "a structured report",
    str(SecondaryCaptureImageStorage): "an overlay",
}


def study(folder: Path) -> list[Path]:
    """Write an axial MR series of a synthetic patient with a glioma."""
    random = np.random.default_rng([3, 0])
    patient = Patient.draw(random, "glioma")
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    files = []
    for number, height in enumerate(np.linspace(-0.35, 0.35, _SLICES), start=1):
        files.append(folder / f"{number:02d}.dcm")
        pixels = patient.slice(random, float(height)).pixels
        names = uids | {"SOPInstanceUID": generate_uid(), "PatientName": "SYNTHETIC"}
        dicom.write(files[-1], pixels, number=number, slice_mm=_SPACING_MM, values=names)
    return files


@contextmanager
def archive() -> Iterator[tuple[str, list[str]]]:
    """Where the archive is, as ``--send-to`` takes it, and what it was sent."""
    received: list[str] = []

    def keep(event: events.Event) -> int:
        received.append(_KINDS[str(event.request.AffectedSOPClassUID)])
        return 0

    entity = AE(TITLE)
    for kind in _KINDS:
        entity.add_supported_context(kind)
    handlers: Any = [(evt.EVT_C_STORE, keep)]
    server: Any = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield f"{TITLE}@127.0.0.1:{server.socket.getsockname()[1]}", received
    finally:
        server.shutdown()


def send(files: list[Path], port: int) -> None:
    """Echo, then store everything on our node; raise ``RuntimeError`` where it refuses."""
    entity = AE(TITLE)
    entity.add_requested_context(Verification)
    entity.add_requested_context(MRImageStorage)
    association = entity.associate("127.0.0.1", port, ae_title="TUMORLENS")
    if not association.is_established:
        raise RuntimeError("the node lets nobody in")
    answers = [association.send_c_echo(), *(association.send_c_store(path) for path in files)]
    association.release()
    if any(answer.Status != 0 for answer in answers):
        raise RuntimeError("the node refused an image")


def wait(condition: Callable[[], bool], seconds: float = 300.0) -> None:
    """Until it holds; raise ``TimeoutError``."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("waited in vain")
        time.sleep(0.05)

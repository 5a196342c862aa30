"""What stands in for a hospital: a study of a synthetic head, a sender, an archive. On loopback."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pynetdicom import AE, events, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    Comprehensive3DSRStorage,
    SecondaryCaptureImageStorage,
    Verification,
)

from tumorlens.datasets.phantoms import Patient

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
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        pixels = patient.slice(random, float(height)).pixels
        values: dict[str, Any] = uids | {
            "SOPClassUID": MRImageStorage, "SOPInstanceUID": generate_uid(), "Modality": "MR",
            "PatientName": "SYNTHETIC", "PatientID": "1", "InstanceNumber": number,
            "PixelSpacing": [1, 1], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "ImagePositionPatient": [0, 0, number * _SPACING_MM],
            "Rows": pixels.shape[0], "Columns": pixels.shape[1], "SamplesPerPixel": 1,
            "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0,
            "PhotometricInterpretation": "MONOCHROME2",
        }  # fmt: skip
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        dataset.add_new("PixelData", "OB", pixels.tobytes())
        files.append(folder / f"{number:02d}.dcm")
        dataset.save_as(files[-1], enforce_file_format=True)
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

"""Answers as DICOM files, two a series: the report and the overlay."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tumorlens.inference.stream import Watch
    from tumorlens.inference.volume import Answered


def writer(folder: Path) -> "Watch":
    """Return what writes the objects of each DICOM series below ``folder``.

    Files are named by their SOP Instance UID, so a second run over the same files with the same
    model replaces what the first one wrote. What is not DICOM gets none.
    """
    from tumorlens.reporting.dicom_answer import dicom_answer, is_dicom

    folder.mkdir(parents=True, exist_ok=True)

    def write(answered: "Answered") -> None:
        if is_dicom(answered.image):
            for made in dicom_answer(answered):
                (folder / f"{made.sop_instance_uid}.dcm").write_bytes(made.data)

    return write

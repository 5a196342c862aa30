"""Answers as DICOM files, two a series: the report and the overlay."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tumorlens.imaging.image import MedicalImage
    from tumorlens.inference.classifier import Classifier
    from tumorlens.inference.record import ImageAnswer
    from tumorlens.inference.stream import Watch


def writer(classifier: "Classifier", folder: Path) -> "Watch":
    """Return what writes the objects of each DICOM series below ``folder``.

    Files are named by their SOP Instance UID, so a second run over the same files with the same
    model replaces what the first one wrote. What is not DICOM gets none.
    """
    from tumorlens.reporting.dicom_answer import dicom_answer, is_dicom

    folder.mkdir(parents=True, exist_ok=True)

    def write(image: "MedicalImage", answer: "ImageAnswer") -> None:
        if is_dicom(image):
            for made in dicom_answer(classifier, image, answer):
                (folder / f"{made.sop_instance_uid}.dcm").write_bytes(made.data)

    return write

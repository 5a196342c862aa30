"""``tumorlens predict --html``: everything that was answered, as one file for people."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tumorlens.imaging.image import MedicalImage
    from tumorlens.inference.classifier import Classifier, Prediction
    from tumorlens.inference.study_report import Entry
    from tumorlens.inference.volume import Result, VolumePrediction


class StudyFile:
    """Gathers an entry for each answer as it goes by, and writes the report at the end."""

    def __init__(self, path: Path, classifier: "Classifier") -> None:
        self._path = path
        self._classifier = classifier
        self._entries: list[Entry] = []
        self._drawn: Entry | None = None

    def watch(self, image: "MedicalImage", answer: "Prediction | VolumePrediction") -> None:
        """Draw what is at hand just before its answer comes: volumes, DICOM, archives."""
        self._drawn = self._entry(answer, image)

    def passing(self, results: "Iterator[Result]") -> "Iterator[Result]":
        """Pass ``results`` on."""
        from tumorlens.imaging import reader
        from tumorlens.inference.classifier import Failure

        for result in results:
            drawn, self._drawn = self._drawn, None
            if drawn is None:
                # Read a second time, so that memory does not grow with the batch.
                image = None if isinstance(result, Failure) else reader.read(result.path)
                drawn = self._entry(result, image)
            self._entries.append(drawn)
            yield result

    def _entry(self, result: "Result", image: "MedicalImage | None") -> "Entry":
        from tumorlens.inference.study_report import PICTURED, entry

        pictured = len(self._entries) < PICTURED
        return entry(self._classifier, result, image, pictured=pictured)

    def finish(self) -> None:
        """Write the file."""
        from datetime import UTC, datetime

        from tumorlens.inference import study_report

        info = self._classifier.bundle.info
        study_report.write(self._path, self._entries, info, datetime.now(UTC))

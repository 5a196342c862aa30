"""``tumorlens predict --html``: everything that was answered, as one file for people."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tumorlens.imaging.image import MedicalImage
    from tumorlens.inference.classifier import Classifier
    from tumorlens.inference.record import ImageAnswer, Result
    from tumorlens.reporting.study_report import Entry


class StudyFile:
    """Gathers an entry for each answer as it goes by, and writes the report at the end."""

    def __init__(self, path: Path, classifier: "Classifier") -> None:
        self._path = path
        self._classifier = classifier
        self._entries: list[Entry] = []
        self._drawn: dict[int, Entry] = {}
        self._pictured = 0

    def watch(self, image: "MedicalImage", answer: "ImageAnswer") -> None:
        """Draw what is at hand just before its answer comes."""
        # By identity: a study's answers are kept until all of them are there.
        self._drawn[id(answer)] = self._entry(answer, image)

    def passing(self, results: "Iterator[Result]") -> "Iterator[Result]":
        """Pass ``results`` on, which ``watch`` was shown as ``predict_inputs`` does."""
        for result in results:
            drawn = self._drawn.pop(id(result), None)
            self._entries.append(drawn or self._entry(result, None))
            yield result

    def _entry(self, result: "Result", image: "MedicalImage | None") -> "Entry":
        from tumorlens.reporting.study_report import PICTURED, entry

        pictured = image is not None and self._pictured < PICTURED
        self._pictured += pictured
        return entry(self._classifier, result, image, pictured=pictured)

    def finish(self) -> None:
        """Write the file."""
        from datetime import UTC, datetime

        from tumorlens.reporting import study_report

        info = self._classifier.bundle.info
        study_report.write(self._path, self._entries, info, datetime.now(UTC))

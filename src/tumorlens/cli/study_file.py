"""``tumorlens predict --html``: everything that was answered, as one file for people."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tumorlens.bundle import BundleInfo
    from tumorlens.inference.record import Result
    from tumorlens.inference.volume import Answered
    from tumorlens.reporting.study_report import Entry


class StudyFile:
    """Gathers an entry for each answer as it goes by, and writes the report at the end."""

    def __init__(self, path: Path, info: "BundleInfo") -> None:
        self._path = path
        self._info = info
        self._entries: list[Entry] = []
        self._drawn: dict[int, Entry] = {}
        self._pictured = 0

    def watch(self, answered: "Answered") -> None:
        """Draw what is at hand just before its answer comes."""
        # By identity: a study's answers are kept until all of them are there.
        self._drawn[id(answered.answer)] = self._entry(answered.answer, answered)

    def pass_through(self, results: "Iterator[Result]") -> "Iterator[Result]":
        """Pass ``results`` on, which ``watch`` was shown as ``predict_inputs`` does."""
        for result in results:
            drawn = self._drawn.pop(id(result), None)
            self._entries.append(drawn or self._entry(result, None))
            yield result

    def _entry(self, result: "Result", answered: "Answered | None") -> "Entry":
        from tumorlens.reporting.study_report import PICTURED, entry

        pictured = answered is not None and self._pictured < PICTURED
        self._pictured += pictured
        return entry(result, answered, pictured=pictured)

    def finish(self) -> None:
        """Write the file."""
        from datetime import UTC, datetime

        from tumorlens.reporting import study_report

        study_report.write(self._path, self._entries, self._info, datetime.now(UTC))

"""What ``tumorlens predict`` writes beside the answers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from tumorlens.inference.classifier import Classifier
    from tumorlens.inference.record import Result
    from tumorlens.inference.stream import Watch
    from tumorlens.inference.volume import Answered

    Passing = Callable[[Iterator[Result]], Iterator[Result]]


class Extras:
    """Is shown images as they are answered, and sees all results pass."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        """For ``predict_inputs``."""
        self.finish: Callable[[], None] = lambda: None
        """To be called when all results have passed."""
        self._watches: list[Watch] = []
        self._passing: list[Passing] = []

    @classmethod
    def wanted(
        cls, classifier: "Classifier", heatmaps: Path | None, html: Path | None,
        dicom: Path | None, maps: Path | None = None,
    ) -> Self:  # fmt: skip
        """Those that are asked for: a folder for each, or a file."""
        extras = cls()
        if heatmaps is not None:
            from tumorlens.cli.heatmaps import HeatmapFiles

            files = HeatmapFiles(heatmaps)
            extras.add(files.watch, files.pass_through, explain=True)
        if html is not None:
            from tumorlens.cli.study_file import StudyFile

            study = StudyFile(html, classifier.bundle.info)
            extras.add(study.watch, study.pass_through, explain=True)
            extras.finish = study.finish
        if dicom is not None:
            from tumorlens.cli.dicom_files import writer

            extras.add(writer(dicom))
        if maps is not None:
            from tumorlens.cli import attention_files

            extras.add(attention_files.writer(maps))
        return extras

    def add(
        self, watch: "Watch", passing: "Passing | None" = None, *, explain: bool = False
    ) -> None:
        """Take one more; with ``explain`` it needs heatmaps."""
        self._watches.append(watch)
        self._passing += [passing] if passing else []
        self.settings["watch"] = self._watch
        self.settings["explain"] = explain or self.settings.get("explain", False)

    def pass_through(self, results: "Iterator[Result]") -> "Iterator[Result]":
        """Pass ``results`` on through all that wants to see them."""
        for one in self._passing:
            results = one(results)
        return results

    def _watch(self, answered: "Answered") -> None:
        for watch in self._watches:
            watch(answered)

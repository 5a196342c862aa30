"""Heatmaps as files, one beside each answer."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tumorlens.imaging.image import MedicalImage
    from tumorlens.inference.classifier import Prediction
    from tumorlens.inference.volume import Result, VolumePrediction

_ODD: Final = re.compile(r"[^\w.-]+")
_LONGEST_STEM: Final = 80


class HeatmapFiles:
    """Writes the heatmap of each answer below a folder as it goes by.

    Of a volume the one of its finding's middle slice. Files are named ``NUMBER-NAME.png``, by the
    place in the list of inputs.
    """

    def __init__(self, folder: Path) -> None:
        """Make ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._drawn: bytes | None = None

    def watch(self, image: "MedicalImage", answer: "Prediction | VolumePrediction") -> None:
        """Draw what is at hand just before its answer comes: volumes, DICOM, archives."""
        self._drawn = _overlay(image, answer)

    def passing(self, results: Iterator["Result"]) -> Iterator["Result"]:
        """Pass ``results`` on, which ``watch`` was shown as ``predict_inputs`` does.

        A picture that it was not shown is read a second time, so that the memory needed does not
        grow with the batch.
        """
        from tumorlens.imaging import reader
        from tumorlens.inference.classifier import Failure

        for number, result in enumerate(results, start=1):
            drawn, self._drawn = self._drawn, None
            if drawn is None and not isinstance(result, Failure) and result.heatmap is not None:
                drawn = _overlay(reader.read(result.path), result)
            if drawn is not None:
                stem = _ODD.sub("_", Path(result.path).stem)[:_LONGEST_STEM]
                (self._folder / f"{number:05d}-{stem}.png").write_bytes(drawn)
            yield result


def _overlay(image: "MedicalImage", answer: "Prediction | VolumePrediction") -> bytes | None:
    from tumorlens.inference.explanation import overlay
    from tumorlens.inference.volume import VolumePrediction, slice_of

    if answer.heatmap is None:
        return None
    shown = image
    if isinstance(answer, VolumePrediction) and answer.finding is not None:
        shown = slice_of(image, answer.finding.middle)
    return overlay(shown, answer.heatmap, image.facts)

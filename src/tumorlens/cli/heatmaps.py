"""Heatmaps as files, one beside each answer."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tumorlens.inference.record import Result
    from tumorlens.inference.volume import Answered

_ODD: Final = re.compile(r"[^\w.-]+")
_LONGEST_STEM: Final = 80


def safe_stem(path: str) -> str:
    """The name of an input without its suffixes, for a file that is named after it."""
    return _ODD.sub("_", Path(path).stem.removesuffix(".nii"))[:_LONGEST_STEM]


class HeatmapFiles:
    """Writes a picture of each answer below a folder as it goes by.

    Of a volume the slice that decides. A tumour, or what is uncertain, has the map of where the
    network sees tumour; no tumour has none. Files are named ``NUMBER-NAME.png``, by the place in
    the list of inputs.
    """

    def __init__(self, folder: Path) -> None:
        """Make ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._drawn: dict[int, bytes | None] = {}

    def watch(self, answered: "Answered") -> None:
        """Draw what is at hand just before its answer comes."""
        from tumorlens.reporting.pictures import picture_of

        # By identity: a study's answers are kept until all of them are there.
        self._drawn[id(answered.answer)] = picture_of(answered.image, answered.answer)

    def pass_through(self, results: Iterator["Result"]) -> Iterator["Result"]:
        """Pass ``results`` on, which ``watch`` was shown as ``predict_inputs`` does."""
        for number, result in enumerate(results, start=1):
            drawn = self._drawn.pop(id(result), None)
            if drawn is not None:
                stem = safe_stem(result.path)
                (self._folder / f"{number:05d}-{stem}.png").write_bytes(drawn)
            yield result

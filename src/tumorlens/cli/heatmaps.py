"""Heatmaps as files, one beside each answer."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tumorlens.inference.classifier import Prediction
    from tumorlens.inference.volume import Result

_ODD: Final = re.compile(r"[^\w.-]+")
_LONGEST_STEM: Final = 80


def write_heatmaps(results: Iterator["Result"], folder: Path) -> Iterator["Result"]:
    """Pass ``results`` on, and write each one's heatmap below ``folder`` as it goes by.

    A picture is read a second time for it, so that the memory needed does not grow with the
    batch. Files are named ``NUMBER-NAME.png``, by the place in the list of inputs.
    """
    from tumorlens.inference.classifier import Prediction

    folder.mkdir(parents=True, exist_ok=True)
    for number, result in enumerate(results, start=1):
        if isinstance(result, Prediction) and result.heatmap is not None:
            stem = _ODD.sub("_", Path(result.path).stem)[:_LONGEST_STEM]
            (folder / f"{number:05d}-{stem}.png").write_bytes(_overlay(result))
        yield result


def _overlay(result: "Prediction") -> bytes:
    from tumorlens.imaging import reader
    from tumorlens.inference.explanation import overlay

    if result.heatmap is None:
        raise ValueError(f"{result.path} has no heatmap")
    return overlay(reader.read(result.path), result.heatmap)

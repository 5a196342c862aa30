"""Series that have fallen into single slices, because each has a SeriesInstanceUID of its own.

Anonymisers and old exporters do that. Answered one by one, slices of a tumour patient that show no
tumour would each be a confident answer of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from tumorlens.imaging.dicom.header import Header
from tumorlens.imaging.slice_ordering import split

NOTE: Final = (
    "each slice is a series of its own by its UID; they are joined by patient, series number and "
    "position"
)
_FEWEST: Final = 3
_REGULAR: Final = 0.8
"""Part of the distances that must be the usual one, for single slices to be one volume."""
_SAME_DISTANCE: Final = 0.1


def joined(series: Mapping[str, list[Header]]) -> list[list[Header]]:
    """The series as they are, but single slices that belong together as one."""
    kept = [headers for headers in series.values() if not _is_single(headers)]
    groups: dict[tuple[str, tuple[int, int]], list[Header]] = {}
    for headers in series.values():
        if _is_single(headers):
            header = headers[0]
            groups.setdefault((header.siblings, header.frames[0].shape), []).append(header)
    for group in groups.values():
        if _is_one_series(group):
            kept.append([_noted(header) for header in group])
        else:
            kept += [[header] for header in group]
    return kept


def _is_single(headers: Sequence[Header]) -> bool:
    return len(headers) == 1 and len(headers[0].frames) == 1


def _is_one_series(headers: Sequence[Header]) -> bool:
    """Whether single slices are one series: of one study or one each, regularly spaced."""
    if len(headers) < _FEWEST or headers[0].facts.series_number is None:
        return False
    studies = {header.facts.study_instance_uid for header in headers}
    if len(studies) not in (1, len(headers)):
        return False
    frames = [header.frames[0] for header in headers]
    if not all(frame.placed for frame in frames):
        # Their numbers alone must do, which are those of a series only within a study.
        return len(studies) == 1 and not any(frame.placed for frame in frames)
    largest = split(frames)[0]
    along = [frame.place.along_mm for frame in largest.frames if frame.place.along_mm is not None]
    distances, usual = np.diff(along), largest.slice_spacing_mm
    if usual is None or len(largest.frames) < _FEWEST:
        return False
    return bool((np.abs(distances - usual) <= _SAME_DISTANCE * usual).mean() >= _REGULAR)


def _noted(header: Header) -> Header:
    frames = tuple(
        msgspec.structs.replace(frame, notes=(NOTE, *frame.notes)) for frame in header.frames
    )
    return msgspec.structs.replace(header, frames=frames)

"""Files whose series UIDs contradict the rest of their headers.

Anonymisers and old exporters give each slice a series of its own, or one UID to all series.
Answered one by one, slices of a tumour patient that show no tumour would each give a confident
answer; taken together, slices of several patients would give an answer about nobody.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec
import numpy as np

from tumorlens.imaging.dicom.header import Header
from tumorlens.imaging.geometry.contrasts import is_even
from tumorlens.imaging.geometry.slice_ordering import split

NOTE: Final = (
    "each slice has its own series UID; they are joined by patient, series number and position"
)
PARTS_NOTE: Final = (
    "the slices have several series UIDs; they are joined by patient, series number and position"
)
APART_NOTE: Final = (
    "files of several patients or studies have this series UID; each is treated as a separate "
    "series"
)
_FEWEST: Final = 3
_FEWEST_OF_A_STUDY: Final = 2
"""Files of a study within one series UID, from which they are a series of that study."""

_Files = list[Header]
_Key = tuple[object, ...]


def apart(headers: _Files) -> list[_Files]:
    """The files of one series UID, by patient and study: a series belongs to one of each."""
    parts = _by(headers, lambda header: header.facts.patient or "", fewest=1)
    for index in range(len(headers[0].examination)):
        at = partial(_of_examination, index)
        parts = [part for files in parts for part in _by(files, at, _FEWEST_OF_A_STUDY)]
    if len(parts) == 1:
        return parts
    return [[_noted(header, APART_NOTE) for header in part] for part in parts]


def _of_examination(index: int, header: Header) -> str:
    return header.examination[index]


def _by(headers: _Files, stated: Callable[[Header], str], fewest: int) -> list[_Files]:
    """By the value that they state, unless fewer than two values have ``fewest`` files each.

    Files that state none join the first group.
    """
    groups: dict[str, _Files] = {}
    for header in headers:
        groups.setdefault(stated(header), []).append(header)
    unnamed = groups.pop("", [])
    if sum(len(files) >= fewest for files in groups.values()) < 2:
        return [headers]
    first, *others = groups.values()
    return [[*first, *unnamed], *others]


def joined(series: Sequence[_Files]) -> list[_Files]:
    """The series as they are, with parts that belong to one series joined."""
    return _joined_by(_unnumbered, _joined_by(_numbered, series))


def _joined_by(key_of: Callable[[Header], _Key | None], series: Sequence[_Files]) -> list[_Files]:
    regrouped: list[_Files] = []
    groups: dict[_Key, list[_Files]] = {}
    for headers in series:
        keys = {key_of(header) if len(header.frames) == 1 else None for header in headers}
        key = keys.pop()
        if keys or key is None:
            regrouped.append(headers)
        else:
            groups.setdefault(key, []).append(headers)
    for parts in groups.values():
        if len(parts) > 1 and _is_one_series(parts):
            note = NOTE if all(len(part) == 1 for part in parts) else PARTS_NOTE
            regrouped.append([_noted(header, note) for part in parts for header in part])
        else:
            regrouped += parts
    return regrouped


def _numbered(header: Header) -> _Key | None:
    number = header.facts.series_number
    return None if number is None else (header.siblings, header.frames[0].shape, number)


def _unnumbered(header: Header) -> _Key | None:
    return header.siblings, header.frames[0].shape


def _is_one_series(parts: Sequence[_Files]) -> bool:
    """Whether they are one volume by their positions, of one study or each of its own study."""
    headers = [header for part in parts for header in part]
    studies = {header.facts.study_instance_uid for header in headers}
    numbers = {header.facts.series_number for header in headers}
    is_numbered = len(numbers) == 1 and None not in numbers
    if len(headers) < _FEWEST or not _are_of_one_study(headers, studies, is_numbered):
        return False
    if len(parts) == len(headers):
        return _are_slices(headers, is_numbered and len(studies) == 1)
    stacks = split([header.frames[0] for header in headers])
    whole = len(stacks) == 1 and len(stacks[0].frames) == len(headers)
    return is_numbered and whole and _are_slices(headers, False)


def _are_of_one_study(
    headers: Sequence[Header], studies: set[str | None], is_numbered: bool
) -> bool:
    if len(studies) == 1:
        return True
    references = {header.facts.frame_of_reference_uid for header in headers}
    is_one_place = len(references) == 1 and None not in references
    return len(studies) == len(headers) and (is_numbered or is_one_place)


def _are_slices(headers: Sequence[Header], unplaced: bool) -> bool:
    """Whether positions are regular, or, with ``unplaced``, all of them missing.

    Captures without positions are single images, whatever their numbers.
    """
    frames = [header.frames[0] for header in headers]
    if not all(frame.placed for frame in frames):
        are_slices = all(header.is_mr_storage for header in headers)
        return unplaced and are_slices and not any(frame.placed for frame in frames)
    largest = split(frames)[0]
    along = [frame.facts.along_mm for frame in largest.frames if frame.facts.along_mm is not None]
    return len(along) == len(largest.frames) and is_even(np.asarray(along))


def _noted(header: Header, note: str) -> Header:
    frames = tuple(
        msgspec.structs.replace(frame, notes=(note, *frame.notes)) for frame in header.frames
    )
    return msgspec.structs.replace(header, frames=frames)

"""Which series of a study are of one patient and one visit: only these are answered together.

A study of DICOM files is normally one visit of one patient. Files that were made anonymous may
state one study for several, and ``--study`` takes a folder of other files as one study.
"""

import re
from collections.abc import Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from tumorlens.imaging.facts import AcquisitionFacts

SEVERAL_PATIENTS: Final = "the series are of several patients; each patient is answered separately"
SEVERAL_FOLDERS: Final = (
    "series of equal UIDs lie in several folders, perhaps of several patients or points in time; "
    "each folder is answered separately"
)
SEVERAL_VISITS: Final = "the series are of several visits; each visit is answered separately"
_LABEL: Final = r"(?:^|[/\\_]){entity}-([0-9A-Za-z+]+)(?=[/\\_.]|$)"
"""``sub-01/ses-02/anat/sub-01_ses-02_T1w.nii.gz``: how BIDS names folders and files."""
_MOST_DAYS: Final = 1
"""From the first day of a visit to the last: it may include midnight."""


class Examination(NamedTuple):
    """Series of one patient and one visit."""

    indices: list[int]
    notes: tuple[str, ...]
    """Why they are not all series of the study; empty if they are."""


def examinations(
    paths: Sequence[str], facts: Sequence[AcquisitionFacts | None]
) -> list[Examination]:
    """Divide series by patient and visit; ``paths`` and ``facts`` have one element for each.

    Patients and days are those that files state. Where they state none, names of folders and files
    such as ``sub-01`` and ``ses-02`` count (BIDS). Volumes of equal UIDs that only their folders
    distinguish may be of several patients too.
    """
    patients = _equal(_patients(paths, facts))
    of_patients = (SEVERAL_PATIENTS,) * (len(patients) > 1)
    divided = []
    for patient in patients:
        folders = _folders([facts[k] for k in patient])
        of_folders = (SEVERAL_FOLDERS,) * (len(folders) > 1)
        for folder in folders:
            own = [patient[k] for k in folder]
            visits = _visits([paths[k] for k in own], [facts[k] for k in own])
            notes = of_patients + of_folders + (SEVERAL_VISITS,) * (len(visits) > 1)
            divided += [Examination([own[k] for k in visit], notes) for visit in visits]
    return divided


def _patients(paths: Sequence[str], facts: Sequence[AcquisitionFacts | None]) -> list[str]:
    """The patient of each series; that of the first for those that state none."""
    patients = [None if series is None else series.patient for series in facts]
    if not any(patients):
        patients = [_label("sub", path) for path in paths]
    first = next((patient for patient in patients if patient is not None), "")
    return [first if patient is None else patient for patient in patients]


def _folders(facts: Sequence[AcquisitionFacts | None]) -> list[list[int]]:
    """Indices of the series of each folder that is known to be another; the rest together."""
    folders = [None if series is None else series.folder for series in facts]
    return _equal(folders) if len(set(folders) - {None}) > 1 else [list(range(len(folders)))]


def _visits(paths: Sequence[str], facts: Sequence[AcquisitionFacts | None]) -> list[list[int]]:
    """Indices of the series of each visit of a patient."""
    visits = []
    for session in _known_apart([_label("ses", path) for path in paths]):
        stated = [facts[k] for k in session]
        days = _first_days([None if series is None else series.acquired_on for series in stated])
        visits += [[session[k] for k in visit] for visit in _known_apart(days)]
    return visits


def _label(entity: str, path: str) -> str | None:
    """What follows ``entity`` and a hyphen in the path; None if it is not in it."""
    labels = re.findall(_LABEL.format(entity=entity), path)
    return labels[-1] if labels else None


def _first_days(days: Sequence[date | None]) -> list[date | None]:
    """The first day of the visit that each day belongs to."""
    first: dict[date | None, date | None] = {None: None}
    start = date.min
    for day in sorted({day for day in days if day is not None}):
        start = day if (day - start).days > _MOST_DAYS else start
        first[day] = start
    return [first[day] for day in days]


def _known_apart(values: Sequence[Any]) -> list[list[int]]:
    """``_equal``; None is of no group, unless there is only one."""
    if len({value for value in values if value is not None}) < 2:
        return [list(range(len(values)))]
    return _equal([index if value is None else (value,) for index, value in enumerate(values)])


def _equal(values: Sequence[Any]) -> list[list[int]]:
    """The indices of equal values, in the order of their first."""
    groups: dict[Any, list[int]] = {}
    for index, value in enumerate(values):
        groups.setdefault(value, []).append(index)
    return list(groups.values())

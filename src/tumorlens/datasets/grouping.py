"""Find the patient of an image from its path or from a column of the manifest.

Images of one patient resemble each other in more than the disease. If a patient is in both training
and test, the accuracy is too high, so the patients must be known before a set is split.
"""

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

from tumorlens.datasets.manifest import Manifest, read_column
from tumorlens.errors import DatasetError
from tumorlens.text import composed

_FOLDER: Final = "folder:"

PatientOf = Callable[[str], str]
"""Returns the patient for an image's path, with forward slashes; empty if there is none."""


def patient_from_path(rule: str) -> PatientOf:
    """The function that finds the patient in a path.

    ``rule`` is a regular expression, whose first named group, or else first group, is the patient,
    or ``folder:N``: the name of the N-th folder above the file. Raises ``DatasetError`` where it is
    neither.
    """
    if rule.startswith(_FOLDER):
        return _folder(rule)
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise DatasetError(f"{rule!r} is not a regular expression ({error})") from error
    if not pattern.groups:
        raise DatasetError(
            f"{rule!r} does not say which part of the path is the patient: put it in parentheses, "
            r"as in 'patient(\d+)_', or name a folder, as in folder:1"
        )
    group = next(iter(pattern.groupindex.values()), 1)

    def patient(path: str) -> str:
        match = pattern.search(path)
        return (match.group(group) or "") if match else ""

    return patient


def groups_of(manifest: Manifest, file: Path, rule: str) -> list[str]:
    """The group of each record of the manifest in ``file``; empty where there is none.

    ``rule`` is the name of a column, or as for ``patient_from_path``. Raises ``ManifestError``
    where there is no such column, ``DatasetError`` where the rule finds no patient in any path.
    """
    is_for_paths = "(" in rule or rule.startswith(_FOLDER)
    if not is_for_paths:
        return read_column(file, rule)
    patient = patient_from_path(rule)
    return require_some(rule, [patient(record.path) for record in manifest])


def require_some(rule: str, patients: list[str]) -> list[str]:
    """Return ``patients``, composed; raise ``DatasetError`` where the rule found none at all."""
    if not any(patients):
        raise DatasetError(f"{rule!r} finds no patient in any path")
    return [composed(patient) for patient in patients]


def _folder(rule: str) -> PatientOf:
    level = rule.removeprefix(_FOLDER)
    if not level.isdigit() or int(level) < 1:
        raise DatasetError(f"{rule!r}: give a number from 1, the folder that holds the file")

    def patient(path: str) -> str:
        folders = PurePosixPath(path).parts[:-1]
        return folders[-int(level)] if len(folders) >= int(level) else ""

    return patient

"""A folder, an archive or a file as a whole: all series and images in it, with their facts.

>>> study = read_study("patient.zip")  # doctest: +SKIP
>>> [(image.facts.series_description, image.pixels.shape) for image in study.images]
... # doctest: +SKIP
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pydicom.dataset import Dataset

from tumorlens.errors import InputError
from tumorlens.imaging import finder, reader
from tumorlens.imaging.archive import Archive
from tumorlens.imaging.dicom.derived import is_own, is_referable, making
from tumorlens.imaging.dicom.parse import parse
from tumorlens.imaging.facts import SliceFacts
from tumorlens.imaging.image import MedicalImage


@dataclass(slots=True)
class Study:
    """What was read."""

    path: str
    images: list[MedicalImage] = field(default_factory=list)
    """Volumes and images in the order of their paths; notes are in their facts."""
    failures: list[tuple[str, InputError]] = field(default_factory=list)
    """What could not be read, and why."""
    skipped: int = 0
    """Files of no known kind, or DICOM without an image."""
    own: int = 0
    """Reports and overlays that this package wrote into the study: neither read nor faulty."""


def read_study(path: str | Path) -> Study:
    """Read everything at ``path`` into memory.

    Nothing is raised for what cannot be read; it is in ``Study.failures``.
    """
    contents = finder.find(str(path))
    study = Study(
        str(path), failures=list(contents.failures), skipped=contents.skipped, own=contents.own
    )
    for input_ in contents.inputs:
        try:
            image, missing = input_.read()
        except InputError as error:
            study.failures.append((input_.path, error))
            continue
        study.images.append(image)
        study.failures.extend(missing)
    return study


def source_headers(slices: Sequence[SliceFacts]) -> list[Dataset]:
    """The data sets that slices come from, without pixels: for objects that refer to them.

    Those of a multi-frame file share one, and each archive is opened once. Raises ``InputError``.
    """
    archive = cache(Archive)

    @cache
    def header(path: str, member: str | None) -> Dataset:
        if member is not None:
            return parse(archive(path).read(member), f"{path}/{member}", pixels=False)
        with reader.open_file(path) as file:
            return parse(file, path, pixels=False)

    return [header(part.path, part.member) for part in slices]


def readable_headers(paths: Sequence[Path]) -> tuple[list[Dataset], int]:
    """Headers of the DICOM files of one study, and how many of them this package wrote.

    Files that cannot be read, or lack what an object needs to refer to them, are passed over; of
    several studies the first counts. What this package wrote is counted, not returned.
    """
    headers: list[Dataset] = []
    own = 0
    for path in paths:
        try:
            with reader.open_file(str(path)) as file, making("report", path.name):
                header = parse(file, path.name, pixels=False)
                wrote, usable = is_own(header), is_referable(header)
                other = headers and header.StudyInstanceUID != headers[0].StudyInstanceUID
        except InputError:
            continue
        own += wrote
        if usable and not wrote and not other:
            headers.append(header)
    return headers, own

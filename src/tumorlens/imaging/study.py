"""A folder, an archive or a file as a whole: all series and images in it, with their facts.

>>> study = read_study("patient.zip")  # doctest: +SKIP
>>> [(image.facts.series_description, image.pixels.shape) for image in study.images]
... # doctest: +SKIP
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from tumorlens.errors import InputError
from tumorlens.imaging import finder, reader
from tumorlens.imaging.archive import Archive
from tumorlens.imaging.dicom.derived import is_own, is_referable, making
from tumorlens.imaging.dicom.parse import parse
from tumorlens.imaging.facts import DEFAULT_PLANE, SliceFacts
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


def read_study(path: str | Path, plane: str = DEFAULT_PLANE) -> Study:
    """Read everything at ``path`` into memory.

    ``plane`` is for NIfTI, MGH and NRRD, as in ``reader.read``. Nothing is raised for what cannot
    be read; it is in ``Study.failures``.
    """
    contents = finder.find(str(path))
    study = Study(
        str(path), failures=list(contents.failures), skipped=contents.skipped, own=contents.own
    )
    for input_ in contents.inputs:
        try:
            image, missing = input_.read(plane)
        except InputError as error:
            study.failures.append((input_.path, error))
            continue
        study.images.append(image)
        study.failures.extend(missing)
    return study


def source_header(slice_facts: SliceFacts) -> Dataset:
    """The data set that a slice comes from, without pixels: for objects that refer to it.

    Raises ``InputError``.
    """
    path, member = slice_facts.path, slice_facts.member
    if member is None:
        with reader.open_file(path) as file:
            return parse(file, path, pixels=False)
    return parse(Archive(path).read(member), f"{path}/{member}", pixels=False)


def source_headers(slices: Sequence[SliceFacts]) -> list[Dataset]:
    """``source_header`` of each slice; those of a multi-frame file share it."""
    known: dict[tuple[str, str | None], Dataset] = {}
    for slice_facts in slices:
        key = slice_facts.path, slice_facts.member
        if key not in known:
            known[key] = source_header(slice_facts)
    return [known[slice_facts.path, slice_facts.member] for slice_facts in slices]


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

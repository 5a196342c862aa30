"""One thing to classify, not read yet: a file, a member of an archive, a DICOM series."""

import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from tumorlens.errors import InputError
from tumorlens.imaging import reader
from tumorlens.imaging.facts import DEFAULT_PLANE
from tumorlens.imaging.formats import registry
from tumorlens.imaging.image import MedicalImage

Failures = Sequence[tuple[str, InputError]]
"""Files that cannot be used, and why."""


def common_path(paths: Sequence[str]) -> str:
    """The folder or archive that all ``paths`` lie in; the first of them where there is none."""
    scheme, mark, _ = paths[0].partition("://")
    if mark:  # of an object store, whose slashes commonpath would take for doubled ones
        return f"{scheme}{mark}{posixpath.commonpath([p.partition(mark)[2] for p in paths])}"
    try:
        return os.path.commonpath(paths)
    except ValueError:  # on different drives, or some absolute and some not
        return paths[0]


class Read(NamedTuple):
    """What reading an input gives."""

    image: MedicalImage
    missing: Failures = ()
    """Files of a series without which the image was put together."""


class Input(Protocol):
    """What all of them have in common. ``read`` raises ``InputError``."""

    @property
    def path(self) -> str:
        """For records and messages."""
        ...

    @property
    def files(self) -> tuple[str, ...]:
        """What lies on the disk."""
        ...

    @property
    def is_single(self) -> bool:
        """Whether it is likely a single image, so that several may be decoded at once."""
        ...

    @property
    def identity(self) -> tuple[str, ...]:
        """Patient, study and series of a DICOM series; empty where no series is stated."""
        ...

    def read(self, plane: str = DEFAULT_PLANE) -> Read:
        """Decode it; arguments and errors as ``imaging.reader.read``."""
        ...


@dataclass(slots=True)
class File:
    """A file that is no archive, and no DICOM file of a folder, which belong to series."""

    path: str
    kind: str | None = None
    """The name of its format, where its first bytes were read."""
    data: bytes | None = field(default=None, repr=False, compare=False)
    """All of it, where it was read with its first bytes: it is then not opened again. Dropped when
    it is read."""

    @property
    def files(self) -> tuple[str, ...]:
        """Itself."""
        return (self.path,)

    @property
    def is_single(self) -> bool:
        """By its format; by its name where that is not known."""
        formats = [file_format for file_format in registry.FORMATS if file_format.holds_volumes]
        if self.kind is not None:
            return self.kind not in [file_format.name for file_format in formats]
        suffixes = tuple(suffix for file_format in formats for suffix in file_format.suffixes)
        return not self.path.lower().endswith(suffixes)

    @property
    def identity(self) -> tuple[str, ...]:
        """Empty: it belongs to no series."""
        return ()

    def read(self, plane: str = DEFAULT_PLANE) -> Read:
        """As ``Input.read``."""
        data, self.data = self.data, None
        if data is None:
            data = reader.load_file(self.path)
        return Read(reader.read_bytes(data, self.path, plane))

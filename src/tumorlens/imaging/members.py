"""Pictures and volumes inside an archive."""

from dataclasses import dataclass

from tumorlens.errors import InputError
from tumorlens.imaging.archive import Archive
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.reader import DEFAULT_PLANE, read_bytes
from tumorlens.imaging.signatures import SNIFF_BYTES, claims_picture, sniff


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive, not read yet."""

    archive: Archive
    name: str

    @property
    def path(self) -> str:
        """The archive and the name in it, for messages: no path of the file system."""
        return f"{self.archive.path}/{self.name}"

    @property
    def files(self) -> tuple[str, ...]:
        """The archive."""
        return (self.archive.path,)

    def read(self, plane: str = DEFAULT_PLANE) -> MedicalImage:
        """Decode it; arguments and errors as ``imaging.reader.read``."""
        return read_bytes(self.archive.read(self.name), self.path, plane)


@dataclass(frozen=True, slots=True)
class Listed:
    """The members of an archive by what they begin like."""

    plain: list[str]
    dicom: list[str]
    skipped: int
    """Files of no known kind, and archives within the archive."""
    failures: list[tuple[str, InputError]]


def list_members(archive: Archive) -> Listed:
    """Look at the first bytes of every member; no more of it is unfolded."""
    listed = Listed([], [], 0, [])
    skipped = 0
    for name in archive.names:
        try:
            kind = sniff(archive.head(name, SNIFF_BYTES))
        except InputError as error:
            listed.failures.append((f"{archive.path}/{name}", error))
            continue
        if kind == "dicom":
            listed.dicom.append(name)
        elif kind == "zip" or (kind is None and not claims_picture(name)):
            skipped += 1
        else:
            listed.plain.append(name)
    return Listed(listed.plain, listed.dicom, skipped, listed.failures)

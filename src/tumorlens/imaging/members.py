"""Images and volumes inside an archive."""

from dataclasses import dataclass

from tumorlens.errors import InputError, UnsupportedFormatError
from tumorlens.imaging.archive import Archive
from tumorlens.imaging.facts import DEFAULT_PLANE
from tumorlens.imaging.formats.registry import SNIFF_BYTES, claims_image, sniff
from tumorlens.imaging.input import Read
from tumorlens.imaging.reader import read_bytes


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

    @property
    def is_single(self) -> bool:
        """No: the members of an archive are read one after the other."""
        return False

    @property
    def identity(self) -> tuple[str, ...]:
        """Empty: it belongs to no series."""
        return ()

    def read(self, plane: str = DEFAULT_PLANE) -> Read:
        """As ``Input.read``."""
        return Read(read_bytes(self.archive.read(self.name), self.path, plane))


@dataclass(frozen=True, slots=True)
class Listed:
    """The members of an archive, by the format of their first bytes."""

    plain: list[str]
    dicom: list[str]
    skipped: int
    """Files of no known kind."""
    failures: list[tuple[str, InputError]]


def list_members(archive: Archive) -> Listed:
    """Look at the first bytes of every member, and of those of archives within the archive."""
    listed = Listed([], [], 0, [])
    waiting = list(reversed(archive.names))
    inner: set[str] = set()
    skipped = 0
    while waiting:
        name = waiting.pop()
        try:
            kind = sniff(archive.head(name, SNIFF_BYTES))
            if kind == "zip":
                names = _open(archive, name, name in inner)
                inner.update(names)
                waiting.extend(reversed(names))
        except InputError as error:
            listed.failures.append((f"{archive.path}/{name}", error))
            continue
        if kind == "dicom":
            listed.dicom.append(name)
        elif kind is None and not claims_image(name):
            skipped += 1
        elif kind != "zip":
            listed.plain.append(name)
    return Listed(listed.plain, listed.dicom, skipped, listed.failures)


def _open(archive: Archive, name: str, is_inner: bool) -> tuple[str, ...]:
    if is_inner:
        raise UnsupportedFormatError(
            f"{archive.path}/{name}: an archive nested in two others; unpack it first"
        )
    return archive.open_inner(name)

"""NRRD with its data in the same file (``imaging.nrrd``)."""

from typing import TYPE_CHECKING, Final

from tumorlens.imaging.formats.format import Format, begins_with

if TYPE_CHECKING:
    from tumorlens.imaging.image import MedicalImage


def _decode(data: bytes, source: str, plane: str) -> "MedicalImage":
    from tumorlens.imaging import nrrd

    return nrrd.decode(data, source, plane)


NRRD: Final = Format(
    "nrrd", "NRRD", (".nrrd", ".nhdr"), begins_with(b"NRRD000"), _decode, holds_volumes=True
)

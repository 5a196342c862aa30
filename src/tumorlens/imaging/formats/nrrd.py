"""NRRD with its data in the same file (``imaging.nrrd``)."""

from typing import TYPE_CHECKING, Final

from tumorlens.imaging.formats.format import Format, begins_with, cut_into_slices

if TYPE_CHECKING:
    from tumorlens.imaging.planes import Volume


def _read(data: bytes, source: str) -> "Volume":
    from tumorlens.imaging import nrrd

    return nrrd.read(data, source)


NRRD: Final = Format(
    "nrrd",
    "NRRD",
    (".nrrd", ".nhdr"),
    begins_with(b"NRRD000"),
    cut_into_slices(_read),
    holds_volumes=True,
)

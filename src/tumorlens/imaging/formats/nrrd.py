"""NRRD with its data in the same file (``imaging.volumes.nrrd``)."""

from typing import Final

from tumorlens.imaging.formats.format import Format, begins_with, cut_into_slices

NRRD: Final = Format(
    "nrrd",
    "NRRD",
    (".nrrd", ".nhdr"),
    begins_with(b"NRRD000"),
    cut_into_slices("nrrd"),
    holds_volumes=True,
)

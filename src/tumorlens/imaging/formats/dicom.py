"""DICOM, with and without the preamble of PS3.10 7.1, decoded with pydicom (``imaging.dicom``)."""

from typing import TYPE_CHECKING, Final

from tumorlens.imaging.dicom.preamble import begins
from tumorlens.imaging.formats.format import Format

if TYPE_CHECKING:
    from tumorlens.imaging.image import MedicalImage


def _decode(data: bytes, source: str, plane: str) -> "MedicalImage":
    from tumorlens.imaging.dicom import reader

    return reader.decode(data, source, plane)


DICOM: Final = Format("dicom", "DICOM", (".dcm", ".dicom", ".ima"), begins, _decode, windowed=True)

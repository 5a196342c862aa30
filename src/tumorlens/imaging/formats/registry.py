"""Every format that is read, recognised by its first bytes. A suffix never decides.

To add one: write ``formats/NAME.py`` with a ``Format``, and list it here.
"""

from typing import TYPE_CHECKING, Final

from tumorlens.errors import UnsupportedFormatError
from tumorlens.imaging.formats import foreign
from tumorlens.imaging.formats.dicom import DICOM
from tumorlens.imaging.formats.format import Format
from tumorlens.imaging.formats.images import IMAGES
from tumorlens.imaging.formats.mgh import MGH
from tumorlens.imaging.formats.nifti import NIFTI
from tumorlens.imaging.formats.nrrd import NRRD

if TYPE_CHECKING:
    from tumorlens.imaging.image import MedicalImage

FORMATS: Final[tuple[Format, ...]] = (*IMAGES, DICOM, NIFTI, MGH, NRRD)
"""In the order in which messages list them."""
ZIP: Final = "zip"
"""What an archive begins like: a container of files (``imaging.archive``), not a format."""
SNIFF_BYTES: Final = 1024
"""Number of first bytes that identify the format."""

_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")


def recognise(data: bytes) -> Format | None:
    """The format of the first bytes ``data``, or None; ``SNIFF_BYTES`` of them are enough."""
    # DICOM first: its preamble may be the beginning of a TIFF.
    return next((known for known in (DICOM, *FORMATS) if known.begins(data)), None)


def sniff(data: bytes) -> str | None:
    """The name of the format of the first bytes ``data``: of ``FORMATS``, ``ZIP``, or None."""
    file_format = recognise(data)
    if file_format is not None:
        return file_format.name
    return ZIP if data.startswith(_ZIP) else None


def decode(data: bytes, source: str, plane: str) -> "MedicalImage":
    """Decode the bytes of a file; arguments and errors as ``imaging.reader.read``."""
    file_format = recognise(data)
    if file_format is None:
        raise UnsupportedFormatError(f"{source}: {_refusal(data, source)}")
    # Here, not above: recognising files needs no numpy.
    from tumorlens.imaging.decoding import decoding
    from tumorlens.imaging.intensities import mended

    with decoding(source, file_format.title):
        image = file_format.decoder(data, source, plane)
    return image if file_format.windowed else mended(image)


def claims_image(name: str) -> bool:
    """Whether a file's name claims an image, so that the user must know if it is none.

    Only for files that would otherwise be skipped silently, such as an empty file of a failed copy.
    """
    claims = (*foreign.SUFFIXES, *(suffix for known in FORMATS for suffix in known.suffixes))
    return name.lower().endswith(claims)


def readable() -> str:
    """All formats, for messages: ``JPEG, PNG, ...``."""
    return ", ".join(known.title for known in FORMATS)


def _refusal(data: bytes, source: str) -> str:
    if sniff(data) == ZIP:
        return "is a zip archive: unpack it, or send it as a study (POST /v1/studies)"
    if (other := foreign.name_of(data)) is not None:
        name, advice = other
        return f"is {name}, which is not supported; {advice}"
    if not data:
        return "is empty"
    if source.lower().endswith(foreign.PAIR):
        return (
            "has no header that can be read: of a pair of .hdr and .img one alone is of no use, "
            "and their names may be exchanged; convert the pair to one .nii file"
        )
    return f"is not an image that tumorlens can read ({readable()})"

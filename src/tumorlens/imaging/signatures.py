"""Recognise formats by their first bytes. A suffix never decides which reader is used."""

from typing import Final

from tumorlens.imaging.inflate import GZIP, first_inflated

SNIFF_BYTES: Final = 1024
"""Number of first bytes that identify the format."""
READABLE: Final = "JPEG, PNG, TIFF, BMP, GIF, WebP, DICOM, NIfTI"
"""For messages."""

_SUFFIXES: Final = (
    ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".dcm", ".nii", ".nii.gz",
    ".mgz", ".mgh", ".nrrd", ".nhdr", ".mnc", ".hdr", ".mha", ".mhd", ".par", ".jp2", ".jxl",
    ".heic", ".avif", ".nii.bz2", ".nii.xz", ".nii.zst", ".dcm.gz", ".tar", ".tar.gz", ".tgz",
    ".7z", ".rar",
)  # fmt: skip

_PICTURES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"BM", "bmp"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
)
_PREAMBLE: Final = 128
_PREFIX: Final = b"DICM"
# The first elements that a file without the preamble begins with: file meta information, or, in
# older exports, the data set itself (group 8, either encoding of the value representation).
_BARE_DICOM: Final = (b"\x02\x00\x00\x00UL\x04\x00", b"\x02\x00\x01\x00OB\x00\x00")
_BARE_ELEMENTS: Final = (b"\x00\x00", b"\x01\x00", b"\x05\x00", b"\x08\x00", b"\x16\x00")
_VALUE_REPRESENTATIONS: Final = (b"UL", b"CS", b"UI")
_NIFTI1: Final = (b"n+1\x00", b"ni1\x00")
_NIFTI1_MAGIC_AT: Final = 344
_NIFTI2: Final = (b"n+2\x00\r\n\x1a\n", b"ni2\x00\r\n\x1a\n")
_NIFTI2_MAGIC_AT: Final = 4
_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")


_TO_NIFTI: Final = "convert it to NIfTI (.nii.gz)"
_TO_PNG: Final = "save it as PNG"
_UNPACK: Final = "unpack it first"
_OTHERS: Final[tuple[tuple[int, bytes, str, str], ...]] = (
    (0, b"NRRD000", "NRRD", _TO_NIFTI),
    (0, b"CDF\x01", "MINC", _TO_NIFTI),
    (0, b"\x89HDF", "MINC 2 or other HDF5", _TO_NIFTI),
    (0, b"ObjectType", "MetaImage", _TO_NIFTI),
    (0, b"NDims", "MetaImage", _TO_NIFTI),
    (0, b"# === DATA DESCRIPTION FILE", "the header of Philips PAR/REC", _TO_NIFTI),
    (0, b"MATLAB 5.0", "MATLAB", _TO_NIFTI),
    (0, b"\x93NUMPY", "an array of NumPy", _TO_NIFTI),
    (4, b"ftyphei", "HEIC", _TO_PNG),
    (4, b"ftypmif1", "HEIC", _TO_PNG),
    (4, b"ftypavi", "AVIF", _TO_PNG),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000", _TO_PNG),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000", _TO_PNG),
    (0, b"\xff\x0a", "JPEG XL", _TO_PNG),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL", _TO_PNG),
    (0, b"%PDF", "PDF", "save its pictures as PNG"),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"BZh", "compressed by bzip2", _UNPACK),
    (0, b"\xfd7zXZ", "compressed by xz", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "compressed by zstd", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (0, b"Rar!", "a rar archive", _UNPACK),
)
"""Where a signature begins, the signature, the format and what to do."""
_ANALYZE: Final = (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c")
_ANALYZE_BYTES: Final = 1024
_MGH_VERSION: Final = b"\x00\x00\x00\x01"
_LARGEST_MGH_SIDE: Final = 4096


def claims_picture(name: str) -> bool:
    """Whether a file's name claims a picture, so that the user must know if it is none.

    Only for files that would otherwise be skipped silently, such as an empty file of a failed copy.
    """
    return name.lower().endswith(_SUFFIXES)


def other_format(data: bytes) -> tuple[str, str] | None:
    """Name a format that is not read, and what to do with it; None for unknown ones."""
    for at, signature, name, advice in _OTHERS:
        if data[at : at + len(signature)] == signature:
            return name, advice
    if data[:4] in _ANALYZE and len(data) <= _ANALYZE_BYTES:
        return "Analyze (a pair of .hdr and .img)", _TO_NIFTI
    zipped = data.startswith(GZIP)
    start = first_inflated(data[:SNIFF_BYTES], 24) if zipped else data[:24]
    sides = [int.from_bytes(start[at : at + 4], "big") for at in (4, 8, 12)]
    if start.startswith(_MGH_VERSION) and all(0 < side <= _LARGEST_MGH_SIDE for side in sides):
        return "MGH (FreeSurfer)", _TO_NIFTI
    return ("compressed by gzip, and no NIfTI", _UNPACK) if zipped else None


def sniff(data: bytes) -> str | None:
    """Name the format of the first bytes ``data``, or None.

    One of jpeg, png, tiff, bmp, gif, webp, dicom, nifti, nifti.gz, zip. The first ``SNIFF_BYTES``
    bytes are enough.
    """
    if data[_PREAMBLE : _PREAMBLE + 4] == _PREFIX:  # the preamble may be that of a TIFF
        return "dicom"
    for signature, name in _PICTURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if _is_nifti(data):
        return "nifti"
    if _is_bare_dicom(data):
        return "dicom"
    if data.startswith(GZIP) and _is_nifti(first_inflated(data, SNIFF_BYTES)):
        return "nifti.gz"
    return "zip" if data.startswith(_ZIP) else None


def _is_bare_dicom(data: bytes) -> bool:
    """Without the prefix of PS3.10 7.1, as older archives export it."""
    if data.startswith(_BARE_DICOM):
        return True
    if data[:2] != b"\x08\x00" or data[2:4] not in _BARE_ELEMENTS:
        return False
    explicit = data[4:6] in _VALUE_REPRESENTATIONS
    return explicit or (len(data) >= 8 and int.from_bytes(data[4:8], "little") <= 64)


def _is_nifti(data: bytes) -> bool:
    return (
        data[_NIFTI1_MAGIC_AT : _NIFTI1_MAGIC_AT + 4] in _NIFTI1
        or data[_NIFTI2_MAGIC_AT : _NIFTI2_MAGIC_AT + 8] in _NIFTI2
    )

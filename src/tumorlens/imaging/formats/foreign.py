"""Formats that are recognised, so that the error says what to do, but not read."""

from typing import Final

from tumorlens.imaging.inflate import GZIP

SUFFIXES: Final = (
    ".mnc", ".hdr", ".mha", ".mhd", ".par", ".head", ".jp2", ".j2k", ".jxl", ".pgm", ".ppm",
    ".psd", ".heic", ".heif", ".avif", ".nii.bz2", ".nii.xz", ".nii.zst", ".dcm.gz", ".tar",
    ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".txz", ".tar.zst", ".7z", ".rar", ".zip", ".iso",
)  # fmt: skip
PAIR: Final = (".img", ".img.gz", ".hdr", ".hdr.gz")
"""What the two files of a pair are called, of Analyze or NIfTI."""
_TO_NIFTI: Final = "convert it to NIfTI (.nii.gz)"
_TO_PNG: Final = "save it as PNG"
_UNPACK: Final = "unpack it first"
_FETCH: Final = "fetch the file that it stands for"
_SIGNATURES: Final[tuple[tuple[int, bytes, str, str], ...]] = (
    (0, b"CDF\x01", "MINC", _TO_NIFTI),
    (0, b"\x89HDF", "MINC 2 or other HDF5", _TO_NIFTI),
    (0, b"ObjectType", "MetaImage", _TO_NIFTI),
    (0, b"NDims", "MetaImage", _TO_NIFTI),
    (0, b"# === DATA DESCRIPTION FILE", "the header of Philips PAR/REC", _TO_NIFTI),
    (0, b"\ntype  = ", "the header of AFNI", _TO_NIFTI),
    (0, b"type  = ", "the header of AFNI", _TO_NIFTI),
    (0, b"IMGF", "GE Signa (Genesis)", _TO_NIFTI),
    (0, b"MATLAB 5.0", "MATLAB", _TO_NIFTI),
    (0, b"\x93NUMPY", "an array of NumPy", _TO_NIFTI),
    (4, b"ftyphei", "HEIC", _TO_PNG),
    (4, b"ftypmif1", "HEIC", _TO_PNG),
    (4, b"ftypavi", "AVIF", _TO_PNG),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000", _TO_PNG),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000", _TO_PNG),
    (0, b"\xff\x0a", "JPEG XL", _TO_PNG),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL", _TO_PNG),
    (0, b"P5\n", "PGM", _TO_PNG),
    (0, b"P6\n", "PPM", _TO_PNG),
    (0, b"8BPS", "Photoshop", _TO_PNG),
    (0, b"%PDF", "PDF", "save its images as PNG"),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"BZh", "compressed by bzip2", _UNPACK),
    (0, b"\xfd7zXZ", "compressed by xz", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "compressed by zstd", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (0, b"Rar!", "a rar archive", _UNPACK),
    (0, b"PK\x07\x08", "a part of a zip archive in several parts", "join the parts first"),
    (32769, b"CD001", "an image of a CD (ISO 9660)", _UNPACK),
    (0, b"version https://git-lfs", "a pointer of Git LFS", _FETCH),
    (0, b"/annex/objects/", "a pointer of git-annex", _FETCH),
    (0, b"<!DOCTYPE html", "a web page", _FETCH),
    (0, b"<!DOCTYPE HTML", "a web page", _FETCH),
    (0, b"<!doctype html", "a web page", _FETCH),
    (0, b"<html", "a web page", _FETCH),
)
"""Where a signature begins, the signature, the format and what to do."""
_ANALYZE: Final = (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c")
_ANALYZE_BYTES: Final = 1024


def name_of(data: bytes) -> tuple[str, str] | None:
    """Name the format of a whole file, and what to do with it; None for unknown ones."""
    for at, signature, name, advice in _SIGNATURES:
        if data.startswith(signature, at):
            return name, advice
    if data.startswith(_ANALYZE) and len(data) <= _ANALYZE_BYTES:
        return "Analyze (a pair of .hdr and .img)", _TO_NIFTI
    if data.startswith(GZIP):
        return "compressed by gzip, but neither NIfTI nor MGH", _UNPACK
    return None

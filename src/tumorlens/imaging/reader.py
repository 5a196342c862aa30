"""Read any supported file by its first bytes, never by its suffix."""

from pathlib import Path
from typing import Final

from tumorlens.errors import (
    InputError,
    LimitExceededError,
    MissingInputError,
    UnsupportedFormatError,
)
from tumorlens.imaging.image import MedicalImage

MAX_FILE_BYTES: Final = 256 * 1024 * 1024
"""Largest file that is read into memory."""

_SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"BM", "bmp"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
)


def sniff(data: bytes) -> str | None:
    """Name the format that ``data`` begins like, or None: jpeg, png, tiff, bmp, gif, webp."""
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return None


def read(path: str | Path) -> MedicalImage:
    """Decode the file at ``path``.

    Raises an ``InputError`` (missing, unsupported_format, corrupt, limit), whose message begins
    with the path, and never anything else.
    """
    return read_bytes(load_file(path), source=str(path))


def load_file(path: str | Path) -> bytes:
    """Return the bytes of a regular file no larger than ``MAX_FILE_BYTES``."""
    path = Path(path)
    try:
        if not path.is_file():
            raise MissingInputError(f"{path}: no such file")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise LimitExceededError(
                f"{path}: {size} bytes are more than the limit of {MAX_FILE_BYTES}"
            )
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MissingInputError(f"{path}: cannot be opened ({reason})") from error


def read_bytes(data: bytes, source: str = "<bytes>") -> MedicalImage:
    """Decode an encoded picture held in memory; errors as ``read``."""
    kind = sniff(data)
    if kind is None:
        what = "is empty" if not data else "is not a picture that tumorlens reads"
        raise UnsupportedFormatError(f"{source}: {what} (JPEG, PNG, TIFF, BMP, GIF, WebP)")
    from tumorlens.imaging import raster

    try:
        return raster.decode(data, kind, source)
    except InputError:
        raise
    except MemoryError as error:
        raise LimitExceededError(f"{source}: does not fit into memory") from error

"""Read any supported file by its first bytes, never by its suffix."""

import stat
from pathlib import Path
from typing import Final

from tumorlens.errors import LimitExceededError, MissingInputError, UnsupportedFormatError
from tumorlens.imaging.image import MedicalImage

MAX_FILE_BYTES: Final = 256 * 1024 * 1024
"""Largest file that is read into memory."""

_SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
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

    Raises an ``InputError`` (missing, unsupported_format, corrupt, limit, blank), whose message
    begins with the path, and never anything else.
    """
    return read_bytes(load_file(path), source=str(path))


def load_file(path: str | Path) -> bytes:
    """Return the bytes of a regular file no larger than ``MAX_FILE_BYTES``."""
    path = Path(path)
    try:
        status = path.stat()
        _check_kind(path, status.st_mode)
        if status.st_size > MAX_FILE_BYTES:
            raise LimitExceededError(
                f"{path}: {status.st_size} bytes are more than the limit of {MAX_FILE_BYTES}"
            )
        return path.read_bytes()
    except FileNotFoundError as error:
        raise MissingInputError(f"{path}: no such file") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MissingInputError(f"{path}: cannot be opened ({reason})") from error
    except ValueError as error:  # a NUL or another character that no path can have
        raise MissingInputError(f"{path}: no such file") from error


def _check_kind(path: Path, mode: int) -> None:
    """Raise ``MissingInputError`` unless it is a regular file: a pipe could block for ever."""
    if stat.S_ISDIR(mode):
        raise MissingInputError(f"{path}: is a folder, not a file")
    if not stat.S_ISREG(mode):
        raise MissingInputError(f"{path}: is not a regular file")


def read_bytes(data: bytes, source: str = "<bytes>") -> MedicalImage:
    """Decode an encoded picture held in memory; errors as ``read``."""
    kind = sniff(data)
    if kind is None:
        what = "is empty" if not data else "is not a picture that tumorlens reads"
        raise UnsupportedFormatError(f"{source}: {what} (JPEG, PNG, TIFF, BMP, GIF, WebP)")
    # Here, not above: whoever only sniffs does without Pillow.
    from tumorlens.imaging import raster

    return raster.decode(data, kind, source)

"""Read any supported file by its first bytes, never by its suffix."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from tumorlens.errors import LimitExceededError, MissingInputError
from tumorlens.imaging.facts import DEFAULT_PLANE, PLANES
from tumorlens.imaging.formats import registry
from tumorlens.imaging.image import MedicalImage
from tumorlens.imaging.limits import MAX_FILE_BYTES
from tumorlens.text import reason_of


def read(path: str | Path, plane: str = DEFAULT_PLANE) -> MedicalImage:
    """Decode the file at ``path``: an image, a DICOM file or a NIfTI, MGH or NRRD volume.

    ``plane``, of ``facts.PLANES``, is how such a volume is cut; ``ValueError`` for another.
    Raises an ``InputError`` (missing, unsupported_format, corrupt, limit, blank, not_mr,
    missing_decoder), whose message begins with the path, and never anything else.
    """
    return read_bytes(load_file(path), source=str(path), plane=plane)


def load_file(path: str | Path) -> bytes:
    """Return the bytes of a regular file no larger than ``MAX_FILE_BYTES``."""
    with open_file(path) as file:
        try:
            # Asked for the limit itself, Python would first set that much memory aside.
            return file.read(min(MAX_FILE_BYTES, os.fstat(file.fileno()).st_size))
        except OSError as error:
            raise unopened(path, error) from error


def open_file(path: str | Path) -> BinaryIO:
    """Open a regular file no larger than ``MAX_FILE_BYTES``; the caller closes it."""
    if path == "":  # as a Path it would be the working folder
        raise MissingInputError("the path is empty")
    given, path = path, Path(path)
    try:
        status = path.stat()
        _check_kind(path, status.st_mode)
        if status.st_size > MAX_FILE_BYTES:
            raise LimitExceededError(
                f"{path}: {status.st_size} bytes are more than the limit of {MAX_FILE_BYTES}"
            )
        return path.open("rb")
    except FileNotFoundError as error:
        reason = "is a link to a file that is missing" if path.is_symlink() else "no such file"
        raise missing(given, reason) from error
    except OSError as error:
        raise unopened(path, error) from error
    except ValueError as error:  # a NUL or another character that no path can have
        raise missing(given, "no such file") from error


def missing(path: str | Path, reason: str) -> MissingInputError:
    """The error for ``path``, which is missing for ``reason``, or is a URL."""
    if "://" in str(path):
        reason = (
            "is a URL, and this reads files: download it first, or use `tumorlens batch`, which "
            "reads stores such as s3://"
        )
    return MissingInputError(f"{path}: {reason}")


def unopened(path: str | Path, error: OSError) -> MissingInputError:
    """The error of a file or folder that is there."""
    return MissingInputError(f"{path}: cannot be opened ({reason_of(error)})")


def _check_kind(path: Path, mode: int) -> None:
    """Raise ``MissingInputError`` unless it is a regular file: a pipe could block for ever."""
    if stat.S_ISDIR(mode):
        raise MissingInputError(f"{path}: is a folder, not a file")
    if not stat.S_ISREG(mode):
        raise MissingInputError(f"{path}: is not a regular file")


def read_bytes(data: bytes, source: str = "<bytes>", plane: str = DEFAULT_PLANE) -> MedicalImage:
    """Decode an encoded image or volume held in memory; arguments and errors as ``read``."""
    if plane not in PLANES:
        raise ValueError(f"plane must be one of {', '.join(PLANES)}, not {plane!r}")
    return registry.decode(data, source, plane)

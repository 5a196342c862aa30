"""Files that are there whole, or not at all, whenever the power goes."""

import os
import secrets
from pathlib import Path


def write_synced(path: Path, data: bytes) -> None:
    """Write a file that lasts."""
    # A name of its own: two threads may write the same file at once.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync(path: Path) -> None:
    """Make what was written to a file last."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make renames and deletions last; a no-op where folders cannot be opened (Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

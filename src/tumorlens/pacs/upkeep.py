"""Preparation of a spool: lock it, tidy up, and rebuild it after damage."""

import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from tumorlens.pacs import database
from tumorlens.pacs.private import POSIX, SpoolError, create_file
from tumorlens.pacs.spool import RECEIVING, Spool

log = logging.getLogger(__name__)

_SUFFIX: Final = ".dcm"


def lock_spool(spool: Spool) -> IO[bytes]:
    """Make this the only process that works on a spool, until the result is closed; tidy up.

    Files that a killed process left half written are deleted, and images that no row names are
    taken into the queue. Raises ``SpoolError`` while another process works on it.
    """
    path = spool.folder / "lock"
    create_file(path)
    lock = path.open("r+b")
    if POSIX:
        import fcntl

        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise SpoolError(
                f"{spool.folder}: another tumorlens process uses this spool; stop it, or choose "
                "another spool"
            ) from error
    delete_unfinished(spool)
    if count := adopt(spool):
        log.warning("%d images were on the disk, but not in the queue; they are in it now", count)
    return lock


def delete_unfinished(spool: Spool) -> None:
    """Delete what a process left half received or half written when it was killed."""
    left = [*spool.incoming.iterdir(), *(spool.folder / "objects").glob(".*")]
    left += [path for path in spool.folder.glob(".*") if path.is_file()]
    for path in left:
        with suppress(OSError):
            path.unlink()


def adopt(spool: Spool) -> int:
    """Take images that lie in the spool, but are not in its queue, into it; say how many."""
    images = [
        (folder.name, image.stem)
        for folder in (spool.folder / "studies").iterdir()
        if folder.is_dir()
        for image in folder.glob(f"*{_SUFFIX}")
    ]
    with spool.changing() as db:
        known = set(db.execute("SELECT study, name FROM instances").fetchall())
        missing = sorted(set(images) - known)
        for study, name in missing:
            db.execute("INSERT INTO instances (study, name) VALUES (?, ?)", (study, name))
            db.execute(
                "INSERT INTO studies (study, revision, received, state, attempts) "
                "VALUES (?, 1, ?, ?, 0) ON CONFLICT (study) DO UPDATE "
                "SET revision=revision+1, state=excluded.state, attempts=0, reason=''",
                (study, spool.now(), RECEIVING),
            )
    return len(missing)


def rebuild(folder: Path) -> tuple[int, Path | None]:
    """Set a damaged queue aside, and make a new one from the images in the spool.

    Returns how many images there are, and where the old queue is now; None where it was sound,
    and stays in use. Studies that were answered are answered again, with the same UIDs: an archive
    keeps each object once. Raises ``SpoolError`` where there is no spool.
    """
    if not (folder / "studies").is_dir():
        raise SpoolError(f"{folder}: contains no spool")
    aside = None
    try:
        spool = Spool(folder)
    except database.DamagedQueueError:
        aside = _set_aside(folder)
        spool = Spool(folder)
    lock = lock_spool(spool)
    try:
        with spool.reading() as db:
            (count,) = db.execute("SELECT COUNT(*) FROM instances").fetchone()
    finally:
        spool.close()
        lock.close()
    return int(count), aside


def _set_aside(folder: Path) -> Path:
    path = folder / database.NAME
    aside = folder / f"{database.NAME}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    for ending in ("", "-wal", "-shm"):
        source = path.with_name(path.name + ending)
        if source.exists():
            source.replace(aside.with_name(aside.name + ending))
    return aside

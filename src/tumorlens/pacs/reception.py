"""Writes instances to disk as they arrive: at most one data unit of each is in memory.

pynetdicom writes what it receives into a temporary file, and has no setting for its folder. So its
name for ``NamedTemporaryFile`` is replaced: patients' data belong in the spool, whose disk lasts
and where a file can be renamed into its place, not in /tmp.

That is not a public part of pynetdicom. Versions other than those of ``TESTED`` are refused at the
start. To add one, add it here and in pyproject.toml, and run the tests of this module.
"""

import errno
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pynetdicom
from pynetdicom import _config, dimse_messages, events

from tumorlens.errors import TumorlensError
from tumorlens.imaging.limits import MAX_FILE_BYTES
from tumorlens.pacs.private import create_file
from tumorlens.pacs.space import Space

MAX_BYTES: Final = MAX_FILE_BYTES
"""Largest file that is kept; the rest of a larger one is discarded, then it is refused."""

TESTED: Final = "3.0."
"""Beginning of the pynetdicom versions whose internals were read and tested."""
_NAME: Final = "NamedTemporaryFile"
_CHECK_BYTES: Final = 1 << 20


class UntestedVersionError(TumorlensError):
    """The installed pynetdicom may keep its temporary file elsewhere."""

    kind = "untested_version"


class Incoming:
    """A file that is being received; pynetdicom treats it as its temporary file.

    Errors are kept until ``finish``: raised while data come in they would end pynetdicom's thread.
    """

    def __init__(self, folder: Path, space: Space) -> None:
        self.path = folder / f"{secrets.token_hex(16)}.dcm"
        self._space = space
        self._size, self._written, self._checked, self._error = 0, 0, 0, 0
        try:
            space.require()
            create_file(self.path)
            self._stream = self.path.open("r+b")
        except OSError as error:
            self._error = error.errno or errno.EIO

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.path)

    @property
    def file(self) -> "Incoming":
        """Itself: pynetdicom flushes what lies below a temporary file."""
        return self

    def write(self, data: bytes) -> int:
        """Add to the file, if it is not too large by then."""
        self._size += len(data)
        if self._size > MAX_BYTES:
            self._error = self._error or errno.EFBIG
        if not self._error:
            try:
                self._stream.write(data)
                self._written += len(data)
                self._space.add(len(data))
                if self._size - self._checked > _CHECK_BYTES:
                    self._checked = self._size
                    self._space.require()
            except OSError as error:
                self._error = error.errno or errno.EIO
                self._space.is_short.set()
        return len(data)

    def flush(self) -> None:
        """Nothing: the file is read when it is finished."""

    def finish(self) -> Path:
        """Close it and say where it is; raise ``OSError`` unless all of it is there."""
        self.close()
        if self._error:
            raise OSError(self._error, os.strerror(self._error))
        return self.path

    def close(self) -> None:
        """Close it."""
        try:
            if hasattr(self, "_stream"):
                self._stream.close()
        except OSError as error:  # the last bytes did not fit
            self._error = self._error or error.errno or errno.EIO

    def discard(self) -> None:
        """Delete it: it is not kept."""
        self.close()
        self._space.add(-self._written)
        self._written = 0
        self.path.unlink(missing_ok=True)


def receive_into(folder: Path, space: Space) -> Callable[[], None]:
    """Let all nodes of this process write what comes in into ``folder``, as far as there is room.

    The result ends that; it does nothing if another folder was given since. Raises
    ``UntestedVersionError``.
    """
    if not pynetdicom.__version__.startswith(TESTED) or not hasattr(dimse_messages, _NAME):
        raise UntestedVersionError(
            f"pynetdicom {pynetdicom.__version__} is not supported: "
            f"pip install 'pynetdicom=={TESTED}*'"
        )

    def make(**_: object) -> Incoming:
        return Incoming(folder, space)

    def undo() -> None:
        if vars(dimse_messages)[_NAME] is make:
            _config.STORE_RECV_CHUNKED_DATASET = False
            setattr(dimse_messages, _NAME, tempfile.NamedTemporaryFile)

    _config.STORE_RECV_CHUNKED_DATASET = True
    setattr(dimse_messages, _NAME, make)
    return undo


def incoming(event: events.Event) -> Incoming:
    """The file of a C-STORE request."""
    file = getattr(event.request, "_dataset_file", None)
    if not isinstance(file, Incoming):  # a request without a data set
        raise OSError(errno.ENODATA, "nothing came")
    return file


def discard_data(event: events.Event) -> None:
    """Delete the file of a message that nothing will handle; for ``EVT_DIMSE_RECV``."""
    file = getattr(event.message, "_data_set_file", None)
    if isinstance(file, Incoming):
        file.discard()


def discard_unfinished(event: events.Event) -> None:
    """Delete what a connection leaves half sent, or unhandled; for ``EVT_CONN_CLOSE``."""
    dimse = event.assoc.dimse
    files = [getattr(dimse.message, "_data_set_file", None)]
    files += [getattr(message, "_dataset_file", None) for _, message in list(dimse.msg_queue.queue)]
    for file in files:
        if isinstance(file, Incoming):
            file.discard()

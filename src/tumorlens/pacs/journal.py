"""Events: counted for the metrics, with one line each in the audit log.

No line holds data of a patient: studies are named by their salted hashes, and callers by their
address and AE title.
"""

import json
import logging
import logging.handlers
import os
import threading
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Final

_ROTATE_BYTES: Final = 10 * 1024 * 1024
_KEPT_FILES: Final = 5


class Journal:
    """Counts events, and writes them to a file where there is one; safe between threads."""

    def __init__(self, audit: Path | None = None, *, rotate: bool = True) -> None:
        """Write to ``audit``, readable for its owner only.

        ``rotate`` begins a new file every 10 MiB and keeps five old ones; only one process may.
        Raises ``OSError`` where the file cannot be opened.
        """
        self._counts = Counter[str]()
        self._lock = threading.Lock()
        self._file = _AuditFile(audit, self, rotate) if audit else None

    def record(self, event: str, **facts: str | int) -> None:
        """Note that something happened."""
        with self._lock:
            self._counts[event] += 1
        if self._file is not None:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            line = json.dumps({"time": now, "event": event, **facts}, ensure_ascii=True)
            self._file.handle(logging.makeLogRecord({"msg": line}))

    def lost(self) -> None:
        """Note that a line could not be written."""
        with self._lock:
            self._counts["audit_lost"] += 1

    def counts(self) -> dict[str, int]:
        """How often each event happened since the start."""
        with self._lock:
            return dict(self._counts)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with suppress(OSError):  # lines that the disk did not take
                self._file.close()


class _AuditFile(logging.handlers.RotatingFileHandler):
    """A full disk costs lines, and is counted; it does not stop the node."""

    def __init__(self, path: Path, journal: Journal, rotate: bool) -> None:
        self._journal = journal
        most = _ROTATE_BYTES if rotate else 0
        super().__init__(path, maxBytes=most, backupCount=_KEPT_FILES, encoding="utf-8")

    def _open(self) -> TextIOWrapper:
        def private(path: str, flags: int) -> int:
            # A pipe that nobody reads is an error, and one that is full costs lines.
            return os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o600)

        # pathlib's open takes no opener.
        opened = open(  # noqa: SIM115
            self.baseFilename, self.mode, encoding=self.encoding, opener=private
        )
        assert isinstance(opened, TextIOWrapper)
        return opened

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802
        """Count the line as lost."""
        self._journal.lost()

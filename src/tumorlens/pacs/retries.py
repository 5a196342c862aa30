"""When a study may be worked on, by the monotonic clock: setting the clock delays nothing.

Only in memory. After a restart everything is due; how often a study was tried is in the database.
"""

import threading
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Entry:
    revision: int
    came: float = field(default_factory=time.monotonic)
    count: int = 0
    not_before: float = 0.0


class Retries:
    """For each study: when its last instance came, how often it was postponed, until when."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()

    def came(self, key: str, revision: int) -> None:
        """Note that an instance came: the study is another one than before."""
        with self._lock:
            self._entries[key] = _Entry(revision)

    def quiet(self, key: str, revision: int) -> float:
        """For how many seconds nothing has come."""
        with self._lock:
            came = self._entry(key, revision).came
        return time.monotonic() - came

    def postpone(self, key: str, revision: int, seconds: float) -> None:
        """Hold a study back."""
        with self._lock:
            entry = self._entry(key, revision)
            entry.count += 1
            entry.not_before = time.monotonic() + seconds

    def waits(self, key: str, revision: int) -> bool:
        """Whether a study waits for its next try."""
        with self._lock:
            return time.monotonic() < self._entry(key, revision).not_before

    def count(self, key: str, revision: int) -> int:
        """How often a study was postponed."""
        with self._lock:
            return self._entry(key, revision).count

    def forget(self, key: str) -> None:
        """Begin anew: the study has another task now."""
        with self._lock:
            if entry := self._entries.get(key):
                entry.count, entry.not_before = 0, 0.0

    def keep_only(self, keys: set[str]) -> None:
        """Forget the studies that are not waiting any more."""
        with self._lock:
            for key in self._entries.keys() - keys:
                del self._entries[key]

    def _entry(self, key: str, revision: int) -> _Entry:
        """The entry of a study; a new one where another process has changed it."""
        entry = self._entries.get(key)
        if entry is None or entry.revision != revision:
            entry = self._entries[key] = _Entry(revision)
        return entry

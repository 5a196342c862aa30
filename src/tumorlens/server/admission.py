"""Admission control: how much work is accepted at a time.

Nothing waits for room: a request is rejected at once, so half-uploaded requests cannot
block one another, and memory is bounded for any number of clients.
"""

from types import TracebackType
from typing import Self

from tumorlens.server.problems import busy, too_large
from tumorlens.server.settings import Limits


class AdmissionControl:
    """Counts images and bytes that were accepted and not yet answered."""

    def __init__(self, limits: Limits) -> None:
        """Start empty."""
        self.limits = limits
        self.images = 0
        self.bytes = 0

    def ticket(self) -> "Ticket":
        """Let one request in; raise ``Problem`` (503) where not even one image has room."""
        self.check()
        return Ticket(self, self.limits.files)

    def study_ticket(self) -> "Ticket":
        """Let one study in: many files, but one piece of work."""
        self.check()
        return Ticket(self, self.limits.study_files, as_one=True)

    def check(self) -> None:
        """Raise ``Problem`` (503) where no image has room."""
        if self.images >= self.limits.queue_images:
            raise busy("images in the queue")


class Ticket:
    """What one request holds; a context manager that gives it back at the end."""

    def __init__(self, control: AdmissionControl, most_files: int, *, as_one: bool = False) -> None:
        """Hold nothing yet; ``as_one``: all files together count as one image."""
        self._control, self._most_files, self._as_one = control, most_files, as_one
        self.files = 0
        self.images = 0
        self.bytes = 0

    def __enter__(self) -> Self:
        """Begin the request."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        """Give everything back."""
        self._control.images -= self.images
        self.free(self.bytes)
        self.images = 0

    def add_file(self) -> None:
        """One more file; raise ``Problem``: 413 for too many, 503 where the queue is full."""
        if self.files >= self._most_files:
            raise too_large(f"more than {self._most_files} files in one request")
        self.files += 1
        if self._as_one and self.images:
            return
        self._control.check()
        self.images += 1
        self._control.images += 1

    def hold(self, count: int) -> None:
        """``count`` more bytes of upload in memory; raise ``Problem`` (503) where all is full."""
        if self._control.bytes + count > self._control.limits.queue_bytes:
            raise busy("bytes in memory")
        self.bytes += count
        self._control.bytes += count

    def free(self, count: int) -> None:
        """``count`` bytes were let go."""
        self.bytes -= count
        self._control.bytes -= count

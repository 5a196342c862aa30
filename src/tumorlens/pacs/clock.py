"""A clock for times that are stored: it goes on evenly, however the computer's clock is set."""

import time
from collections.abc import Callable
from typing import Final

_LONGEST_DOWNTIME_S: Final = 7 * 24 * 3600.0
"""A start adds no more than this: a wrong clock must not make every stored time old."""


class StoredClock:
    """Seconds since 1970 as far as the computer's clock is right, and never going backwards.

    While the process runs it follows the monotonic clock. Between two processes it adds the
    difference of wall times, but nothing where that is negative, and no more than a week.
    """

    def __init__(self, saved: tuple[float, float] | None, wall_clock: Callable[[], float]) -> None:
        """Go on from what ``state`` returned to the process before; None for a new one."""
        self._wall_clock = wall_clock
        wall = wall_clock()
        if saved is None:
            self._start = wall
        else:
            seconds, wall_then = saved
            self._start = seconds + min(max(wall - wall_then, 0.0), _LONGEST_DOWNTIME_S)
        self._monotonic = time.monotonic()

    def now(self) -> float:
        """The time to store."""
        return self._start + time.monotonic() - self._monotonic

    def state(self) -> tuple[float, float]:
        """This clock and the wall's, for the next process."""
        return self.now(), self._wall_clock()

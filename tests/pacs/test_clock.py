"""A clock that is set, forward or back, holds up nothing, and makes nothing old or young."""

import time
from collections.abc import Callable

import pytest

from tumorlens.pacs.clock import StoredClock
from tumorlens.pacs.spool import MADE, Spool, Waiting

_DAY = 86400.0
_REAL = time.time


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the clock of the wall, in seconds from the right time; it goes on from there."""
    return lambda seconds: monkeypatch.setattr(time, "time", lambda: _REAL() + seconds)


def _made(spool: Spool) -> Waiting:
    spool.accept("1.2", "1.2.1", b"image")
    (one,) = spool.due(0)
    spool.keep_answer(one, [("2.25.1", "class", b"answer")])
    (made,) = spool.due(0)
    assert made.state == MADE
    return made


@pytest.mark.parametrize("days", [10, -10, 3650, -3650])
def test_a_postponed_delivery_is_due_when_its_pause_is_over(
    spool: Spool, set_clock: Callable[[float], None], days: int
) -> None:
    set_clock(days * _DAY)
    spool.postpone(_made(spool), 0.2)
    assert spool.due(0) == []
    set_clock(0)
    time.sleep(0.25)
    assert len(spool.due(0)) == 1
    assert len(Spool(spool.folder).due(0)) == 1  # and at once after a restart


@pytest.mark.parametrize("days", [10, -10])
def test_a_study_is_quiet_after_seconds_that_really_went_by(
    spool: Spool, set_clock: Callable[[float], None], days: int
) -> None:
    spool.accept("1.2", "1.2.1", b"image")
    set_clock(days * _DAY)
    assert spool.due(30) == []
    set_clock(0)
    time.sleep(0.25)
    assert len(spool.due(0.2)) == 1


def test_what_was_just_delivered_is_not_old_because_the_clock_was_set(
    spool: Spool, set_clock: Callable[[float], None]
) -> None:
    spool.finish(_made(spool))
    set_clock(400 * _DAY)
    assert spool.prune(_DAY) == 0
    assert spool.accept("1.2", "1.2.1", b"image") is False  # still known


def test_what_was_delivered_under_a_fast_clock_is_deleted_in_its_time(
    spool: Spool, set_clock: Callable[[float], None]
) -> None:
    set_clock(400 * _DAY)
    fast = Spool(spool.folder)
    fast.finish(_made(fast))
    fast.close()
    set_clock(0)
    again = Spool(spool.folder)
    assert again.prune(0.0) == 2


def test_between_two_processes_the_wall_counts_as_far_as_it_can_be_believed() -> None:
    def later(wall_then: float) -> float:
        return StoredClock((1000.0, wall_then), time.time).now() - 1000.0

    now = time.time()
    assert later(now - 3600) == pytest.approx(3600, abs=60)
    assert later(now + 3600) == pytest.approx(0, abs=60)
    assert later(now - 3650 * _DAY) == pytest.approx(7 * _DAY, abs=60)

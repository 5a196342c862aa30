"""Room on the disk of the spool: what counts, when images are refused, and the reserve."""

import errno
from pathlib import Path

import pytest

from tumorlens.pacs.space import Space


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A spool of 100 bytes, 40 of them in a folder below."""
    (tmp_path / "study").mkdir()
    (tmp_path / "queue").write_bytes(bytes(60))
    (tmp_path / "study/1.dcm").write_bytes(bytes(40))
    return tmp_path


def test_what_is_there_already_counts(folder: Path) -> None:
    space = Space(folder, quota_bytes=150)
    assert (space.used_bytes, space.has_room()) == (100, True)
    space.add(20)
    space.measure()
    assert space.used_bytes == 100, "what was never written is not there"


@pytest.mark.parametrize(("quota", "room"), [(None, True), (101, True), (100, False), (99, False)])
def test_a_quota_that_is_reached_refuses_images(
    folder: Path, quota: int | None, room: bool
) -> None:
    space = Space(folder, quota)
    assert space.has_room() is room
    assert not space.is_short.is_set(), "to look is not to be refused"
    if room:
        space.require()
    else:
        with pytest.raises(OSError, match="quota") as caught:
            space.require()
        assert caught.value.errno == errno.EDQUOT
    assert space.is_short.is_set() is not room
    space.require_some()  # the quota is for images; answers only need a disk with room


def test_what_is_deleted_makes_room(folder: Path) -> None:
    space = Space(folder, quota_bytes=110)
    space.add(10)
    assert not space.has_room()
    space.add(-1)
    assert space.has_room()


def test_the_reserve_takes_room_until_it_is_given_away(folder: Path) -> None:
    space, reserve = Space(folder), folder / "reserve"
    space.hold_reserve()
    assert reserve.stat().st_blocks * 512 >= reserve.stat().st_size > 0, "a hole would hold nothing"
    made = reserve.stat().st_mtime_ns
    space.hold_reserve()
    assert reserve.stat().st_mtime_ns == made
    space.release_reserve()
    space.release_reserve()
    assert not reserve.exists()

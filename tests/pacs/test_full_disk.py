"""A full disk, or quota: refused, nothing lost, nothing ended; when there is room it goes on."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom.uid import MRImageStorage
from tests.pacs.archives import Archive
from tests.pacs.machines import Node, send_all, until

from tumorlens.pacs import node
from tumorlens.pacs.settings import NodeSettings
from tumorlens.pacs.space import Space
from tumorlens.pacs.spool import SENT, Spool

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
_MIB = 1 << 20


@pytest.fixture
def archive() -> Iterator[Archive]:
    made = Archive()
    made.start()
    yield made
    made.stop()


def _fill(path: Path) -> None:
    """Take the last byte of the disk."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(64 * 1024)):
            pass


def test_a_node_on_a_full_disk_refuses_goes_on_starts_and_recovers(
    small_disk: Path, archive: Archive, start_node: Callable[..., Node],
    make_study: Callable[[int], Path],
) -> None:  # fmt: skip
    spool, filler = small_disk / "spool", small_disk / "filler"
    # Of two options of one name the last one counts.
    running = start_node(archive.address, 0, "--spool", str(spool))
    assert send_all([make_study(1)], running.port, MRImageStorage) == [0]
    # Until the node has it on record, it would send the answer again, to be safe.
    until(lambda: ": delivered" in running.log.read_text())
    assert len(archive.uids) == 2
    _fill(filler)
    assert send_all([make_study(2)], running.port, MRImageStorage) == [node.OUT_OF_RESOURCES]
    # Full to the last byte, so that what is delivered and the reserve are not enough.
    _fill(filler.with_name("more"))
    assert send_all([make_study(2)], running.port, MRImageStorage) == [node.OUT_OF_RESOURCES]
    assert running.process.poll() is None
    running.kill()
    running.start()  # it can: the reserve is for that
    assert send_all([make_study(2)], running.port, MRImageStorage) == [node.OUT_OF_RESOURCES]
    filler.unlink()
    filler.with_name("more").unlink()
    until(lambda: send_all([make_study(2)], running.port, MRImageStorage) == [0])
    until(lambda: len(archive.uids) == 4)
    assert running.stop() == 0
    assert sorted(Counter(archive.uids).values()) == [1] * 4
    assert "Traceback" not in running.log.read_text()


def test_a_study_that_came_before_the_disk_was_full_is_answered_after_it(
    small_disk: Path, archive: Archive, start_node: Callable[..., Node],
    make_study: Callable[[int], Path],
) -> None:  # fmt: skip
    running = start_node(
        archive.address, 0, "--spool", str(small_disk / "spool"), "--quiet-seconds", "30"
    )
    assert send_all([make_study(1)], running.port, MRImageStorage) == [0]
    _fill(small_disk / "filler")
    until(lambda: "the spool cannot be written" in running.log.read_text())
    _fill(small_disk / "more")
    (small_disk / "filler").unlink()
    (small_disk / "more").unlink()
    until(lambda: len(archive.uids) == 2)
    assert running.stop() == 0
    assert sorted(Counter(archive.uids).values()) == [1, 1]


def test_a_disk_that_is_nearly_full_deletes_what_is_delivered_before_its_time(
    small_disk: Path,
) -> None:
    spool = Spool(small_disk / "spool")
    spool.accept("1.2", "1.2.1", bytes(8 * _MIB))
    (one,) = spool.due(0)
    spool.finish(one)
    (small_disk / "filler").write_bytes(bytes(spool.space.free_bytes - _MIB))
    with pytest.raises(OSError, match="No space"):
        spool.space.require()
    assert spool.space.is_short.is_set()
    assert spool.relieve() == 1
    spool.space.require()
    assert spool.counts() == {SENT: 1}
    spool.close()


def test_a_quota_refuses_and_recovers(tmp_path: Path, make_study: Callable[[int], Path]) -> None:
    spool = Spool(tmp_path / "spool", quota_bytes=5 * _MIB)
    taken = spool.space.used_bytes
    running = node.start(NodeSettings("127.0.0.1", 0, allowed=("TESTER",)), spool)
    try:
        port = int(running.server_address[1])
        assert send_all([make_study(1)], port, MRImageStorage) == [node.SUCCESS]
        ballast = spool.folder / "studies" / "ballast"
        ballast.write_bytes(bytes(5 * _MIB - taken))
        spool.space.measure()
        assert send_all([make_study(2)], port, MRImageStorage) == [node.OUT_OF_RESOURCES]
        # Known or refused, it takes nothing from the quota.
        before = spool.space.used_bytes
        for _ in range(3):
            send_all([make_study(1)], port, MRImageStorage)
        assert spool.space.used_bytes == before
        ballast.unlink()
        spool.space.measure()
        assert send_all([make_study(2)], port, MRImageStorage) == [node.SUCCESS]
    finally:
        running.shutdown()


def test_the_reserve_holds_room_and_is_given_back(tmp_path: Path) -> None:
    space = Space(tmp_path)
    space.hold_reserve()
    reserve = tmp_path / "reserve"
    assert reserve.stat().st_blocks * 512 >= min(4 * _MIB, reserve.stat().st_size) > 0
    space.release_reserve()
    assert not reserve.exists()
    space.hold_reserve()
    assert os.stat(reserve).st_mode & 0o077 == 0  # noqa: PTH116

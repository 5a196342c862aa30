"""Everything at once: poison, kills, a full disk, a clock that is wrong, peers that say nothing.

``TUMORLENS_TEST_STUDIES=200 TUMORLENS_TEST_KILLS=60`` takes four minutes on two cores.
"""

import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.uid import MRImageStorage
from pynetdicom import AE
from tests.pacs.archives import Archive
from tests.pacs.machines import Node, until
from tests.pacs.test_full_disk import _fill

from tumorlens.pacs import node, operate
from tumorlens.pacs.spool import FAILED, SENT, Spool

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
STUDIES = int(os.environ.get("TUMORLENS_TEST_STUDIES", "12"))
KILLS = int(os.environ.get("TUMORLENS_TEST_KILLS", "3"))
_SILENT = 50
_TROUBLES = Path(__file__).parent / "troubles"
_DAY = 86400


@pytest.fixture
def archive() -> Iterator[Archive]:
    made = Archive()
    made.start()
    yield made
    made.stop()


def _counts(folder: Path) -> dict[str, int]:
    """Studies by state, as `tumorlens pacs status` counts them beside the node."""
    with closing(Spool(folder)) as spool:
        return spool.counts()


def _is_poison(number: int) -> bool:
    return number % 20 == 3


def _send(path: Path, port: int) -> int | None:
    """The status; None where the node was not there, or went away."""
    entity = AE("TESTER")
    entity.add_requested_context(MRImageStorage)
    association = entity.associate("127.0.0.1", port, ae_title="TUMORLENS")
    if not association.is_established:
        return None
    with suppress(RuntimeError):
        status = association.send_c_store(path).get("Status")
        association.release()
        return status if status is None else int(status)
    return None


def _fill_for_good(disk: Path, send: Callable[[], int | None]) -> None:
    """Fill the disk, also what the node gives up for it, until it takes nothing."""
    for number in range(20):
        _fill(disk / f"filler{number}")
        if send() == node.OUT_OF_RESOURCES:
            return
    raise AssertionError("the disk does not become full")


def test_every_good_study_is_answered_once_and_poison_is_set_aside(
    small_disk: Path, tmp_path: Path, archive: Archive, start_node: Callable[..., Node],
    write_dicom: Callable[..., bytes], head: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    paths = [str(_TROUBLES), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    spool_folder = small_disk / "spool"
    files = []
    for number in range(STUDIES):
        path = tmp_path / f"study{number}"
        uids = {
            f"{level}InstanceUID": f"1.2.{number}{end}"
            for level, end in (("Study", ""), ("Series", ".1"), ("SOP", ".1.1"))
        }
        more = {"StudyDescription": "POISON"} if _is_poison(number) else {}
        path.write_bytes(write_dicom(head[::2, ::2], **uids, **more))
        files.append(path)
    running = start_node(archive.address, 0, "--spool", str(spool_folder), "--keep-hours", "1")
    to_send, killed = list(files), 0
    with ExitStack() as stack:
        while to_send or killed < KILLS:
            for _ in range(_SILENT):
                address = "127.0.0.1", running.port
                stack.enter_context(socket.create_connection(address, 60))
            batch = max(1, STUDIES // max(1, KILLS))
            for path in to_send[:batch]:
                if (status := _send(path, running.port)) == node.SUCCESS:
                    to_send.remove(path)
                assert status in (node.SUCCESS, node.OUT_OF_RESOURCES)
            if killed == KILLS // 2:
                _fill_for_good(small_disk, lambda: _send(files[0], running.port))
            time.sleep(1)
            if killed < KILLS:
                running.kill()
                killed += 1
                ahead = (10 * _DAY, -10 * _DAY, 0)[killed % 3]
                monkeypatch.setenv("TUMORLENS_TEST_CLOCK_AHEAD", str(ahead))
                running.start()
                for filler in small_disk.glob("filler*"):
                    filler.unlink()
            stack.close()
    good = sum(not _is_poison(number) for number in range(STUDIES))
    poison = STUDIES - good
    # Not by what arrived: on a full disk a study is sent, cannot be marked as sent, and is sent
    # again.
    until(lambda: _counts(spool_folder) == {SENT: good, FAILED: poison}, 1200)
    assert running.stop() == 0
    spool = Spool(spool_folder)
    reasons = Counter(one.reason for one in operate.statuses(spool) if one.state == FAILED)
    assert reasons == {"it crashed the process that read it": poison}
    spool.close()
    assert len(set(archive.uids)) == 2 * good  # a report and an overlay of each
    assert "Traceback" not in running.log.read_text()

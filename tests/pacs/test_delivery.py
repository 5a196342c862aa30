"""A destination that is down, or takes one thing and not another: delivered later, and once."""

import gc
import logging
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage
from tests.pacs.archives import CAPTURE, REPORT, Archive, WebArchive
from tests.pacs.machines import Authority, Node, answer_here, send_all, until

from tumorlens import bundle
from tumorlens.inference.classifier import Classifier
from tumorlens.pacs.destination import destination
from tumorlens.pacs.journal import Journal
from tumorlens.pacs.spool import MADE, SENT, Spool
from tumorlens.pacs.worker import Worker

# pynetdicom 3.0 leaves the socket of a refused connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def archive() -> Iterator[Archive]:
    made = Archive()
    yield made
    made.stop()
    gc.collect()


def _said(node: Node, words: str) -> Callable[[], int]:
    return lambda: node.log.read_text().count(words)


def _counts(node: Node) -> dict[str, int]:
    spool = Spool(node.spool)
    try:
        return spool.counts()
    finally:
        spool.close()


def test_what_was_answered_while_the_archive_was_down_is_sent_once_after_a_kill(
    archive: Archive, start_node: Callable[..., Node], make_study: Callable[[int], Path]
) -> None:
    node = start_node(archive.address)
    assert send_all([make_study(1)], node.port, MRImageStorage) == [0]
    until(_said(node, "not delivered (ARCHIVE: Connection refused)"))
    node.kill()
    assert _counts(node) == {MADE: 1}
    node.start()
    until(lambda: _said(node, "not delivered")() >= 2)
    archive.start()
    until(_said(node, ": delivered"))
    assert node.stop() == 0
    assert _counts(node) == {SENT: 1}
    assert sorted(Counter(archive.asked).values()) == [1, 1]  # the report and the overlay
    node.start()
    assert send_all([make_study(1), make_study(2)], node.port, MRImageStorage) == [0, 0]
    until(lambda: _said(node, ": delivered")() >= 2)  # of the second study alone
    assert node.stop() == 0
    assert sorted(Counter(archive.asked).values()) == [1, 1, 1, 1]


def test_late_images_are_answered_with_the_others_and_only_that_answer_is_sent(
    archive: Archive, start_node: Callable[..., Node], tmp_path: Path,
    write_series: Callable[..., list[bytes]],
) -> None:  # fmt: skip
    paths = [tmp_path / f"{index}.dcm" for index in range(6)]
    for path, data in zip(paths, write_series(6), strict=True):
        path.write_bytes(data)
    node = start_node(archive.address)
    assert send_all(paths[:4], node.port, MRImageStorage) == [0] * 4
    until(_said(node, "not delivered"))  # the archive is down
    before = set((node.spool / "objects").iterdir())
    assert before
    assert send_all(paths[4:], node.port, MRImageStorage) == [0, 0]
    until(lambda: _said(node, "objects made")() == 2)
    archive.start()
    until(_said(node, ": delivered"))
    assert node.stop() == 0
    assert _counts(node) == {SENT: 1}
    objects = set((node.spool / "objects").iterdir())
    assert not objects & before
    assert sorted(archive.uids) == sorted(path.stem for path in objects)
    assert [_replaced(report) for report in archive.reports] == [[]]  # it never had the first


def _names(report: Dataset) -> tuple[str, ...]:
    keywords = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
    return tuple(str(report[keyword].value) for keyword in keywords)


def _replaced(report: Dataset) -> list[tuple[str, ...]]:
    return [
        (study.StudyInstanceUID, series.SeriesInstanceUID,
         one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID)
        for study in report.get("PredecessorDocumentsSequence", ())
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    ]  # fmt: skip


def test_a_report_of_more_images_names_the_delivered_one_that_it_replaces(
    archive: Archive, start_node: Callable[..., Node], tmp_path: Path,
    write_series: Callable[..., list[bytes]],
) -> None:  # fmt: skip
    other = write_series(4, series="1.2.4", SeriesNumber=2)
    paths = [tmp_path / f"{index}.dcm" for index in range(12)]
    for path, data in zip(paths, write_series(8) + other, strict=True):
        path.write_bytes(data)
    archive.start()
    node = start_node(archive.address)
    for answers, sent in enumerate((paths[:4], paths[4:6], paths[8:], paths[6:8]), 1):
        assert send_all(sent, node.port, MRImageStorage) == [0] * len(sent)
        until(lambda: _said(node, ": delivered")() == answers)  # noqa: B023
    assert node.stop() == 0
    kinds = [report.SeriesDescription.split()[1] for report in archive.reports]
    assert kinds[:2] == ["series", "series"]
    # The second series: a report of it, and one of the study. Then the first again, and the study.
    assert [sorted(kinds[2:4]), sorted(kinds[4:])] == [["series", "study"]] * 2
    first, second, *rest = archive.reports
    both = dict(zip(kinds[2:4], rest[:2], strict=True))
    last = dict(zip(kinds[4:], rest[2:], strict=True))
    assert _replaced(first) == []
    assert _replaced(second) == [_names(first)]
    assert _replaced(both["series"]) == _replaced(both["study"]) == []
    assert _replaced(last["series"]) == [_names(second)]
    assert _replaced(last["study"]) == [_names(both["study"])]


def test_what_was_taken_before_a_kill_is_not_sent_again(
    archive: Archive, start_node: Callable[..., Node], make_study: Callable[[int], Path]
) -> None:
    archive.refuses.add(CAPTURE)
    archive.start()
    node = start_node(archive.address)
    assert send_all([make_study(1)], node.port, MRImageStorage) == [0]
    until(lambda: len(archive.uids) == 1 and _said(node, "status A700")())
    node.kill()
    archive.refuses.clear()
    node.start()
    until(_said(node, ": delivered"))
    assert node.stop() == 0
    assert sorted(Counter(archive.uids).values()) == [1, 1]


@pytest.mark.parametrize(("fatal", "reports"), [(CAPTURE, 2), (REPORT, 0)])
def test_a_kind_of_object_at_which_the_archive_breaks_off_holds_up_no_other(
    archive: Archive, start_node: Callable[..., Node], make_study: Callable[[int], Path],
    fatal: str, reports: int,
) -> None:  # fmt: skip
    archive.aborts.add(fatal)
    archive.start()
    node = start_node(archive.address)
    assert send_all([make_study(1), make_study(2)], node.port, MRImageStorage) == [0, 0]
    until(lambda: len(archive.uids) == 2)
    assert len(archive.reports) == reports
    archive.aborts.clear()
    until(lambda: _said(node, ": delivered")() == 2)
    assert node.stop() == 0
    assert sorted(Counter(archive.uids).values()) == [1, 1, 1, 1]


def test_a_web_server_is_sent_to_once_its_authority_is_configured(
    start_node: Callable[..., Node], make_study: Callable[[int], Path],
    ours: Authority, others: Authority,
) -> None:  # fmt: skip
    archive = WebArchive(ours.issue(None))
    try:
        node = start_node(archive.url, 0, "--web-ca", str(others.file))
        assert send_all([make_study(1)], node.port, MRImageStorage) == [0]
        until(_said(node, "not delivered (STOW-RS: TLS (unable to get local issuer certificate))"))
        node.kill()
        assert archive.uids == []
        again = start_node(archive.url, 0, "--web-ca", str(ours.file))
        until(_said(again, ": delivered"))
        assert again.stop() == 0
        assert sorted(Counter(archive.uids).values()) == [1, 1]
    finally:
        archive.stop()


class _Door:
    """Counts who knocks, and lets nobody in."""

    def __init__(self) -> None:
        self.knocks = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            visitor, _ = self._socket.accept()
            with visitor:
                if visitor.recv(1) == b"q":
                    return
                self.knocks += 1

    def close(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as last:
            last.sendall(b"q")
        self._thread.join()
        self._socket.close()


def test_one_study_finds_out_that_the_destination_is_down_and_all_are_answered(
    spool: Spool, make_study: Callable[[int], Path], tiny_bundle: Path, archive: Archive,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.CRITICAL + 1, "pynetdicom")  # its records would keep sockets open
    for number in range(4):
        data = make_study(number).read_bytes()
        spool.accept(f"1.2.{number}", f"1.2.{number}.1.1", data)
    with ExitStack() as closing:
        door = _Door()
        closing.callback(door.close)
        answer = answer_here(Classifier(bundle.load(str(tiny_bundle))))
        goal = destination(f"DOOR@127.0.0.1:{door.port}", "TUMORLENS")
        worker = Worker(spool, answer, goal, quiet_s=0, keep_s=3600, retry_s=300)
        assert worker.once() == 4
        assert spool.counts() == {MADE: 4}
        assert worker.once() == 0
    assert door.knocks == 2  # to deliver, and to say why not; the second says nothing
    archive.start()
    to_archive = destination(archive.address, "TUMORLENS")
    other = Worker(spool, answer, to_archive, quiet_s=0, keep_s=3600)
    assert other.once() == 3  # the one that was tried waits for its time
    assert spool.counts() == {MADE: 1, SENT: 3}
    assert sorted(Counter(archive.uids).values()) == [1] * 6


@pytest.mark.parametrize("kind", [CAPTURE, REPORT])
def test_a_kind_of_object_that_the_archive_does_not_know_holds_up_nothing_else(
    spool: Spool, make_study: Callable[[int], Path], tiny_bundle: Path, archive: Archive,
    caplog: pytest.LogCaptureFixture, kind: str,
) -> None:  # fmt: skip
    caplog.set_level(logging.CRITICAL + 1, "pynetdicom")
    archive.kinds = [kind]
    archive.start()
    for number in range(3):
        data = make_study(number).read_bytes()
        spool.accept(f"1.2.{number}", f"1.2.{number}.1.1", data)
    answer = answer_here(Classifier(bundle.load(str(tiny_bundle))))
    goal = destination(archive.address, "TUMORLENS")
    journal = Journal()
    Worker(spool, answer, goal, quiet_s=0, keep_s=3600, retry_s=300, journal=journal).once()
    assert len(archive.uids) == 3
    assert journal.counts()["not_delivered"] == 3
    assert spool.counts() == {MADE: 3}

"""Deleting what is delivered: all of it and nothing else, also when killed in the middle."""

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from tumorlens.pacs.answering import StudyAnswer
from tumorlens.pacs.destination import destination
from tumorlens.pacs.spool import FAILED, MADE, RECEIVING, SENT, Spool, Waiting
from tumorlens.pacs.worker import Worker

_DAY_S = 86400.0


def _study(spool: Spool, number: int, images: int = 3) -> Waiting:
    for one in range(images):
        spool.accept(f"1.{number}", f"1.{number}.{one}", b"image")
    (found,) = (w for w in spool.due(0) if w.key == spool.key(f"1.{number}"))
    return found


def _answer(spool: Spool, one: Waiting, uid: str) -> None:
    spool.keep_answer(one, [(uid, "class", b"answer")])


def _deliver(spool: Spool, one: Waiting, uid: str) -> None:
    _answer(spool, one, uid)
    spool.mark_sent(uid)
    spool.finish(one)


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.dcm"))


def test_only_what_is_delivered_goes_and_only_when_its_time_is_over(spool: Spool) -> None:
    delivered, made, failed, coming = (_study(spool, number) for number in range(4))
    _deliver(spool, delivered, "2.25.1")
    _answer(spool, made, "2.25.2")
    spool.finish(failed, FAILED)
    assert spool.prune(3600) == 0
    before = _files(spool.folder)
    assert spool.prune(0) == 4
    gone = set(before) - set(_files(spool.folder))
    assert {name.split("/")[1] for name in gone} == {delivered.key, "2.25.1.dcm"}
    assert not (spool.folder / "studies" / delivered.key).exists()
    assert spool.counts() == {SENT: 1, MADE: 1, FAILED: 1, RECEIVING: 1}
    assert [one.key for one in spool.due(0)] == [made.key, coming.key]
    assert spool.prune(0) == 0


def test_what_is_deleted_is_not_answered_again_until_it_is_forgotten(spool: Spool) -> None:
    _deliver(spool, _study(spool, 1), "2.25.1")
    spool.prune(0)
    spool.accept("1.1", "1.1.0", b"image")
    assert spool.due(0) == []
    assert _files(spool.folder) == []
    spool.prune(0, names_s=0)
    assert spool.counts() == {}
    spool.accept("1.1", "1.1.0", b"image")
    assert len(spool.due(0)) == 1


def test_images_outlive_the_wait_for_a_destination_that_was_down(spool: Spool) -> None:
    one = _study(spool, 1)
    with sqlite3.connect(spool.folder / "queue.sqlite") as db:  # it came two days ago
        db.execute("UPDATE studies SET received = received - ?", (2 * _DAY_S,))
    _deliver(spool, one, "2.25.1")
    assert spool.prune(_DAY_S) == 0


def test_a_late_image_opens_the_study_again_and_stays(spool: Spool) -> None:
    one = _study(spool, 1)
    _deliver(spool, one, "2.25.1")
    spool.prune(0)
    spool.accept("1.1", "1.1.late", b"late")
    assert spool.prune(0) == 0
    (again,) = spool.due(0)
    assert [path.read_bytes() for path in spool.study_folder(again.key).iterdir()] == [b"late"]
    _deliver(spool, again, "2.25.2")
    assert spool.prune(0) == 2


def test_an_answer_that_came_too_late_leaves_no_file(spool: Spool) -> None:
    one = _study(spool, 1)
    spool.accept("1.1", "1.1.late", b"late")
    _answer(spool, one, "2.25.1")
    assert not spool.object_path("2.25.1").exists()


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
@pytest.mark.parametrize("after", [1, 3, 5])
def test_killed_in_the_middle_it_goes_on_and_nothing_else_is_lost(spool: Spool, after: int) -> None:
    delivered, made = _study(spool, 1), _study(spool, 2)
    _deliver(spool, delivered, "2.25.1")
    _answer(spool, made, "2.25.2")
    spool.close()
    program = textwrap.dedent(
        f"""
        import os, pathlib, signal, sys
        from tumorlens.pacs.spool import Spool

        left = {after}
        def before(event, _):
            global left
            if event == "os.remove":
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)

        spool = Spool(pathlib.Path(sys.argv[1]))
        sys.addaudithook(before)
        spool.prune(0)
        """
    )
    ended = subprocess.run([sys.executable, "-c", program, str(spool.folder)], check=False)
    assert ended.returncode == (-signal.SIGKILL if after < 5 else 0)  # there are four files
    assert len(_files(spool.folder)) == 8 - (after - 1)
    again = Spool(spool.folder)
    left = [f"studies/{made.key}/{again.key(f'1.2.{one}')}.dcm" for one in range(3)]
    assert _files(spool.folder) == sorted([*left, "objects/2.25.2.dcm"])
    for one in range(3):
        again.accept("1.1", f"1.1.{one}", b"image")
    assert [waiting.key for waiting in again.due(0)] == [made.key]
    assert again.unsent(made.key) == [("2.25.2", "class")]


def test_what_lost_its_sender_goes_and_what_is_coming_in_stays(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tumorlens.pacs.store._STALE_S", 0.0)
    lost, coming = spool.incoming / "lost", spool.incoming / "coming"
    for path in (lost, coming):
        path.write_bytes(b"half an image")
        os.utime(path, (0, 0))  # a clock that is wrong takes nobody's image away
    spool.prune(0)
    assert {path.name for path in spool.incoming.iterdir()} == {"lost", "coming"}
    coming.write_bytes(b"half an image, and more")
    spool.prune(0)
    assert [path.name for path in spool.incoming.iterdir()] == ["coming"]


def test_a_queue_that_another_program_locks_deletes_nothing_before_its_time(spool: Spool) -> None:
    _deliver(spool, _study(spool, 1), "2.25.1")
    _study(spool, 2)
    files = _files(spool.folder)
    other = sqlite3.connect(
        spool.folder / "queue.sqlite", isolation_level=None, check_same_thread=False
    )
    other.execute("BEGIN IMMEDIATE")
    stop = threading.Event()

    class Unlock(logging.Handler):
        """As soon as the worker has said that it cannot write."""

        def emit(self, record: logging.LogRecord) -> None:
            assert "the spool cannot be written" in record.getMessage()
            other.execute("ROLLBACK")
            stop.set()

    handler = Unlock()
    logger = logging.getLogger("tumorlens.pacs.worker")
    logger.addHandler(handler)
    goal = destination("NOBODY@127.0.0.1:9", "US")
    Worker(spool, lambda *_: StudyAnswer([], []), goal, quiet_s=0, keep_s=3600).run(stop)
    logger.removeHandler(handler)
    other.close()
    assert _files(spool.folder) == files

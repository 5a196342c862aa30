"""The queue: what was accepted stays, what is known changes nothing."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tumorlens.pacs import operate
from tumorlens.pacs.answering import StudyAnswer
from tumorlens.pacs.spool import FAILED, MADE, RECEIVING, SENT, Spool
from tumorlens.pacs.worker import Worker


class _Site:
    """Answers a study with the names of its images, and keeps what it is sent."""

    def __init__(self, spool: Spool) -> None:
        self.sent: list[bytes] = []
        self.worker = Worker(spool, self._answer, self, quiet_s=0, keep_s=3600)

    def send(self, path: Path, sop_class_uid: str) -> None:
        assert sop_class_uid == "class"
        self.sent.append(path.read_bytes())

    @staticmethod
    def _answer(_key: str, folder: Path, _delivered: Sequence[Path]) -> StudyAnswer:
        names = " ".join(sorted(path.stem for path in folder.iterdir()))
        return StudyAnswer([("2.25.1", "class", names.encode())], [])


def test_what_was_accepted_is_there_after_reopening(spool: Spool) -> None:
    spool.accept("1.2", "1.2.3", b"data")
    again = Spool(spool.folder)  # the first one is not closed: as after SIGKILL
    (one,) = again.due(0)
    assert one.state == RECEIVING
    assert [path.read_bytes() for path in again.study_folder(one.key).iterdir()] == [b"data"]


def test_names_on_disk_say_nothing_and_reach_nowhere(spool: Spool) -> None:
    spool.accept("../../escape", "../1.2.3", b"data")
    names = [path.relative_to(spool.folder).as_posix() for path in spool.folder.rglob("*")]
    assert len([name for name in names if name.endswith(".dcm")]) == 1
    assert not any("escape" in name or "1.2.3" in name for name in names)
    assert not list(spool.folder.parent.glob("escape*"))
    other = Spool(spool.folder.parent / "other")
    assert other.key("1.2") != spool.key("1.2") == Spool(spool.folder).key("1.2")


def test_a_study_is_due_when_it_is_quiet(spool: Spool) -> None:
    spool.accept("1.2", "1.2.3", b"data")
    assert spool.due(3600) == []
    assert len(spool.due(0)) == 1


def test_a_known_instance_opens_no_closed_study(spool: Spool) -> None:
    spool.accept("1.2", "1.2.3", b"data")
    (one,) = spool.due(0)
    spool.keep_answer(one, [("2.25.1", "class", b"answer")])
    (made,) = spool.due(3600)
    assert made.state == MADE
    assert spool.unsent(one.key) == [("2.25.1", "class")]
    spool.mark_sent("2.25.1")
    spool.finish(made)
    spool.accept("1.2", "1.2.3", b"data")
    assert spool.due(0) == []
    assert spool.counts() == {SENT: 1}


def test_an_instance_that_comes_during_work_keeps_the_study_open(spool: Spool) -> None:
    spool.accept("1.2", "1.2.3", b"data")
    (one,) = spool.due(0)
    spool.accept("1.2", "1.2.4", b"late")
    spool.keep_answer(one, [("2.25.1", "class", b"answer")])
    spool.finish(one)
    (again,) = spool.due(0)
    assert (again.state, again.revision) == (RECEIVING, 2)
    assert spool.unsent(one.key) == []


def test_an_object_made_again_stays_the_one_that_was_sent(spool: Spool) -> None:
    for data in (b"first", b"second"):
        spool.accept("1.2", f"1.2.{len(data)}", b"data")
        (one,) = spool.due(0)
        spool.keep_answer(one, [("2.25.1", "class", data)])
        for uid, _ in spool.unsent(one.key):
            spool.mark_sent(uid)
        spool.finish(one)
    assert spool.object_path("2.25.1").read_bytes() == b"first"
    assert spool.unsent(one.key) == []


def test_an_answer_of_more_images_takes_the_place_of_what_is_not_sent_yet(spool: Spool) -> None:
    spool.accept("1.2", "1.2.1", b"data")
    (one,) = spool.due(0)
    first = [("2.25.1", "class", b"sent"), ("2.25.2", "class", b"waits"), ("2.25.3", "class", b"")]
    spool.keep_answer(one, first)
    spool.mark_sent("2.25.1")
    spool.accept("1.2", "1.2.2", b"late")
    (again,) = spool.due(0)
    assert again.state == RECEIVING
    spool.keep_answer(again, [("2.25.3", "class", b"other"), ("2.25.4", "class", b"new")])
    assert [uid for uid, _ in spool.unsent(one.key)] == ["2.25.3", "2.25.4"]
    assert not spool.object_path("2.25.2").exists()
    assert [spool.object_path(f"2.25.{k}").read_bytes() for k in (1, 3, 4)] == [
        b"sent",
        b"",
        b"new",
    ]


def test_what_failed_stays_aside_until_it_is_tried_again(spool: Spool) -> None:
    spool.accept("1.2", "1.2.3", b"data")
    (one,) = spool.due(0)
    spool.finish(one, FAILED, "it crashed the process that read it")
    again = Spool(spool.folder)
    assert again.due(0) == []
    (status,) = operate.statuses(again)
    assert (status.state, status.reason) == (FAILED, "it crashed the process that read it")
    assert operate.retry(again, operate.failed(again)) == 1
    assert [waiting.state for waiting in spool.due(0)] == [RECEIVING]


def test_a_postponed_study_waits(spool: Spool) -> None:
    spool.accept("1.2", "1.2.3", b"data")
    (one,) = spool.due(0)
    spool.postpone(one, 3600)
    assert spool.due(0) == []


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:20]),
        lambda path: path.write_bytes(bytes(path.stat().st_size)),
    ],
    ids=["gone", "empty", "cut", "zeros"],
)
def test_a_damaged_file_of_an_answer_is_made_again_and_never_sent(
    spool: Spool, damage: Callable[[Path], object]
) -> None:
    spool.accept("1.2", "1.2.3", b"data")
    (one,) = spool.due(0)
    whole = spool.key("1.2.3").encode()
    spool.keep_answer(one, [("2.25.1", "class", whole)])
    damage(spool.object_path("2.25.1"))
    site = _Site(spool)
    while site.worker.once():
        pass
    assert site.sent == [whole]
    assert spool.counts() == {SENT: 1}


def test_answers_of_a_version_that_noted_no_digest_are_sent(spool: Spool) -> None:
    spool.accept("1.2", "1.2.3", b"data")
    (one,) = spool.due(0)
    spool.keep_answer(one, [("2.25.1", "class", b"answer")])
    with spool.changing() as db:
        db.execute("ALTER TABLE objects DROP COLUMN digest")
    spool.close()
    again = Spool(spool.folder)
    site = _Site(again)
    site.worker.once()
    assert site.sent == [b"answer"]


def _delete_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize(
    "lose",
    [
        Path.unlink,
        _delete_folder,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"date"),
    ],
    ids=["one", "all", "cut", "a bit"],
)
def test_a_study_that_lost_images_is_answered_when_they_come_again(
    spool: Spool, lose: Callable[[Path], object]
) -> None:
    for number in (1, 2):
        spool.accept("1.2", f"1.2.{number}", b"data")
    lose(spool.image_path(spool.key("1.2"), spool.key("1.2.1")))
    site = _Site(spool)
    site.worker.once()
    (study,) = operate.statuses(spool)
    assert (study.state, site.sent) == (FAILED, [])
    assert study.reason.startswith("files of ")
    assert study.reason.endswith(" images are missing or damaged; send the study again")
    for number in (1, 2):
        spool.accept("1.2", f"1.2.{number}", b"data")
    site.worker.once()
    assert site.sent == [" ".join(sorted(spool.key(f"1.2.{n}") for n in (1, 2))).encode()]
    assert spool.counts() == {SENT: 1}


def _steps(spool: Spool, work: Callable[[Spool], object]) -> int:
    """Of sqlite's machine."""
    steps: list[None] = []
    with spool.reading() as db:
        db.set_progress_handler(lambda: steps.append(None), 1)
    work(spool)
    with spool.reading() as db:
        db.set_progress_handler(None, 0)
    return len(steps)


def _remember(spool: Spool, studies: range, images: range) -> None:
    """Fill the queue with delivered studies, the files of which are deleted."""
    with spool.changing() as db:
        for key in map(str, studies):
            db.execute(
                "INSERT OR IGNORE INTO studies (study, revision, received, state, attempts, "
                "closed) VALUES (?, 1, 0.0, ?, 0, ?)",
                (key, SENT, spool.now()),
            )
            for name in images:
                db.execute("INSERT INTO instances VALUES (?, ?, 2, '')", (key, str(name)))
                db.execute(
                    "INSERT INTO objects (uid, study, sop_class, sent, file) "
                    "VALUES (?, ?, '', 1, 2)",
                    (f"2.{key}.{name}", key),
                )


@pytest.mark.parametrize(
    "work",
    [lambda spool: spool.due(0), lambda spool: spool.prune(3600), lambda spool: spool.unsent("1")],
    ids=["due", "prune", "unsent"],
)
def test_the_work_does_not_grow_with_the_images_that_are_remembered(
    spool: Spool, work: Callable[[Spool], object]
) -> None:
    _remember(spool, range(100), range(1))
    few = _steps(spool, work)
    _remember(spool, range(2, 100), range(1, 20))
    assert _steps(spool, work) <= 1.5 * few


def test_the_work_of_a_status_grows_as_the_studies_do(spool: Spool) -> None:
    _remember(spool, range(200), range(1))
    few = _steps(spool, operate.statuses)
    _remember(spool, range(200, 400), range(1))
    assert _steps(spool, operate.statuses) <= 2.5 * few

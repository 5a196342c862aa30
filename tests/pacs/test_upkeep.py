"""Before the work: one process claims a spool, tidies up, and rebuilds a queue that is damaged."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.pacs.machines import Node

from tumorlens.cli.pacs import command
from tumorlens.pacs.journal import Journal
from tumorlens.pacs.private import SpoolError
from tumorlens.pacs.spool import MADE, RECEIVING, Spool
from tumorlens.pacs.upkeep import adopt, lock_spool, rebuild

_PAGE = 4096


def _listen(folder: Path, bundle: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tumorlens", "pacs", "listen", "--port", "0", "--spool", str(folder),
         "--send-to", "A@127.0.0.1:9", "--allow", "TESTER", "--bundle", str(bundle)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def _garbage(path: Path) -> None:
    path.write_bytes(b"garbage" * 1000)


def _garbage_behind_the_header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[_PAGE:] = os.urandom(len(data) - _PAGE)
    path.write_bytes(data)


def _cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 3 * _PAGE + 100])


def _of_another_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE studies (name TEXT)")
    db.close()


def _changed(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with sqlite3.connect(path) as db:
            assert db.execute(statement).rowcount
        db.close()

    return change


@pytest.mark.parametrize(
    "damage",
    [
        _garbage,
        _garbage_behind_the_header,
        _cut_off,
        _of_another_program,
        _changed("UPDATE studies SET revision=NULL"),
        _changed("UPDATE studies SET attempts='many'"),
        _changed("UPDATE studies SET received=x'00'"),
        _changed("UPDATE instances SET file='x' WHERE rowid=7"),
        _changed("INSERT INTO objects (uid, study, sop_class, sent) VALUES (NULL, 'a', 'b', 0)"),
        _changed("INSERT INTO clock VALUES (1, 'noon', NULL)"),
    ],
)
def test_a_damaged_queue_is_one_line_and_rebuilt_from_its_images(
    spool: Spool, tiny_bundle: Path, damage: Callable[[Path], None]
) -> None:
    for number in range(40):
        spool.accept(f"1.{number % 3}", f"1.{number}", b"image")
    spool.close()
    images = sorted((spool.folder / "studies").rglob("*.dcm"))
    for name in ("queue.sqlite-wal", "queue.sqlite-shm"):
        (spool.folder / name).unlink(missing_ok=True)
    damage(spool.folder / "queue.sqlite")
    ended = _listen(spool.folder, tiny_bundle)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert f"'tumorlens pacs rebuild --spool {spool.folder}'" in ended.stderr.splitlines()[-1]
    assert sorted((spool.folder / "studies").rglob("*.dcm")) == images
    result = CliRunner().invoke(command, ["rebuild", "--spool", str(spool.folder)])
    assert result.exit_code == 0, result.output
    assert "40 images in the queue" in result.output
    assert list(spool.folder.glob("queue.sqlite.damaged-*"))
    again = Spool(spool.folder)
    assert again.counts() == {RECEIVING: 3}
    assert len(again.due(0)) == 3
    # What was accepted before is still known.
    assert again.accept("1.0", "1.0", b"image") is False


def _folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.skipif(os.name == "nt", reason="pipes are POSIX's")
@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("salt", _empty, "damaged; restore it from a backup"),
        *((name, _folder, "must be a file") for name in ("audit.jsonl", "lock", "salt")),
        *((name, _pipe, "neither a file nor a folder") for name in ("audit.jsonl", "lock", "salt")),
        ("queue.sqlite", _folder, "must be a file"),
        ("queue.sqlite", _pipe, "neither a file nor a folder"),
    ],
)
def test_a_file_of_another_kind_is_told_by_name(
    spool: Spool, name: str, change: Callable[[Path], None], words: str
) -> None:
    spool.accept("1.2", "1.2.3", b"image")
    spool.close()
    change(spool.folder / name)
    images = sorted((spool.folder / "studies").rglob("*.dcm"))
    for use in ("status", "rebuild"):
        result = CliRunner().invoke(command, [use, "--spool", str(spool.folder)])
        assert isinstance(result.exception, SpoolError)
        assert str(result.exception).startswith(f"{spool.folder / name}: {words}")
    assert sorted((spool.folder / "studies").rglob("*.dcm")) == images


@pytest.mark.skipif(os.name == "nt", reason="pipes are POSIX's")
def test_an_audit_log_that_is_a_pipe_holds_nothing_up(tmp_path: Path) -> None:
    _pipe(tmp_path / "audit")
    with pytest.raises(OSError, match="No such device"):  # nobody reads it
        Journal(tmp_path / "audit")
    reader = os.open(tmp_path / "audit", os.O_RDONLY | os.O_NONBLOCK)
    journal = Journal(tmp_path / "audit")
    journal.record("started")
    assert b'"started"' in os.read(reader, 1000)
    for _ in range(2000):  # more than a pipe holds
        journal.record("received", study="k" * 32)
    os.close(reader)
    journal.record("stopped")
    journal.close()
    assert journal.counts()["audit_lost"] > 0


def test_a_queue_that_is_gone_is_made_again(spool: Spool) -> None:
    spool.accept("1.2", "1.2.3", b"image")
    spool.close()
    for path in spool.folder.glob("queue.sqlite*"):
        path.unlink()
    again = Spool(spool.folder)
    assert again.counts() == {}
    lock_spool(again).close()
    assert again.counts() == {RECEIVING: 1}


def test_a_queue_of_a_later_version_is_told_and_left_alone(spool: Spool) -> None:
    spool.accept("1.2", "1.2.1", b"image")
    with spool.changing() as db:
        db.execute("PRAGMA user_version=1000")
    spool.close()
    before = (spool.folder / "queue.sqlite").read_bytes()
    for use in (Spool, rebuild):
        with pytest.raises(SpoolError, match="a later version of tumorlens made the queue"):
            use(spool.folder)
    assert (spool.folder / "queue.sqlite").read_bytes() == before


def test_a_sound_queue_stays(spool: Spool) -> None:
    spool.accept("1.2", "1.2.3", b"image")
    (one,) = spool.due(0)
    spool.keep_answer(one, [("2.25.1", "class", b"answer")])
    assert rebuild(spool.folder) == (1, None)
    assert spool.counts() == {MADE: 1}
    assert adopt(spool) == 0


def test_there_must_be_a_spool_to_rebuild(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="contains no spool"):
        rebuild(tmp_path)


def test_only_one_process_works_on_a_spool(
    start_node: Callable[..., Node], tiny_bundle: Path
) -> None:
    node = start_node("A@127.0.0.1:9")
    second = _listen(node.spool, tiny_bundle)
    assert second.returncode == 1
    assert "another tumorlens process uses this spool" in second.stderr
    node.kill()
    node.start()  # the claim ends with the process, however it ends
    assert node.stop() == 0


def test_what_a_killed_process_left_half_written_goes_at_the_next_start(spool: Spool) -> None:
    spool.accept("1.2", "1.2.3", b"image")
    left = [spool.incoming / "ab.dcm", spool.folder / "objects" / ".2.25.1.dcm.0a1b2c3d"]
    left.append(spool.folder / ".salt.0a1b2c3d")
    for path in left:
        path.write_bytes(b"half")
    again = Spool(spool.folder)
    lock_spool(again).close()
    assert not [path for path in left if path.exists()]
    assert again.counts() == {RECEIVING: 1}

"""What is on the disk while a study is read, and what is left of it."""

import errno
import multiprocessing
import os
import time
from pathlib import Path

import httpx
import pytest
from tests.server.wire import Start

from tumorlens.server import predictor, scratch
from tumorlens.server.renaming import Renaming, places


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def _die_with_a_study(where: str, ready: "multiprocessing.synchronize.Event") -> None:
    import tempfile

    tempfile.tempdir = where
    with scratch.folder() as folder:
        (folder / "00000").write_bytes(b"a patient's file")
        ready.set()
        time.sleep(600)


def test_a_folder_is_private_and_goes(temporary: Path) -> None:
    with scratch.folder() as folder:
        assert folder.parent.stat().st_mode & 0o777 == 0o700
        (folder / "00000").write_bytes(b"x")
        assert scratch.sweep() == 0, "it is in use"
    assert not list(temporary.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
def test_what_a_killed_server_left_is_deleted(temporary: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    server = context.Process(target=_die_with_a_study, args=(str(temporary), ready))
    server.start()
    assert ready.wait(60)
    assert scratch.sweep() == 0
    server.kill()
    server.join()
    assert len(list(temporary.rglob("00000"))) == 1
    assert scratch.sweep() == 1
    assert not list(temporary.iterdir())


def test_others_are_left_alone(temporary: Path) -> None:
    (temporary / "tumorlens-study-new").mkdir()  # another server is about to lock it
    (temporary / "tumorlens-other").mkdir()
    (temporary / "tumorlens-study-link").symlink_to(temporary / "tumorlens-other")
    assert scratch.sweep() == 0
    assert len(list(temporary.iterdir())) == 3


def test_a_full_disk_is_a_507(
    start: Start, image: bytes, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with start(workers=1) as url:
        monkeypatch.setattr(predictor, "_write", full)
        answer = httpx.post(f"{url}/v1/studies", files={"files": ("a.png", image)}, timeout=60)
        assert answer.status_code == 507
        assert answer.json()["type"] == "urn:tumorlens:problem:no_room"
        assert not list(temporary.iterdir())
        monkeypatch.undo()
        answer = httpx.post(f"{url}/v1/studies", files={"files": ("a.png", image)}, timeout=60)
        assert answer.status_code == 200


def test_a_temporary_folder_that_is_gone_is_told(
    start: Start, image: bytes, temporary: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with start(workers=1) as url:
        temporary.rmdir()
        answer = httpx.post(f"{url}/v1/studies", files={"files": ("a.png", image)}, timeout=60)
        assert answer.status_code == 507
        assert "No such file or directory" in answer.json()["detail"]
        assert "temporary folder: No such file or directory" in caplog.text
        temporary.mkdir()
        answer = httpx.post(f"{url}/v1/studies", files={"files": ("a.png", image)}, timeout=60)
        assert answer.status_code == 200


def test_renaming() -> None:
    names = ["a.png", "b.png", "left/a.png", "right\\a.png", "left/b.png"]
    assert places(names) == [
        "00000/00000",
        "00000/00001",
        "00001/00002",
        "00002/00003",
        "00001/00004",
    ]
    renaming = Renaming("/tmp/x/study", names)
    told = {
        "path": "/tmp/x/study/00000/00001",
        "n": 1,
        "of": ["/tmp/x/study: /tmp/x/study/00001/00004 is in /tmp/x/study/00001", None],
        "folder": "/tmp/x/study/00000",
    }
    assert renaming(told) == {
        "path": "b.png", "n": 1, "of": ["study: left/b.png is in left", None], "folder": "study",
    }  # fmt: skip
    assert renaming.whole == "/tmp/x/study"
    assert Renaming("/tmp/x/study", ["a.zip"]).whole == "/tmp/x/study/00000/00000"

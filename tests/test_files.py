"""Files that are what they are said to be, and cells that a spreadsheet does not run."""

import errno
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tumorlens import files
from tumorlens.files import from_spreadsheet_safe, read_regular, spreadsheet_safe


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "'=1", "''@"])
def test_formulas_are_text(text: str) -> None:
    assert spreadsheet_safe(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=1", "'quoted'", "scans/-1.png", " =1", "0.5"])
def test_what_is_no_formula_stays(text: str) -> None:
    assert spreadsheet_safe(text) == text
    assert from_spreadsheet_safe(text) == text


@given(st.text(alphabet="'=+-@\t\ra "))
def test_any_text_comes_back(text: str) -> None:
    assert from_spreadsheet_safe(spreadsheet_safe(text)) == text


def test_read_regular(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_regular(path, 4)
    with pytest.raises(OSError, match="No such file"):
        read_regular(tmp_path / "b", 5)


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")
def test_pipes_and_devices_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path(os.devnull), Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
            read_regular(path, 5)


def test_a_full_disk_names_the_file_that_was_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "answers"
    path.write_bytes(b"old")
    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(OSError, match="No space left") as failed:
        files.write_synced(path, b"new")
    assert failed.value.filename == str(path)
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"old"]


_WRITES_FOR_EVER = """
import sys, time
from pathlib import Path
from tumorlens.files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    print("begun", flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".hidden", ".profile.d", ".part.parquet.0123456"):
        (tmp_path / name).write_bytes(b"not ours")
    command = [sys.executable, "-c", _WRITES_FOR_EVER, str(tmp_path / "part")]
    writing = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    for one in writing:
        assert one.stdout is not None
        assert one.stdout.readline() == b"begun\n"
        one.stdout.close()
    before = set(tmp_path.iterdir())
    files.sweep(tmp_path)  # of live processes
    assert set(tmp_path.iterdir()) == before
    writing[0].kill()
    writing[0].wait()
    files.sweep(tmp_path)
    assert len(set(tmp_path.iterdir())) == len(before) - 1
    writing[1].kill()
    writing[1].wait()
    files.sweep(tmp_path)
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"not ours"}
    files.sweep(tmp_path / "nowhere")


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
def test_files_are_written_whole_while_another_process_sweeps(tmp_path: Path) -> None:
    sweeping = (
        "import sys; from pathlib import Path; from tumorlens.files import sweep\n"
        "print('begun', flush=True)\nwhile True: sweep(Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", sweeping, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for number in range(300):
            files.write_synced(tmp_path / "part", b"%d" % number)
            assert (tmp_path / "part").read_bytes() == b"%d" % number
        assert process.poll() is None
        process.kill()


def test_a_folder_that_goes_while_writing_is_told_by_the_name_of_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()

    def write() -> None:
        with files.replacing(folder / "part") as temporary:
            shutil.rmtree(folder)
            temporary.write_bytes(b"")

    with pytest.raises(OSError, match=re.escape(f"'{folder / 'part'}'") + "$"):
        write()

"""Files that are what they are said to be, and cells that a spreadsheet does not run."""

import errno
import os
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

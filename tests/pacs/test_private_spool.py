"""A spool is for its owner's eyes, whatever the folder was before."""

import os
import stat
from pathlib import Path

import pytest

from tumorlens.pacs.journal import Journal
from tumorlens.pacs.private import SpoolError
from tumorlens.pacs.spool import Spool
from tumorlens.pacs.upkeep import lock_spool

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")


@pytest.fixture(autouse=True)
def usual_umask() -> None:
    os.umask(0o022)


def _use(folder: Path) -> None:
    spool = Spool(folder)
    lock_spool(spool).close()
    spool.accept("1.2", "1.2.3", b"image")
    (one,) = spool.due(0)
    spool.keep_answer(one, [("2.25.1", "class", b"answer")])
    journal = Journal(folder / "audit.jsonl")
    journal.record("started")
    journal.close()
    spool.close()


def _open_to_others(folder: Path) -> list[Path]:
    """What group or others reach: its own mode and that of all folders above let them."""
    if not stat.S_IMODE(folder.stat().st_mode) & 0o077:
        return []
    found = []
    for path in folder.iterdir():
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            found += [path, *_open_to_others(path)] if path.is_dir() else [path]
    return found


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o750, 0o700])
def test_a_folder_that_was_there_becomes_private(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    folder.chmod(mode)
    _use(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")} <= {0o700, 0o600}


def test_a_folder_with_other_files_keeps_its_mode_and_the_spool_in_it_is_private(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    (folder / "readme.txt").write_text("of somebody else")
    _use(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert _open_to_others(folder) == [folder / "readme.txt"]


def test_modes_that_were_wrong_are_mended(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    _use(folder)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    Spool(folder).close()
    assert not [path for path in folder.rglob("*") if stat.S_IMODE(path.stat().st_mode) & 0o077]


def test_the_spool_may_be_a_link_but_nothing_in_it(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir(mode=0o755)
    link.symlink_to(real)
    _use(link)
    assert stat.S_IMODE(real.stat().st_mode) == 0o700
    other = tmp_path / "other"
    other.mkdir()
    (other / "salt").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SpoolError, match="links are not allowed"):
        Spool(other)


def test_a_file_is_no_spool(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="must be a folder"):
        Spool(tmp_path / "file")

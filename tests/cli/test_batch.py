"""The command: what it writes, says and exits with."""

import io
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.batch.conftest import rows

from tumorlens import bundle
from tumorlens.cli import main as cli
from tumorlens.imaging.raster import encode
from tumorlens.labels import ClassSet


@pytest.fixture
def folder(tmp_path: Path, head: NDArray[np.uint8]) -> Path:
    place = tmp_path / "in"
    place.mkdir()
    for index in range(3):
        (place / f"{index}.png").write_bytes(encode.png(np.roll(head, index)))
    return place


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code."""
    monkeypatch.setattr("sys.argv", ["tumorlens", "batch", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_answers_summary_and_status(
    folder: Path, tiny_bundle: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    common = (folder, "--out", tmp_path / "out", "--bundle", tiny_bundle)
    assert run(monkeypatch, *common, "--processes", 1) == 0
    out, err = capfd.readouterr()
    assert "answered" in out
    assert "complete" in out
    assert "summary.html" in err
    assert "not a medical device" in err
    page = (tmp_path / "out" / "summary.html").read_text("utf-8")
    assert str(folder) in page
    assert run(monkeypatch, *common, "--status") == 0
    assert "tiny 1.2.3: complete" in capfd.readouterr().out


def test_the_summary_uses_the_display_names_of_the_bundle(
    folder: Path, forty_bundle: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    info = bundle.load(forty_bundle).info
    members = tuple(
        msgspec.structs.replace(one, display_name=f"shown {k}")
        for k, one in enumerate(info.classes.members)
    )
    own = msgspec.structs.replace(info, classes=ClassSet(members=members))
    bundle.save(tmp_path / "own", own, (forty_bundle / "model.onnx").read_bytes())
    common = (folder, "--out", tmp_path / "out", "--bundle", tmp_path / "own")
    assert run(monkeypatch, *common, "--processes", 1) == 0
    page = (tmp_path / "out" / "summary.html").read_text("utf-8")
    assert run(monkeypatch, *common, "--status") == 0
    for text in (page, *capfd.readouterr().out.split("complete")[:2]):
        assert "shown " in text
        assert "kind" not in text


def test_an_input_that_fails_is_told_by_the_exit_code(
    folder: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "broken.png").write_bytes(b"no image")
    code = run(monkeypatch, folder, "--out", tmp_path / "out", "--bundle", tiny_bundle)
    assert code == 3


def test_wrong_usage(
    folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = ("--out", tmp_path / "out")
    assert run(monkeypatch, folder, *out, "--num-parts", 2, "--part-id", 2) == 2
    assert "below 2" in capfd.readouterr().err
    assert run(monkeypatch, folder, *out, "--ray-address", "auto") == 2
    assert "needs --engine ray" in capfd.readouterr().err
    assert run(monkeypatch, tmp_path / "none", *out) == 1
    assert "no such file or folder" in capfd.readouterr().err
    assert run(monkeypatch, folder, *out, "--bundle", "nothing") == 4


def test_a_job_without_inputs_of_its_own_has_not_failed(
    folder: Path, tmp_path: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for order in ((0, 1), (1, 0)):
        out = ("--out", tmp_path / f"out{order}", "--bundle", tiny_bundle, "--processes", 1)
        jobs = [(*out, "--num-parts", 2, "--part-id", part) for part in order]
        assert [run(monkeypatch, folder / "0.png", *job) for job in jobs] == [0, 0]


def test_nothing_to_answer(
    tmp_path: Path, tiny_bundle: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "empty").mkdir()
    code = run(monkeypatch, tmp_path / "empty", "--out", tmp_path / "out", "--bundle", tiny_bundle)
    assert code == 3
    assert "contains no image" in capfd.readouterr().err


def test_another_folder_of_the_same_name_is_another_source(
    tmp_path: Path, tiny_bundle: Path, head: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for place in ("a", "b"):
        (tmp_path / place / "images").mkdir(parents=True)
        (tmp_path / place / "images" / "0.png").write_bytes(encode.png(head))
    common = ("--bundle", tiny_bundle, "--processes", 1)
    for source in ("images", "images/*.png", "./images/"):
        answers = tmp_path / source.replace("/", " ")
        out = ("--out", answers, *common)
        monkeypatch.chdir(tmp_path / "a")
        assert run(monkeypatch, source, *out) == 0
        monkeypatch.chdir(tmp_path / "b")
        capfd.readouterr()
        assert run(monkeypatch, source, *out) == 1
        assert f"holds the answers of {tmp_path}/a/images" in capfd.readouterr().err
        monkeypatch.chdir(tmp_path)
        assert run(monkeypatch, f"{tmp_path}/a/{source}", *out) == 0
        assert run(monkeypatch, f"a/{source}", *out) == 0, "the same source, named otherwise"
        (row,) = rows(answers)
        assert row["path"] == str(tmp_path / "a" / "images" / "0.png")


def test_names_that_are_not_utf_8_and_a_working_folder_that_is_gone(
    folder: Path, tiny_bundle: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    odd = folder.rename(tmp_path / "in \udcff")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    common = (odd, "--out", tmp_path / "out", "--bundle", tiny_bundle, "--processes", 1)
    for more in ((), (), ("--status",)):
        assert run(monkeypatch, *common, *more) == 0
    assert "in \\udcff by tiny 1.2.3: complete" in capfd.readouterr().out
    assert len(rows(tmp_path / "out")) == 3


def test_a_list_is_read_from_the_folder_that_the_command_was_called_in(
    folder: Path, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"0.png\n./1.png\n")))
    common = ("--out", tmp_path / "out", "--bundle", tiny_bundle, "--processes", 1)
    assert run(monkeypatch, "-", *common) == 0
    assert [row["path"] for row in rows(tmp_path / "out")] == [
        str(folder / "0.png"), str(folder / "1.png"),
    ]  # fmt: skip

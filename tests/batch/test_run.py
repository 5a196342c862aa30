"""Every input once, whoever answers it and however often that is interrupted."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MediaStorageDirectoryStorage
from tests.batch.conftest import Answer, parts, rows, visible

from tumorlens import bundle
from tumorlens.batch import local
from tumorlens.batch.answering import Answerer
from tumorlens.batch.columns import Tally
from tumorlens.batch.items import Chunk, Item
from tumorlens.batch.local import LocalEngine
from tumorlens.batch.run import Batch, Options, report
from tumorlens.batch.summary import text
from tumorlens.batch.worker import Setup
from tumorlens.errors import BatchError
from tumorlens.imaging.series import Grouped, group_files
from tumorlens.inference.classifier import Classifier
from tumorlens.reporting.records import record

Parts = dict[str, bytes]


def test_rows_are_the_records(
    archive: Path, answer: Answer, tiny_bundle: Path, tmp_path: Path
) -> None:
    found = answer(archive)
    assert (found.complete, found.tally.inputs, found.inputs) == (True, 301, 301)
    about = json.loads((tmp_path / "out" / "batch.json").read_bytes())
    assert about["display_names"]["notumor"] == "no tumour"
    assert found.tally.errors == {"corrupt": 1}
    assert found.tally.answers == {"classified": 300}
    assert sum(found.tally.labels.values()) == 300
    assert found.runs[0].skipped == 1
    made = rows(tmp_path / "out")
    assert [row["path"] for row in made] == sorted(
        str(path) for path in archive.rglob("site*/*.png")
    )
    classifier = Classifier.load(tiny_bundle, threads=1)
    expected = record(classifier.predict(made[7]["path"]))
    for name in ("path", "decision", "label", "reason", "probabilities"):
        assert made[7][name] == expected[name]
    assert expected["model"] == made[7]["model"] | {"classes": None}  # a row has a column for each
    assert made[7]["level"] == "picture"
    assert len(made[7]["sha256"]) == 64


def test_what_cannot_be_used_is_a_row(archive: Path, answer: Answer, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(archive / "site 1" / "broken.png", tmp_path / "in")
    (tmp_path / "in" / "gone.png").symlink_to("nowhere")
    answer(tmp_path / "in")
    broken, gone = rows(tmp_path / "out")
    assert (broken["error"]["kind"], gone["error"]["kind"]) == ("corrupt", "missing")
    assert str(tmp_path / "in" / "broken.png") in broken["error"]["message"]
    assert broken["decision"] is None
    assert broken["sha256"]


def test_series_and_slices(
    write_series: Callable[..., list[bytes]], answer: Answer, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for index, data in enumerate(write_series(5)):
        (tmp_path / "in" / f"{index}.dcm").write_bytes(data)
    found = answer(tmp_path / "in")
    made = rows(tmp_path / "out")
    assert [row["level"] for row in made] == ["series"] + ["slice"] * 5
    assert [row["index"] for row in made[1:]] == [0, 1, 2, 3, 4]
    assert {row["sha256"] for row in made} == {made[0]["sha256"]}
    assert {row["series"]["series_instance_uid"] for row in made} == {"1.2.3"}
    assert (found.tally.inputs, found.tally.rows, sum(found.tally.answers.values())) == (1, 6, 1)


def test_a_series_is_cut_along_the_plane(
    write_series: Callable[..., list[bytes]], tiny_bundle: Path, tmp_path: Path
) -> None:
    names = []
    for index, data in enumerate(write_series(60, 2.0)):
        names.append(str(tmp_path / f"{index}.dcm"))
        Path(names[-1]).write_bytes(data)
    answerer = Answerer(Classifier.load(tiny_bundle, threads=1), "coronal")
    series, *_ = answerer.rows(Item("dicom", str(tmp_path), tuple(names)))
    assert series["series"]["plane"] == "coronal"


def test_a_series_that_goes_while_it_is_read_costs_itself_alone(
    write_series: Callable[..., list[bytes]], tiny_bundle: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    names = []
    for series in ("1.2.3", "1.2.4"):
        for index, data in enumerate(write_series(2, series=series)):
            names.append(str(tmp_path / f"{series}.{index}"))
            Path(names[-1]).write_bytes(data)
    group = group_files

    def grouped(paths: Sequence[str], *, are_all: bool) -> Grouped:
        found = group(paths, are_all=are_all)
        Path(names[0]).unlink()
        return found

    monkeypatch.setattr("tumorlens.imaging.series.group_files", grouped)
    answerer = Answerer(Classifier.load(tiny_bundle, threads=1), "axial")
    made = list(answerer.rows(Item("dicom", str(tmp_path), tuple(names))))
    failed = [row for row in made if row.get("error")]
    assert [(row["error"]["kind"], row["sha256"]) for row in failed] == [("missing", None)]
    assert {row["series"]["series_instance_uid"] for row in made if row.get("series")} == {"1.2.4"}


def test_a_study_of_several_series_has_a_row(
    write_series: Callable[..., list[bytes]], answer: Answer, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for series in ("1.2.3", "1.2.4"):
        for index, data in enumerate(write_series(2, series=series)):
            (tmp_path / "in" / f"{series} {index}").write_bytes(data)
    answer(tmp_path / "in")
    levels = [row["level"] for row in rows(tmp_path / "out")]
    assert sorted(levels) == ["series", "series", "slice", "slice", "slice", "slice", "study"]
    (study,) = (row for row in rows(tmp_path / "out") if row["level"] == "study")
    assert len(study["members"]) == 2
    assert study["study_instance_uid"] == "1.2"


def test_visits_in_one_folder_are_named_by_their_first_files(
    tmp_path: Path, answer: Answer, write_series: Callable[..., list[bytes]]
) -> None:
    (tmp_path / "case").mkdir()
    for number, day in enumerate(("20210304", "20210304", "20220304", "20220304")):
        slices = write_series(2, series=f"1.2.{number}", StudyInstanceUID="1.2", StudyDate=day)
        for index, data in enumerate(slices):
            (tmp_path / "case" / f"{number}{index}.dcm").write_bytes(data)
    answer(tmp_path / "case")
    studies = [row["path"] for row in rows(tmp_path / "out") if row["level"] == "study"]
    assert studies == [str(tmp_path / "case" / name) for name in ("00.dcm", "20.dcm")]


def test_two_processes_make_the_same_parts(
    archive: Path, answer: Answer, once: Parts, tmp_path: Path
) -> None:
    answer(archive, engine=LocalEngine(2))
    assert parts(tmp_path / "out") == once


def test_four_jobs_make_the_same_parts(
    archive: Path, answer: Answer, once: Parts, tmp_path: Path
) -> None:
    for part in (2, 0, 3):
        found = answer(archive, part=part, parts=4)
        assert (found.complete, found.inputs) == (False, None)
    # Names of chunks depend on times of files: one job may have none to do.
    assert 0 < len(parts(tmp_path / "out")) <= len(once)
    assert answer(archive, part=1, parts=4).inputs == 301
    assert parts(tmp_path / "out") == once


def test_a_second_run_answers_nothing(archive: Path, answer: Answer, tmp_path: Path) -> None:
    answer(archive)
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "records").iterdir()}
    again = answer(archive)
    assert (again.runs[0].answered, again.tally.inputs) == (0, 301)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / "records").iterdir()} == times


def test_killed_at_any_moment_and_resumed(
    archive: Path, tiny_bundle: Path, once: Parts, tmp_path: Path
) -> None:
    draw = random.Random(0)
    command = [
        sys.executable, "-m", "tumorlens", "batch", str(archive), "--out", str(tmp_path / "out"),
        "--bundle", str(tiny_bundle), "--processes", "2",
    ]  # fmt: skip
    killed = 0
    for number in range(6):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = draw.uniform(0.3, 2.0)
        if number == 0:
            # As soon as it has begun: on a quick machine none of the others may be killed in time.
            while not (tmp_path / "out" / "batch.json").exists():
                time.sleep(0.005)
            seconds = 0.0
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
    assert killed
    subprocess.run(command, check=False, capture_output=True)
    # A worker of a killed run may have been just about to give its part the name that it has now.
    assert visible(parts(tmp_path / "out")) == once
    assert report(str(tmp_path / "out")).tally.inputs == 301


def batch_of_a_list(tiny_bundle: Path, out: Path, **more: Any) -> subprocess.Popen[str]:
    """``tumorlens batch -`` as a process."""
    command = [sys.executable, "-m", "tumorlens", "batch", "-", "--out", str(out), "--bundle"]
    return subprocess.Popen(
        [*command, str(tiny_bundle), "--processes", "2"], stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, **more,
    )  # fmt: skip


def unread(pipe: Any) -> int:
    """Bytes that the other side has not read yet."""
    import fcntl
    import termios

    answer = fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))
    return int.from_bytes(answer, sys.byteorder)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -15)])
def test_a_batch_that_waits_for_its_list_can_be_interrupted(
    tiny_bundle: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    # A process whose parent runs in the background may be started to ignore SIGINT.
    process = batch_of_a_list(
        tiny_bundle, tmp_path / "out", stdin=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write("nowhere.png\n")
    process.stdin.flush()
    while unread(process.stdin):
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(60) == code
    assert process.stderr is not None
    told = process.stderr.read().strip().splitlines()
    assert [line for line in told if "answering" not in line] == (
        ["tumorlens: interrupted"] if number == signal.SIGINT else []
    )
    process.stdin.close()
    process.stderr.close()


@pytest.mark.skipif(os.name == "nt", reason="closes a file handle as POSIX does")
def test_a_list_on_a_closed_standard_input_is_one_line(tiny_bundle: Path, tmp_path: Path) -> None:
    process = batch_of_a_list(tiny_bundle, tmp_path / "out", preexec_fn=lambda: os.close(0))
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told.strip()) == (
        1, "tumorlens: standard input is closed: it should be a list of paths",
    )  # fmt: skip


def test_the_next_run_removes_what_a_killed_one_left(
    archive: Path, answer: Answer, once: Parts, tmp_path: Path
) -> None:
    for folder in ("", "records", "runs"):
        (tmp_path / "out" / folder).mkdir(exist_ok=True, parents=True)
        (tmp_path / "out" / folder / ".a.parquet.0123abcd").write_bytes(b"PAR1")
    answer(archive)
    assert parts(tmp_path / "out") == once
    assert not list((tmp_path / "out").rglob(".*"))


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text() if sys.platform == "linux" else ""
    return [int(child) for child in text.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_worker_that_is_killed_is_replaced(
    archive: Path, tiny_bundle: Path, once: Parts, tmp_path: Path
) -> None:
    options = Options(source=str(archive), out=str(tmp_path / "out"), bundle=str(tiny_bundle))
    before = set(own_children())
    killed: list[int] = []

    def watch(_: Tally) -> None:
        if len(killed) < 2:
            workers = [pid for pid in own_children() if pid not in before and pid not in killed]
            os.kill(workers[0], signal.SIGKILL)
            killed.append(workers[0])

    found = Batch(options).run(LocalEngine(1), watch)
    assert len(killed) == 2
    assert found.tally.errors == {"corrupt": 1}
    assert visible(parts(tmp_path / "out")) == once


def own_children() -> list[int]:
    """Processes that any thread of this one started."""
    tasks = Path(f"/proc/{os.getpid()}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def test_an_input_that_ends_every_process_costs_itself_alone(
    archive: Path, answer: Answer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("000", "003", "006", "009"):
        shutil.copy(archive / "site 0" / f"{name}.png", tmp_path / "in")
    (tmp_path / "in" / "003.png").rename(tmp_path / "in" / "003 deadly.png")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    monkeypatch.setattr(local, "_SERVICE", "deadly:service")
    found = answer(tmp_path / "in")
    assert found.tally.errors == {"crashed": 1}
    assert [row["error"] is not None for row in rows(tmp_path / "out")] == [
        False, True, False, False,
    ]  # fmt: skip


def test_another_bundle_starts_anew(
    archive: Path, answer: Answer, tiny_bundle: Path, tmp_path: Path
) -> None:
    answer(archive)
    old = bundle.load(tiny_bundle)
    info = msgspec.structs.replace(old.info, version="2.0.0", temperature=9.0)
    bundle.save(tmp_path / "warmer", info, old.model)
    for name, replaced in ((tiny_bundle, None), (tmp_path / "warmer", "tiny 1.2.3")):
        options = Options(source=str(archive), out=str(tmp_path / "out"), bundle=str(name))
        assert Batch(options).replaced == replaced
    found = answer(archive, bundle=str(tmp_path / "warmer"))
    assert found.runs[0].answered == found.tally.inputs == 301
    assert {row["model"]["version"] for row in rows(tmp_path / "out") if row["model"]} == {"2.0.0"}


def test_inputs_that_change_or_go(archive: Path, answer: Answer, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    shutil.copytree(archive, folder)
    answer(folder)
    (folder / "site 0" / "000.png").unlink()
    shutil.copy(folder / "site 0" / "003.png", folder / "site 0" / "006.png")
    shutil.copy(folder / "site 0" / "003.png", folder / "site 0" / "new.png")
    found = answer(folder)
    assert found.tally.inputs == 301
    assert 0 < found.runs[0].answered < 301
    made = {Path(row["path"]).name: row["sha256"] for row in rows(tmp_path / "out")}
    assert len(made) == 301
    assert made["006.png"] == made["003.png"] == made["new.png"]
    assert "000.png" not in made


@pytest.mark.parametrize("same", [True, False])
def test_answers_stay_when_the_input_is_gone(
    archive: Path, answer: Answer, tmp_path: Path, tiny_bundle: Path, same: bool
) -> None:
    shutil.copytree(archive / "site 0", tmp_path / "in")
    answer(tmp_path / "in" / "*.png")
    before = parts(tmp_path / "out")
    shutil.rmtree(tmp_path / "in")
    old = bundle.load(tiny_bundle)
    info = msgspec.structs.replace(old.info, version="2.0.0", temperature=9.0)
    bundle.save(tmp_path / "warmer", info, old.model)
    name = tiny_bundle if same else tmp_path / "warmer"
    with pytest.raises(BatchError, match="no file matches this pattern"):
        answer(tmp_path / "in" / "*.png", bundle=str(name))
    assert parts(tmp_path / "out") == before


def _as_folder(folder: Path) -> Path:
    return folder


def _as_manifest(folder: Path) -> Path:
    path = folder.parent / "set.csv"
    names = (f"{folder}/{name.name}\n" for name in folder.iterdir())
    path.write_text(f"path\n{''.join(names)}")
    return path


def _as_archive(folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder), "zip", folder))


@pytest.mark.parametrize("source_of", [_as_folder, _as_manifest, _as_archive])
def test_answers_stay_when_no_input_can_be_opened(
    archive: Path, answer: Answer, tmp_path: Path, source_of: Callable[[Path], Path]
) -> None:
    """As of a share that is not mounted, or an archive that is not copied as a whole yet."""
    shutil.copytree(archive / "site 0", tmp_path / "in")
    source = source_of(tmp_path / "in")
    answer(source)
    before = parts(tmp_path / "out")
    shutil.rmtree(tmp_path / "in")
    (tmp_path / "in").mkdir()
    if source.suffix == ".zip":
        source.write_bytes(source.read_bytes()[:100_000])
    with pytest.raises(
        BatchError, match=r"no input can be opened \(.*\). The answers in .* are kept"
    ):
        answer(source)
    assert parts(tmp_path / "out") == before
    shutil.copytree(archive / "site 1", tmp_path / "in", dirs_exist_ok=True)
    assert answer(source_of(tmp_path / "in")).tally.inputs == 101


def test_the_summary_says_how_many_inputs_are_gone(
    archive: Path, answer: Answer, tmp_path: Path
) -> None:
    shutil.copytree(archive, tmp_path / "in")
    assert answer(tmp_path / "in").gone == 0
    shutil.rmtree(tmp_path / "in" / "site 1")

    class Interrupted(LocalEngine):
        def run(self, setup: Setup, chunks: Iterator[Chunk]) -> Iterator[Tally]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer(tmp_path / "in", engine=Interrupted(1))
    fewer = answer(tmp_path / "in")
    assert (fewer.inputs, fewer.gone) == (200, 101)
    assert "fewer than in the run before         101" in text(fewer)


def test_inputs_of_which_none_can_be_opened_are_answered_alike_each_time(
    answer: Answer, tmp_path: Path
) -> None:
    (tmp_path / "in.zip").write_bytes(b"PK\x03\x04 no archive")
    for _ in range(2):
        assert answer(tmp_path / "in.zip").tally.errors == {"corrupt": 1}


def test_answers_of_two_bundles_do_not_stay_beside_each_other(
    archive: Path, answer: Answer, tmp_path: Path, tiny_bundle: Path
) -> None:
    old = bundle.load(tiny_bundle)
    info = msgspec.structs.replace(old.info, version="2.0.0", temperature=9.0)
    bundle.save(tmp_path / "warmer", info, old.model)

    class Overtaken(LocalEngine):
        def run(self, setup: Setup, chunks: Iterator[Chunk]) -> Iterator[Tally]:
            tallies = super().run(setup, chunks)
            yield next(tallies)
            answer(archive, bundle=str(tmp_path / "warmer"))
            yield from tallies

    with pytest.raises(BatchError, match=r"another run has begun .* by tiny 2\.0\.0"):
        answer(archive, engine=Overtaken(1))
    assert (
        len({row["path"] for row in rows(tmp_path / "out")}) == len(rows(tmp_path / "out")) == 301
    )
    assert report(str(tmp_path / "out")).complete


def test_dicom_without_an_image_is_a_row(answer: Answer, tmp_path: Path) -> None:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.99")
    dataset.DirectoryRecordSequence = [Dataset()]
    dataset.DirectoryRecordSequence[0].ReferencedFileID = ["SERIES", "0"]
    directory = tmp_path / "DICOMDIR"
    dataset.save_as(directory, enforce_file_format=True)
    with zipfile.ZipFile(tmp_path / "report.zip", "w") as packed:
        dataset.DirectoryRecordSequence = []
        dataset.save_as(tmp_path / "empty", enforce_file_format=True)
        packed.write(tmp_path / "empty", "empty")
    for source, path in ((directory, directory), (tmp_path / "report.zip", "report.zip/empty")):
        answer(source, out=source.name + " out")
        (row,) = rows(tmp_path / f"{source.name} out")
        assert row["path"].endswith(str(path))
        assert "DICOM without an image" in row["error"]["message"]


def test_a_folder_keeps_to_its_input(archive: Path, answer: Answer) -> None:
    answer(archive / "site 0")
    with pytest.raises(BatchError, match=r"holds the answers of .*site 0; choose another folder"):
        answer(archive)


def test_no_batch_there(tmp_path: Path) -> None:
    with pytest.raises(BatchError, match="contains no batch"):
        report(str(tmp_path))


def test_answers_that_cannot_be_written(archive: Path, answer: Answer, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "records").write_text("no folder")
    with pytest.raises(BatchError, match=r"no answers can be written \(/.*: [^']*\)$"):
        answer(archive)


@pytest.mark.parametrize("keep", [0, 300])
def test_a_damaged_part_is_told_and_made_anew(
    archive: Path, once: Parts, answer: Answer, tmp_path: Path, keep: int
) -> None:
    answer(archive)
    damaged = tmp_path / "out" / "records" / sorted(once)[0]
    damaged.write_bytes(once[damaged.name][:keep])
    with pytest.raises(BatchError, match=f"{damaged.name}: damaged; run the batch again"):
        report(str(tmp_path / "out"))
    assert 0 < answer(archive).runs[0].answered < 301
    assert parts(tmp_path / "out") == once


def test_a_damaged_part_of_an_input_that_is_gone_goes_too(
    archive: Path, answer: Answer, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    shutil.copytree(archive, folder)
    answer(folder)
    for part in (tmp_path / "out" / "records").iterdir():
        part.write_bytes(b"no part")
    shutil.rmtree(folder / "site 1")
    assert answer(folder).tally.inputs == 200


def test_a_damaged_run_file_is_as_good_as_none(
    archive: Path, answer: Answer, tmp_path: Path
) -> None:
    answer(archive)
    (run,) = (tmp_path / "out" / "runs").iterdir()
    run.write_bytes(b'{"part"')
    assert not report(str(tmp_path / "out")).complete
    assert answer(archive).complete


@pytest.mark.parametrize(
    "text", ['{"source": "/in", "key": "0123456789ab", "bundle": "old 0.1"}', "cut o"]
)
def test_a_batch_file_that_cannot_be_read_says_what_to_do(
    archive: Path, answer: Answer, tmp_path: Path, text: str
) -> None:
    words = "out: batch.json is damaged, or of another version.*Delete it to continue"
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "batch.json").write_text(text)
    with pytest.raises(BatchError, match=words):
        answer(archive)
    with pytest.raises(BatchError, match=words):
        report(str(tmp_path / "out"))

"""``tumorlens predict``: any mix of inputs, three formats, documented exit codes."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import nibabel
import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from pydicom import dcmread
from tests.imaging import written

from tumorlens import bundle
from tumorlens.bundle import DecisionRule
from tumorlens.cli.predict import command
from tumorlens.errors import BundleError, MissingInputError
from tumorlens.imaging.raster import encode
from tumorlens.inference.record import Failure
from tumorlens.inference.stream import Outcome
from tumorlens.labels import CLASSES, RESEARCH_NOTICE


@pytest.fixture
def folder(tmp_path: Path, head: NDArray[np.uint8]) -> Path:
    """Three images, one damaged and one blank, a text file and a hidden image."""
    folder = tmp_path / "scans"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.png", "c.png", ".hidden.png"):
        (folder / name).write_bytes(encode.png(head))
    (folder / "damaged.png").write_bytes(encode.png(head)[:300])
    (folder / "blank.png").write_bytes(encode.png(np.full_like(head, 7)))
    (folder / "notes.txt").write_text("notes")
    return folder


@pytest.fixture
def run(tiny_bundle: Path) -> "Runner":
    return Runner(tiny_bundle)


class Runner:
    """Calls the command in this process."""

    def __init__(self, bundle: Path) -> None:
        self.bundle = bundle

    def __call__(self, *arguments: str | Path) -> Result:
        words = [str(word) for word in arguments]
        return CliRunner().invoke(command, [*words, "--bundle", str(self.bundle)])

    def records(self, *arguments: str | Path) -> list[dict[str, Any]]:
        found = self(*arguments, "--format", "jsonl")
        assert found.exit_code in (0, 3), found.output
        return [json.loads(line) for line in found.stdout.splitlines()]


def names(records: list[dict[str, Any]]) -> list[str]:
    return [Path(str(record["path"])).name for record in records]


def test_json_lines(run: Runner, folder: Path) -> None:
    found = run(folder / "a.png", "--format", "jsonl")
    assert found.exit_code == 0
    record = json.loads(found.stdout)
    assert list(record) == [
        "path", "decision", "label", "summary", "reason", "tumor_probability", "probabilities",
        "prediction_set", "sequence", "model", "notes", "heatmap",
    ]  # fmt: skip
    assert record["path"] == str(folder / "a.png")
    assert list(record["probabilities"]) == list(CLASSES)
    assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert set(record["model"]) == {"name", "version", "sha256", "classes"}
    assert record["model"]["classes"] is None  # the four of the bundled networks
    assert RESEARCH_NOTICE in found.stderr


def test_one_bad_file_never_stops_the_rest(run: Runner, folder: Path) -> None:
    found = run(folder, "--format", "jsonl", "--batch-size", "2")
    assert found.exit_code == 3
    records = [json.loads(line) for line in found.stdout.splitlines()]
    assert names(records) == ["a.png", "blank.png", "c.png", "damaged.png", "b.png"]
    errors = {Path(r["path"]).name: r["error"] for r in records if "error" in r}
    assert {name: error["kind"] for name, error in errors.items()} == {
        "blank.png": "blank",
        "damaged.png": "corrupt",
    }
    assert str(folder / "damaged.png") in errors["damaged.png"]["message"]
    assert "skipped 1 file that is not an image" in found.stderr
    assert "2 of 5 inputs failed" in found.stderr


def test_every_kind_of_argument_in_its_order(
    run: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    arguments = ["c.png", "*.tif", "sub", "gone.png", "[ab].png", "notes.txt"]
    records = run.records(*arguments)
    assert [record["path"] for record in records] == [
        "c.png", "*.tif", str(Path("sub/b.png")), "gone.png", "a.png", "notes.txt",
    ]  # fmt: skip
    kinds = [r["error"]["kind"] if "error" in r else "" for r in records]
    assert kinds == ["", "missing", "", "missing", "", "unsupported_format"]


def test_an_empty_folder_is_a_failure(run: Runner, tmp_path: Path) -> None:
    (record,) = run.records(tmp_path)
    assert record["path"] == str(tmp_path)
    assert "contains no image" in str(record["error"])


def test_fail_fast_stops_after_the_first_failure(run: Runner, folder: Path) -> None:
    found = run(folder, "--format", "jsonl", "--fail-fast")
    assert found.exit_code == 3
    assert names([json.loads(line) for line in found.stdout.splitlines()]) == ["a.png", "blank.png"]
    assert run(folder / "a.png", "--fail-fast").exit_code == 0


def test_csv(run: Runner, folder: Path) -> None:
    found = run(folder / "a.png", folder / "damaged.png", "--format", "csv")
    assert found.exit_code == 3
    good, bad = csv.DictReader(io.StringIO(found.stdout, newline=""))
    assert float(good["glioma"]) <= 1
    assert good["label"] in CLASSES
    assert bad["error_kind"] == "corrupt"


def test_table_that_is_piped(run: Runner, folder: Path) -> None:
    found = run(folder / "a.png", folder / "damaged.png")
    assert found.exit_code == 3
    assert "\x1b" not in found.stdout
    assert str(folder / "a.png") in found.stdout
    assert "corrupt" in found.stdout
    assert found.stdout.rstrip().endswith(RESEARCH_NOTICE)
    assert RESEARCH_NOTICE not in found.stderr


@pytest.mark.parametrize("layout", ["table", "jsonl", "csv"])
def test_output_file(run: Runner, folder: Path, tmp_path: Path, layout: str) -> None:
    target = tmp_path / "answers"
    target.write_text("before")
    found = run(folder, "--format", layout, "--output", target)
    assert found.exit_code == 3
    assert found.stdout == ""
    assert f"wrote {target}" in found.stderr
    assert target.read_text().count("sub/b.png".replace("/", os.sep)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers", "scans"]


@pytest.mark.parametrize("name", ["answers.csv", "answers.JSON", "answers.jsonl", "answers.txt"])
def test_the_suffix_says_the_format(run: Runner, folder: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    assert run(folder / "a.png", folder / "damaged.png", "--output", target).exit_code == 3
    text = target.read_text("utf-8")
    if name.endswith("csv"):
        assert len(list(csv.DictReader(io.StringIO(text, newline="")))) == 2
    elif name.endswith("JSON"):
        assert ["error" in record for record in json.loads(text)] == [False, True]
    elif name.endswith("jsonl"):
        assert len([json.loads(line) for line in text.splitlines()]) == 2
    else:
        assert "decision" in text.splitlines()[0]
    explicit = run(folder / "a.png", "--output", target, "--format", "csv")
    assert explicit.exit_code == 0
    assert target.read_text("utf-8").startswith("path,decision")


def test_a_dash_is_standard_output(
    run: Runner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    found = run("a.png", "--format", "json", "--output", "-")
    assert [record["path"] for record in json.loads(found.stdout)] == ["a.png"]
    assert not (folder / "-").exists()


@pytest.mark.parametrize("url", ["https://host/a.png", "https://host/a.png?size=1"])
def test_a_url_is_told_that_files_are_read(run: Runner, url: str) -> None:
    (record,) = run.records(url)
    assert record["path"] == url
    assert record["error"]["message"].startswith(f"{url}: is a URL, and this reads files")


def test_an_interrupted_run_leaves_the_old_output(
    run: Runner, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tumorlens.reporting import records

    def interrupt(_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(records, "json_line", interrupt)
    target = tmp_path / "answers"
    target.write_text("before")
    assert run(folder, "--format", "jsonl", "--output", target).exit_code != 0
    assert target.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers", "scans"]


@pytest.mark.parametrize("layout", ["table", "jsonl", "csv"])
def test_an_interrupted_run_keeps_the_answers_so_far(
    run: Runner, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    from tumorlens.cli import predict

    def interrupted(*_: object, **__: object) -> Iterator[object]:
        yield Outcome(Failure.from_error("first.png", MissingInputError("first.png: no such file")))
        raise KeyboardInterrupt

    monkeypatch.setattr(predict, "_outcomes", interrupted)
    target = tmp_path / "answers"
    target.write_text("before")
    found = run(folder, "--format", layout, "--output", target)
    assert found.exit_code != 0
    assert f"the answers so far are in {target}.partial" in found.stderr
    assert target.read_text() == "before"
    assert "first.png" in (tmp_path / "answers.partial").read_text()
    run(folder, "--format", layout, "--output", target)
    assert (tmp_path / "answers.partial1").exists(), "never over what was kept"


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_terminated_run_leaves_no_hidden_file(
    folder: Path, tmp_path: Path, tiny_bundle: Path
) -> None:
    target = tmp_path / "answers"
    script = f"""
import os, signal, sys
from tumorlens.cli import main, predict
def outcomes(*_, **__):
    os.kill(os.getpid(), signal.SIGTERM)
    yield
predict._outcomes = outcomes
sys.argv = ["tumorlens", "predict", {str(folder)!r}, "--output", {str(target)!r}, "--bundle",
            {str(tiny_bundle)!r}]
main.main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == -signal.SIGTERM, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scans"]


@pytest.mark.skipif(os.name != "posix", reason="devices are files on POSIX only")
def test_a_device_stays_a_device(run: Runner, folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"  # were it replaced, the machine would lose the link only
    link.symlink_to(os.devnull)
    assert run(folder / "a.png", "--output", link).exit_code == 0
    assert link.is_symlink()
    assert link.is_char_device()


@pytest.mark.parametrize("option", ["--output", "--html"])
def test_no_input_is_written_over(run: Runner, folder: Path, tmp_path: Path, option: str) -> None:
    before = (folder / "a.png").read_bytes()
    (tmp_path / "link.png").symlink_to(folder / "a.png")
    for target in (folder / "a.png", folder / "sub/../a.png", tmp_path / "link.png"):
        found = run(folder, option, target)
        assert found.exit_code == 2, found.output
        assert "is an input" in found.stderr
    assert (folder / "a.png").read_bytes() == before


def test_no_archive_or_series_is_written_over(
    run: Runner, folder: Path, study: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "scans.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(folder / "a.png", "a.png")
    assert "is an input" in run(archive, "--output", archive).stderr
    assert "is an input" in run(study, "--output", study / "9.dcm").stderr


def test_the_report_and_the_answers_are_two_files(
    run: Runner, folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "answers"
    found = run(folder, "--output", target, "--html", target)
    assert found.exit_code == 2
    assert "the same file" in found.stderr
    assert not target.exists()


def test_a_suffix_without_a_format_is_wrong_usage(
    run: Runner, folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "answers.tsv"
    found = run(folder / "a.png", "--output", target)
    assert found.exit_code == 2
    assert ".tsv is not the suffix of a format (.csv, .json, .jsonl" in found.stderr
    assert not target.exists()
    assert run(folder / "a.png", "--output", target, "--format", "csv").exit_code == 0
    assert target.read_text("utf-8").startswith("path,")


@pytest.mark.parametrize("option", ["--html", "--heatmap", "--dicom", "--segmentation"])
def test_only_answers_go_to_standard_output(
    run: Runner, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found = run(folder / "a.png", option, "-")
    assert found.exit_code == 2
    assert "cannot be written to standard output" in found.stderr
    assert not Path("-").exists()


def test_output_into_nowhere_is_wrong_usage(run: Runner, folder: Path, tmp_path: Path) -> None:
    found = run(folder, "--output", tmp_path / "nowhere" / "answers")
    assert found.exit_code == 2
    assert "is not a folder" in found.stderr
    assert run(folder, "--output", tmp_path).exit_code == 2


@pytest.mark.parametrize("option", ["--batch-size", "--threads"])
@pytest.mark.parametrize("value", ["0", "-1", "x"])
def test_numbers_out_of_range_are_wrong_usage(
    run: Runner, folder: Path, option: str, value: str
) -> None:
    assert run(folder, option, value).exit_code == 2


def test_an_unusable_bundle_wins_over_bad_inputs(tmp_path: Path) -> None:
    found = CliRunner().invoke(command, ["gone.png", "--bundle", str(tmp_path)])
    assert isinstance(found.exception, BundleError)
    assert found.exception.exit_code == 4


def test_a_bundle_for_another_use_says_so(tiny_bundle: Path, folder: Path, tmp_path: Path) -> None:
    made = bundle.load(tiny_bundle)
    info = msgspec.structs.replace(made.info, intended_use="Synthetic images only.")
    bundle.save(tmp_path / "toy", info, made.model)
    image = str(folder / "a.png")
    found = CliRunner().invoke(command, [image, "--bundle", str(tmp_path / "toy")])
    assert found.stderr.splitlines()[0] == "tumorlens: bundle tiny: Synthetic images only."
    info = msgspec.structs.replace(made.info, decision=DecisionRule(tumor_threshold=0.1))
    bundle.save(tmp_path / "usual", info, made.model)
    found = CliRunner().invoke(command, [image, "--bundle", str(tmp_path / "usual")])
    assert found.stderr == ""


def test_a_bundle_without_thresholds_says_so_once(tiny_bundle: Path, folder: Path) -> None:
    images = [str(folder / "a.png")] * 2
    found = CliRunner().invoke(command, [*images, "--bundle", str(tiny_bundle)])
    assert found.stderr == (
        "tumorlens: bundle tiny is not calibrated, so it answers at any probability; see "
        "`tumorlens calibrate`\n"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="needs names that are any bytes")
@pytest.mark.parametrize("layout", ["table", "jsonl", "csv"])
def test_odd_file_names(run: Runner, tmp_path: Path, head: NDArray[np.uint8], layout: str) -> None:
    odd = tmp_path / "odd"
    odd.mkdir()
    for name in (
        b"[bold]x[red].png",
        b"two\nlines.png",
        b"\x1b[31m.png",
        b"caf\xe9.png",
        b"-x.png",
    ):
        Path(os.fsdecode(os.fsencode(odd) + b"/" + name)).write_bytes(encode.png(head))
    found = run(odd, "--format", layout)
    assert found.exit_code == 0, found.output
    assert "[bold]x[red].png" in found.stdout
    if layout == "jsonl":
        paths = [json.loads(line)["path"] for line in found.stdout.splitlines()]
        assert len(paths) == 5
        assert all(Path(path).is_file() for path in paths)
    if layout == "table":
        assert "two\\nlines.png" in found.stdout
        assert "\x1b" not in found.stdout
        assert "caf\\udce9.png" in found.stdout


@pytest.fixture
def study(tmp_path: Path, write_series: Callable[..., list[bytes]]) -> Path:
    """A DICOM series of five slices, and one file of another modality."""
    folder = tmp_path / "study"
    folder.mkdir()
    for index, data in enumerate(write_series(5, SeriesDescription="t1 tra")):
        (folder / f"{9 - index}.dcm").write_bytes(data)
    (ct,) = write_series(1, series="1.9", Modality="CT")
    (folder / "ct.dcm").write_bytes(ct)
    return folder


def test_a_folder_of_dicom_just_works(run: Runner, study: Path) -> None:
    found = run(study, "--format", "jsonl")
    assert found.exit_code == 3
    volume, refused = (json.loads(line) for line in found.stdout.splitlines())
    assert volume["path"] == str(study)
    assert [one["index"] for one in volume["slices"]] == [0, 1, 2, 3, 4]
    assert volume["series"]["description"] == "t1 tra"
    assert (refused["path"], refused["error"]["kind"]) == (str(study / "ct.dcm"), "not_mr")
    (study / "ct.dcm").unlink()
    assert run(study).exit_code == 0


def test_an_archive_of_it_too(run: Runner, study: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for path in study.glob("[0-9].dcm"):
            archive.write(path, path.name)
    (from_folder, _), (from_archive,) = run.records(study), run.records(tmp_path / "study.zip")
    assert from_archive["path"] == str(tmp_path / "study.zip")
    assert from_archive["slices"] == from_folder["slices"]


def test_a_nifti_volume_in_every_plane(
    run: Runner, head: NDArray[np.uint8], tmp_path: Path
) -> None:
    voxels = np.moveaxis(np.stack([head] * 33), 0, 2)
    nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(tmp_path / "head.nii.gz")
    for plane, count in (("axial", 33), ("coronal", 180), ("sagittal", 200)):
        (record,) = run.records(tmp_path / "head.nii.gz", "--plane", plane)
        assert len(record["slices"]) == count
    assert run(tmp_path / "head.nii.gz", "--plane", "odd").exit_code == 2


def test_a_volume_of_another_format_gets_the_same_answer(
    run: Runner, head: NDArray[np.uint8], tmp_path: Path
) -> None:
    voxels = np.moveaxis(np.stack([head] * 5), 0, 2)
    for name, write in (("a.nii.gz", written.nifti), ("b.mgz", written.mgz), ("c", written.nrrd)):
        (tmp_path / name).write_bytes(write(voxels))
    first, *others = run.records(tmp_path)
    assert len(first["slices"]) == 5
    for name, other in zip(("b.mgz", "c"), others, strict=True):
        assert other["path"] == str(tmp_path / name)
        assert other["probabilities"] == first["probabilities"]
        assert other["finding"] | {"path": ""} == first["finding"] | {"path": ""}


def test_visits_in_one_folder_are_named_by_their_first_files(
    run: Runner, tmp_path: Path, head: NDArray[np.uint8]
) -> None:
    for visit in (1, 2):
        for kind in ("T1w", "T2w"):
            (tmp_path / f"sub-01_ses-{visit}_{kind}.png").write_bytes(encode.png(head))
    firsts = [str(tmp_path / f"sub-01_ses-{visit}_T1w.png") for visit in (1, 2)]
    found = run(tmp_path, "--study", "--format", "csv").stdout
    assert [row["path"] for row in csv.DictReader(io.StringIO(found))][:2] == firsts
    table = run(tmp_path, "--study").stdout
    assert table.count("study, from 2 series") == 2


def test_volumes_in_csv_and_table(run: Runner, study: Path, folder: Path) -> None:
    found = run(study, folder / "a.png", "--format", "csv")
    volume, refused, image = csv.DictReader(io.StringIO(found.stdout, newline=""))
    assert volume["slices"] == "5"
    assert (volume["series_description"], volume["series_instance_uid"]) == ("t1 tra", "1.2.3")
    assert (volume["finding_middle"] == "") == (volume["label"] == "notumor")
    assert (image["slices"], refused["slices"], refused["error_kind"]) == ("", "", "not_mr")
    table = run(study, folder / "a.png").stdout
    assert "t1 tra: " in table
    assert " of 5" in table or "5 slices" in table
    assert "only MR is classified" in table


def test_dicom_answers_go_into_a_folder(
    tmp_path: Path, tiny_bundle: Path, write_series: Callable[..., list[bytes]]
) -> None:
    pytest.importorskip("highdicom", reason="needs the pacs extra")
    source, out = tmp_path / "study", tmp_path / "out"
    source.mkdir()
    for index, data in enumerate(write_series(3)):
        (source / str(index)).write_bytes(data)
    arguments = [str(source), "--bundle", str(tiny_bundle), "--dicom", str(out)]
    for _ in range(2):
        assert CliRunner().invoke(command, arguments).exit_code == 0
    assert len(list(out.glob("2.25.*.dcm"))) == 2
    again = CliRunner().invoke(command, [str(tmp_path), "--bundle", str(tiny_bundle)])
    assert again.exit_code == 0, again.output
    assert "skipped 2 DICOM objects written by tumorlens" in again.stderr


@pytest.mark.parametrize("missing", ["SOPInstanceUID", "StudyInstanceUID"])
def test_a_series_that_no_report_can_refer_to_is_an_error(
    tmp_path: Path, tiny_bundle: Path, write_series: Callable[..., list[bytes]], missing: str
) -> None:
    pytest.importorskip("highdicom", reason="needs the pacs extra")
    source, out = tmp_path / "study", tmp_path / "out"
    source.mkdir()
    for index, data in enumerate(write_series(3)):
        dataset = dcmread(io.BytesIO(data))
        del dataset[missing]
        dataset.save_as(source / str(index))
    arguments = [str(source), "--bundle", str(tiny_bundle), "--dicom", str(out)]
    found = CliRunner().invoke(command, arguments)
    assert found.exit_code == 3, found.output
    assert f"no report can refer to it ({missing} is missing)" in found.output
    assert list(out.iterdir()) == []


def test_a_name_that_is_no_utf8_is_in_the_report(
    run: Runner, tmp_path: Path, head: NDArray[np.uint8]
) -> None:
    try:
        (tmp_path / "\udcffodd.png").write_bytes(encode.png(head))
    except (OSError, UnicodeError):
        pytest.skip("this file system takes no such name")
    report = tmp_path / "report.html"
    found = run(tmp_path, "--html", report)
    assert found.exit_code == 0, found.output
    assert "\\udcffodd.png" in report.read_text("utf-8")


def test_a_report_for_people(
    run: Runner, folder: Path, tmp_path: Path, write_series: Callable[..., list[bytes]]
) -> None:
    for index, data in enumerate(write_series(4, SeriesDescription="t1 tra")):
        (folder / f"{index}.dcm").write_bytes(data)
    report = tmp_path / "report.html"
    found = run(folder, "--html", report, "--format", "csv", "--heatmap", tmp_path / "maps")
    assert found.exit_code == 3
    assert f"tumorlens: wrote {report}" in found.stderr
    page = report.read_text("utf-8")
    for words in ("t1 tra", "a.png", "b.png", "damaged.png", "blank.png", RESEARCH_NOTICE):
        assert words in page
    assert page.count("data:image/jpeg") == 4
    assert len(list((tmp_path / "maps").iterdir())) >= 3
    assert run(folder, "--html", tmp_path / "no" / "report.html").exit_code == 2
    first = run(folder, "--html", report, "--fail-fast")
    assert first.exit_code == 3
    assert "c.png" not in report.read_text("utf-8")

"""``tumorlens data`` from folders to reports."""

import dataclasses
import itertools
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from tumorlens.cli.data import command
from tumorlens.cli.main import main
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import SplitRow
from tumorlens.errors import (
    DatasetError,
    LeakError,
    ManifestError,
    MissingExtraError,
    OutputExistsError,
    SplitError,
)
from tumorlens.imaging.raster import encode
from tumorlens.labels import CLASSES, RESEARCH_NOTICE


def blobs(seed: int) -> NDArray[np.uint8]:
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=(96, 96)), 7)
    image: NDArray[np.uint8] = (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
    return image


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture
def leaking(tmp_path: Path) -> Path:
    """A manifest of 12 training and 4 testing images, the last of which is a turned copy."""
    for k in range(16):
        part = "Training" if k < 12 else "Testing"
        file = tmp_path / "set" / part / CLASSES[k % 4] / f"{k}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode.png(blobs(k) if k < 15 else np.rot90(blobs(3))))
    file = tmp_path / "m.csv"
    result = run("import", "folder", "--from", tmp_path / "set", "--output", file)
    assert result.exit_code == 0, result.output
    return file


def mended(manifest: Manifest) -> list[SplitRow]:
    """The published parts, the turned copy left out."""
    return [
        SplitRow(
            r.sha256, r.label, r.group,
            "excluded" if r.path.endswith("15.png")
            else "test" if r.split == "testing" else "train",
        )
        for r in manifest
    ]  # fmt: skip


def test_import_writes_a_manifest_and_counts(leaking: Path, tmp_path: Path) -> None:
    (tmp_path / "set/Training/glioma/broken.jpg").write_bytes(b"\xff\xd8\xff")
    result = run(
        "import", "folder", "--from", tmp_path / "set", "--output", tmp_path / "n.csv",
        "--source", "blobs",
    )  # fmt: skip
    assert result.exit_code == 0
    assert "Wrote 16 images" in result.output
    assert "left out 1 file that cannot be read: set/Training/glioma/broken.jpg: " in result.stderr
    assert not any("broken" in record.path for record in Manifest.load(tmp_path / "n.csv"))
    assert {record.source for record in Manifest.load(tmp_path / "n.csv")} == {"blobs"}


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    """Not as markup or emoji, of which a table would show nothing, or something else."""
    names = ("tumor[left]", "tumor[right]", "[b]none:brain:")
    for k, name in enumerate(names):
        file = tmp_path / "set" / name / f"{k}.png"
        file.parent.mkdir(parents=True)
        file.write_bytes(encode.png(blobs(k)))
    result = run("import", "folder", "--from", tmp_path / "set", "--output", tmp_path / "m.csv")
    assert result.exit_code == 0, result.output
    table = result.output.partition("classes:")[0]
    assert all(name in table for name in names)


def test_import_says_what_it_leaves_out(tmp_path: Path) -> None:
    for k, name in enumerate(("yes", "yes", "no")):
        file = tmp_path / "set" / name / f"{k}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode.png(blobs(k)))
    arguments = ("import", "folder", "--from", tmp_path / "set", "--output", tmp_path / "n.csv")
    result = run(*arguments)
    assert result.exit_code == 0
    assert "2 classes: no, yes; 'no' means no finding." in result.output
    assert [record.label for record in Manifest.load(tmp_path / "n.csv")] == ["no", "yes", "yes"]
    (tmp_path / "set/unsure").mkdir()
    (tmp_path / "set/0.png").write_bytes(encode.png(blobs(0)))
    result = run(*arguments, "--map", "yes=tumor")
    assert "left out 1 file (in no class folder): the folder itself (1)" in result.output
    assert "no image in unsure" in result.output
    assert "2 classes: notumor, tumor; 'notumor' means no finding." in result.output
    labels = [record.label for record in Manifest.load(tmp_path / "n.csv")]
    assert labels == ["notumor", "tumor", "tumor"]
    for pair in ("yes", "=glioma"):
        assert run(*arguments, "--map", pair).exit_code == 2
    result = run(*arguments, "--map", "yes=tumor", "--map", "yes=glioma")
    assert result.exit_code == 2
    assert "gives 'yes' two labels" in result.output
    result = run(*arguments[:-1], "n.txt")
    assert result.exit_code == 2
    assert "does not end in .csv or .parquet" in result.output
    result = run(*arguments, "--map", "maybe=tumor")
    assert "holds no folder maybe, which --map names" in str(result.exception)


def test_import_refuses_an_incomplete_public_set(leaking: Path, tmp_path: Path) -> None:
    arguments = ("import", "nickparvar", "--from", tmp_path / "set", "--output", tmp_path / "n.csv")
    result = run(*arguments)
    assert isinstance(result.exception, DatasetError)
    assert "testing/notumor has 1 of 405 files" in str(result.exception)
    assert not (tmp_path / "n.csv").exists()
    assert run(*arguments, "--allow-partial").exit_code == 0
    assert len(Manifest.load(tmp_path / "n.csv")) == 16


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", "folder", "--from", "x", "--output", "y.csv", "--allow-partial"),
        ("import", "nickparvar", "--from", "x", "--output", "y.csv", "--source", "z"),
        ("import", "imagenet", "--from", "x", "--output", "y.csv"),
        ("split", "m.csv"),
        ("split", "m.csv", "--protocol", "clean", "--verify", "clean"),
        ("split", "m.csv", "--verify", "clean", "--output", "x.csv"),
        ("split", "m.csv", "--ratio", "70/15/15", "--kfold", "5"),
        ("split", "m.csv", "--folders", "--kfold", "5"),
        ("import", "nickparvar", "--from", "x", "--output", "y.csv", "--group-from", "(x)"),
        ("audit", "m.csv"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_audit_reports_and_strict_fails(leaking: Path, tmp_path: Path) -> None:
    result = run("audit", leaking, "--report", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert "1 of 4" in result.output
    assert RESEARCH_NOTICE in result.output
    assert "Checked 16 images in" in result.output
    found = json.loads((tmp_path / "report" / "audit.json").read_text("utf-8"))
    (pair,) = found["near_duplicates"]
    assert pair["orientation"] == "rotated 90"
    assert (tmp_path / "report" / "index.html").is_file()
    strict = run("audit", leaking, "--report", tmp_path / "report", "--strict")
    assert isinstance(strict.exception, LeakError)
    assert strict.exception.exit_code == 8
    assert "leaks" in str(strict.exception)


def test_a_set_without_a_test_part_is_not_called_clean(leaking: Path, tmp_path: Path) -> None:
    run("import", "folder", "--from", tmp_path / "set/Training", "--output", tmp_path / "n.csv")
    result = run("audit", tmp_path / "n.csv", "--report", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert "leaks: not checked" in result.output
    assert "0 of 0" not in result.output
    page = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert "Leaks were not checked" in page
    assert "0 of 0" not in page


@pytest.mark.parametrize(
    ("folder", "why"),
    [("Training", "no image is in a test part"), ("Testing", "every image is in the test")],
)
def test_strict_fails_a_split_that_cannot_be_checked(
    leaking: Path, tmp_path: Path, folder: str, why: str
) -> None:
    """A gate that passes what it could not look at is none."""
    other = "Testing" if folder == "Training" else "Training"
    shutil.rmtree(tmp_path / "set" / other)
    assert run("import", "folder", "--from", tmp_path / "set", "--output", leaking).exit_code == 0
    result = run("audit", leaking, "--report", tmp_path / "report", "--strict")
    assert isinstance(result.exception, LeakError)
    assert result.exception.exit_code == 8
    assert why in str(result.exception)
    assert (tmp_path / "report" / "index.html").is_file()


def test_strict_passes_a_split_without_leaks(leaking: Path, tmp_path: Path) -> None:
    splits.build("mended", "", mended(Manifest.load(leaking)), True).save(tmp_path / "s.csv")
    result = run(
        "audit", leaking, "--report", tmp_path / "report", "--strict", "--split", tmp_path / "s.csv"
    )
    assert result.exit_code == 0, result.output
    assert "0 of 3" in result.output


def test_split_folder_is_written_and_verified_with_a_warning(leaking: Path, tmp_path: Path) -> None:
    output = tmp_path / "folder.csv"
    result = run("split", leaking, "--protocol", "folder", "--output", output)
    assert result.exit_code == 0, result.output
    again = run("split", leaking, "--verify", output)
    assert again.exit_code == 0
    assert "BY DESIGN" in again.output
    assert splits.load(output).info.counts["test"] == 4


def test_own_splits_keep_groups_together(leaking: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(leaking)
    records = [
        dataclasses.replace(r, group=f"g{k % 6}", pixel_sha256=f"{k}", sha256=f"{k:064x}")
        for k, r in enumerate(manifest)
    ]
    mine = tmp_path / "mine.csv"
    Manifest(tuple(records), manifest.folder).save(mine)
    output = tmp_path / "own.csv"
    result = run("split", mine, "--ratio", "2/1/1", "--output", output)
    assert result.exit_code == 0
    assert "no group is in two parts" in result.output
    assert set(splits.load(output).info.counts) == {"train", "validation", "test"}
    output = tmp_path / "folds.csv"
    assert run("split", mine, "--kfold", "3", "--output", output).exit_code == 0
    assert set(splits.load(f"{output}:1").info.counts) == {"train", "validation", "test"}
    for ratio in ("most", "70/30", "70/30/0", "nan/1/1"):
        wrong = run("split", mine, "--ratio", ratio, "--output", tmp_path / "wrong.csv")
        assert (wrong.exit_code, "three positive numbers" in wrong.output) == (2, True)


def by_patient(folder: Path, *, levels: bool = False) -> None:
    """Three images of each of twelve patients, below their class, or split and class."""
    for k in range(36):
        patient = k // 3
        part = ("train/", "val/", "test/")[patient % 3] if levels else ""
        file = folder / f"{part}{CLASSES[patient % 4]}" / f"p{patient:02d}" / f"{k}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode.png(blobs(k)))


def test_patients_from_folders_stay_together(tmp_path: Path) -> None:
    by_patient(tmp_path / "set")
    mine = tmp_path / "mine.csv"
    start = ("import", "folder", "--from", tmp_path / "set", "--output", mine)
    result = run(*start, "--group-from", r"/(p\d+)/")
    assert "36 images in 12 groups." in result.output
    assert {r.patient for r in Manifest.load(mine)} == {f"p{k:02d}" for k in range(12)}
    result = run("split", mine, "--kfold", "3", "--stratify", "--group", "patient", "--seed", "1")
    assert result.exit_code == 0, result.output
    split = splits.load("mine-split", tmp_path)
    manifest = Manifest.load(mine)
    parts = dict(zip((r.path for r in manifest), split.parts(manifest), strict=True))
    for patient in range(12):
        of_patient = {part for path, part in parts.items() if f"/p{patient:02d}/" in path}
        assert len(of_patient) == 1
    arguments = ("--ratio", "2/1/1", "--output", tmp_path / "other.csv")
    result = run("split", mine, *arguments, "--group-from", "patients")
    assert isinstance(result.exception, ManifestError)
    assert str(result.exception).endswith("did you mean patient?")


def test_near_duplicates_of_two_patients_stay_together(leaking: Path, tmp_path: Path) -> None:
    """The last image is the fourth, turned: neither bytes nor pixels are the same."""
    for seed in range(4):
        arguments = ("split", leaking, "--ratio", "2/1/1", "--seed", str(seed))
        result = run(*arguments, "--output", tmp_path / f"{seed}.csv")
        assert "Near-duplicates merge 16 groups into 15" in result.output
        parts = splits.load(tmp_path / f"{seed}.csv").parts(Manifest.load(leaking))
        of = {Path(r.path).stem: p for r, p in zip(Manifest.load(leaking), parts, strict=True)}
        assert of["3"] == of["15"]
    assert "join" not in run(*arguments, "--no-near-duplicates").output


def test_images_that_cannot_be_compared_are_told(leaking: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(leaking)
    arguments = ("split", leaking, "--ratio", "2/1/1", "--output")
    manifest.file(manifest.records[0]).unlink()
    result = run(*arguments, tmp_path / "split.csv")
    assert result.exit_code == 0, result.output
    assert "1 image could not be compared with the others" in result.stderr
    for record in manifest.records[1:]:
        manifest.file(record).unlink()
    result = run(*arguments, tmp_path / "other.csv")
    assert isinstance(result.exception, DatasetError)
    assert "no image can be read" in str(result.exception)
    result = run("audit", leaking, "--report", tmp_path / "report")
    assert isinstance(result.exception, DatasetError)


def test_folders_of_a_split_are_taken_as_they_are(tmp_path: Path) -> None:
    by_patient(tmp_path / "set", levels=True)
    mine = tmp_path / "mine.csv"
    rule = ("--group-from", "folder:1")
    start = ("import", "folder", "--from", tmp_path / "set", "--output", mine)
    assert run(*start, *rule).exit_code == 0
    result = run("split", mine, "--folders")
    assert result.exit_code == 0, result.output
    named = {"train": "train", "val": "validation", "test": "test"}
    manifest = Manifest.load(mine)
    split = splits.load("mine-split", tmp_path)
    for record, part in zip(manifest, split.parts(manifest), strict=True):
        assert named[record.path.split("/")[1]] == part
    # A patient whose folder is also in another part is told in a line.
    shutil.copytree(tmp_path / "set/train/glioma/p00", tmp_path / "set/test/glioma/p00")
    run(*start, *rule)
    result = run("split", mine, "--folders", "--output", tmp_path / "other.csv")
    assert isinstance(result.exception, SplitError)
    assert "1 group is in more than one part, for example set:p00" in str(result.exception)
    assert "To divide by patient instead of by folder, use --ratio" in str(result.exception)
    (tmp_path / "set/train").rename(tmp_path / "set/trian")
    result = run(*start, *rule)
    assert isinstance(result.exception, DatasetError)
    assert "trian: is not the name of a split" in str(result.exception)


@pytest.mark.parametrize(
    ("names", "said"),
    [(("cyst", "kein Tumor"), "If one does, import again with --map FOLDER=notumor."),
     (("P01", "P02"), "all classes are named like patients; if they are patients, put")],
)  # fmt: skip
def test_an_import_says_what_to_do_if_folders_mean_something_else(
    tmp_path: Path, names: tuple[str, str], said: str, write_dicom: Callable[..., bytes]
) -> None:
    for number, name in enumerate(names):
        file = tmp_path / "set" / name / "IM0001"
        file.parent.mkdir(parents=True)
        file.write_bytes(write_dicom(blobs(number), PatientID=f"p{number}"))
    start = ("import", "folder", "--from", tmp_path / "set", "--output", tmp_path / "m.csv")
    result = run(*start)
    assert "none of them means no finding." in result.output
    assert said in result.output
    assert "2 images in 2 groups." in result.output
    if said.startswith("If one does"):
        result = run(*start, "--map", "kein Tumor=notumor")
        assert "2 classes: notumor, cyst; 'notumor' means no finding." in result.output


@pytest.mark.parametrize(
    ("order", "said"),
    [("{c}/p{n}/a.png", "such as cyst/p0 are patients, run this again with --group-from folder:1"),
     ("{c}/p{n}.png", "; use --group-from to find the patient in file or folder names")],
)  # fmt: skip
def test_an_import_without_patients_says_so(tmp_path: Path, order: str, said: str) -> None:
    rng = np.random.default_rng(0)
    for label, number in itertools.product(("cyst", "normal"), range(2)):
        file = tmp_path / "set" / order.format(c=label, n=number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode.png(rng.integers(0, 255, (32, 32), dtype=np.uint8)))
    start = ("import", "folder", "--from", tmp_path / "set", "--output", tmp_path / "m.csv")
    assert said in run(*start).stderr
    if "folder:1" in said:
        result = run(*start, "--group-from", "folder:1")
        assert "4 images in 2 groups." in result.output
        assert "the patients are not known" not in result.stderr


def test_a_part_that_lacks_a_class_is_noted(tmp_path: Path) -> None:
    labels = ("cyst", "normal", "normal", "normal")
    rows = [f"{n}.png,{label},{n:064x},{n}" for n, label in enumerate(labels)]
    (tmp_path / "m.csv").write_text("\n".join(["path,class,sha256,group", *rows]))
    result = run("split", tmp_path / "m.csv", "--ratio", "50/25/25", "--no-near-duplicates")
    assert result.exit_code == 0, (result.output, result.exception)
    said = "no image of some classes in test (cyst), validation (cyst): there are too few groups of"
    assert result.stderr.count(said) == 1
    assert "--no-near-duplicates" not in result.stderr


def test_a_class_that_is_not_in_the_test_folder_is_noted(tmp_path: Path) -> None:
    parts = (("cyst", "train"), ("normal", "train"), ("normal", "val"), ("normal", "test"))
    rows = [f"{n}.png,{label},{part},{n:064x},{n}" for n, (label, part) in enumerate(parts)]
    (tmp_path / "m.csv").write_text("\n".join(["path,class,split,sha256,group", *rows]))
    result = run("split", tmp_path / "m.csv", "--folders")
    assert result.exit_code == 0, (result.output, result.exception)
    assert "in test (cyst), validation (cyst); the parts are those of the folders" in result.stderr


def test_without_a_val_folder_some_training_patients_validate(leaking: Path) -> None:
    result = run("split", leaking, "--folders", "--no-stratify")
    assert result.exit_code == 0, result.output
    assert "a tenth" in splits.load(leaking.with_name("m-split.csv")).info.description
    counts = splits.load(leaking.with_name("m-split.csv")).info.counts
    assert counts == {"test": 4, "train": 11, "validation": 1}


@pytest.mark.parametrize("way", [("--ratio", "60/20/20"), ("--kfold", "3"), ("--folders",)])
def test_a_published_split_that_is_not_used_is_noted(leaking: Path, way: tuple[str, ...]) -> None:
    result = run("split", leaking, *way, "--no-near-duplicates")
    assert result.exit_code == 0, result.output
    told = "the split in the manifest (testing, training) is not used; --folders keeps it"
    assert (told in result.stderr) == (way != ("--folders",))


def test_an_image_with_two_classes_is_noted(leaking: Path) -> None:
    manifest = Manifest.load(leaking)
    first = manifest.records[0]
    again = dataclasses.replace(first, path="again.png", label="notumor")
    assert first.label != again.label
    Manifest((*manifest.records, again), manifest.folder).save(leaking)
    result = run("split", leaking, "--ratio", "60/20/20", "--no-near-duplicates")
    assert "1 image is listed with two classes; see" in result.stderr


def test_a_folder_of_unreadable_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set/glioma").mkdir(parents=True)
    for k in range(5):
        (tmp_path / f"set/glioma/{k}.jpg").write_bytes(b"\xff\xd8\xff")
    result = run("import", "folder", "--from", tmp_path / "set", "--output", tmp_path / "m.csv")
    assert isinstance(result.exception, DatasetError)
    told = str(result.exception)
    assert "no file can be read as an image: set/glioma/0.jpg: " in told
    assert told.endswith("; and 2 more")
    assert not (tmp_path / "m.csv").exists()


def test_a_split_without_folders_says_so(tmp_path: Path) -> None:
    by_patient(tmp_path / "set")
    start = ("import", "folder", "--from", tmp_path / "set", "--output", tmp_path / "m.csv")
    run(*start, "--group-from", "folder:1")
    result = run("split", tmp_path / "m.csv", "--folders")
    assert "does not say whether it trains, validates or tests" in str(result.exception)
    assert str(result.exception).endswith("Without such folders, use --ratio or --kfold")


def test_split_verification_fails_where_a_group_crosses(leaking: Path, tmp_path: Path) -> None:
    manifest = Manifest.load(leaking)
    splits.build("mended", "", mended(manifest), True).save(tmp_path / "s.csv")
    good = run("split", leaking, "--verify", tmp_path / "s.csv")
    assert good.exit_code == 0
    assert "no group is in two parts" in good.output
    text = leaking.read_text()
    test_group = next(r.group for r in manifest if r.split == "testing")
    train_group = next(r.group for r in manifest if r.split == "training")
    leaking.write_text(text.replace(test_group, train_group))
    bad = run("split", leaking, "--verify", tmp_path / "s.csv")
    assert isinstance(bad.exception, SplitError)
    assert "leaks: 1 of the manifest's groups or images is" in str(bad.exception)


def test_errors_are_one_line_and_an_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tumorlens", "data", "split", "no.csv", "--verify", "clean"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == ManifestError.exit_code == 6
    assert capsys.readouterr().err.splitlines() == [
        "tumorlens: no.csv: cannot be read (No such file or directory)"
    ]


def test_fetch_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    result = run("fetch", "nickparvar", "--output", tmp_path)
    assert isinstance(result.exception, MissingExtraError)


@pytest.mark.realdata
@pytest.mark.parametrize("protocol", splits.PROTOCOLS)
def test_real_manifest_rewrites_the_shipped_split(
    data_dir: Path, tmp_path: Path, real_manifest: Callable[[], Path], protocol: str
) -> None:
    output = tmp_path / f"{protocol}.csv"
    result = run("split", real_manifest(), "--protocol", protocol, "--output", output)
    assert result.exit_code == 0, result.output
    shipped = Path(splits.__file__).parents[1] / "splits" / f"{protocol}.json"
    assert output.with_suffix(".json").read_bytes() == shipped.read_bytes()
    assert splits.load(output) == splits.load(protocol)


@pytest.fixture(scope="module")
def real_manifest(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Imports the public set once, on demand."""
    file = tmp_path_factory.mktemp("real") / "np.parquet"

    def once() -> Path:
        if not file.exists():
            result = run(
                "import", "nickparvar", "--from", data_dir / "nickparvar", "--output", file
            )
            assert result.exit_code == 0, result.output
            assert "Wrote 7,023 images" in result.output
        return file

    return once


@pytest.mark.parametrize("kept", ["m-split.csv", "m-split.json"])
@pytest.mark.parametrize("named", [(), ("--output", "m-split.csv"), ("--output", "m-split")])
def test_a_split_that_exists_is_not_written_over(
    leaking: Path, monkeypatch: pytest.MonkeyPatch, kept: str, named: tuple[str, ...]
) -> None:
    monkeypatch.chdir(leaking.parent)
    there = leaking.with_name(kept)
    there.write_text("kept")
    leaking.rename(leaking.with_name("m.csv"))
    result = run("split", "m.csv", "--ratio", "60/20/20", *named)
    assert isinstance(result.exception, OutputExistsError)
    assert f"{kept} exists already; name another file with --output" in str(result.exception)
    assert there.read_text() == "kept"


def _import_again(leaking: Path) -> Result:
    return run("import", "folder", "--from", leaking.parent / "set", "--output", leaking)


def test_importing_again_keeps_patients_that_someone_filled_in(leaking: Path) -> None:
    manifest = Manifest.load(leaking)
    first, *others = manifest
    Manifest((dataclasses.replace(first, patient="A"), *others), manifest.folder).save(leaking)
    before = leaking.read_bytes()
    result = _import_again(leaking)
    assert isinstance(result.exception, OutputExistsError)
    assert "values that would be lost (patient); name another file" in str(result.exception)
    assert leaking.read_bytes() == before


def test_importing_again_lists_what_was_added_or_has_changed(leaking: Path) -> None:
    folder = leaking.parent / "set" / "Training" / CLASSES[0]
    (folder / "0.png").write_bytes(b"damaged")
    (folder / "new.png").write_bytes(encode.png(blobs(99)))
    assert _import_again(leaking).exit_code == 0
    names = {Path(record.path).name for record in Manifest.load(leaking)}
    assert "new.png" in names
    assert "0.png" not in names


def test_importing_writes_over_no_other_file(leaking: Path) -> None:
    leaking.write_text("name;age\n")
    result = _import_again(leaking)
    assert isinstance(result.exception, OutputExistsError)
    assert "exists but is not a manifest" in str(result.exception)
    assert leaking.read_text() == "name;age\n"


def test_rows_that_repeat_a_path_are_noted(leaking: Path) -> None:
    manifest = Manifest.load(leaking)
    first, *others = manifest
    again = dataclasses.replace(first, path=f"./{first.path}")
    Manifest((first, again, *others), manifest.folder).save(leaking)
    result = run("split", leaking, "--ratio", "60/20/20", "--no-near-duplicates")
    assert "1 row of the manifest repeats the path of another row" in result.output


@pytest.mark.parametrize(
    ("groups", "patients", "note"),
    [
        ("abcd", "ppqq", "2 patients of the manifest are in several groups"),
        ("aAbB", "pqrs", "2 groups are written in upper and lower case"),
        ("aabb", "pqrs", None),
        ("abcd", ["", "", "", ""], None),
    ],
)
def test_groups_that_do_not_keep_patients_together_are_noted(
    leaking: Path, groups: str, patients: Sequence[str], note: str | None
) -> None:
    manifest = Manifest.load(leaking)
    given = zip(manifest, itertools.cycle(groups), itertools.cycle(patients), strict=False)
    records = [dataclasses.replace(one, group=g, patient=p) for one, g, p in given]
    Manifest(tuple(records), manifest.folder).save(leaking)
    result = run("split", leaking, "--ratio", "60/20/20", "--no-near-duplicates")
    if note is None:
        assert "several groups" not in result.output
        assert "lower case" not in result.output
    else:
        assert note in result.output


def test_links_to_nothing_are_reported(tmp_path: Path) -> None:
    by_patient(tmp_path / "set")
    (tmp_path / "set" / "glioma" / "loop.png").symlink_to("loop.png")
    (tmp_path / "set" / "glioma" / "gone.png").symlink_to("nowhere.png")
    result = run("import", "folder", "--from", tmp_path / "set", "--output", tmp_path / "m.csv")
    assert result.exit_code == 0
    assert "left out 2 files (links to nothing, or not regular files): glioma (2)" in result.output

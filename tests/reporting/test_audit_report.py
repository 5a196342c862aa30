"""The page of an audit: which images it shows, and what it says of them."""

import base64
import io
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image
from tests.evaluated import record

from tumorlens.datasets import findings
from tumorlens.datasets.findings import Copies, CrossingGroup, LabelConflict, NearDuplicate, Outlier
from tumorlens.datasets.manifest import Manifest
from tumorlens.reporting.audit_report import conflicting_images, write

NOTHING = findings.Audit(
    format_version=1, manifest="m.csv", manifest_sha256="a" * 64, split="mine", images=6,
    counts={}, leaks=findings.Leaks(*[0] * 10), unreadable=[], changed=[], redundant_bytes=0,
    redundant_pixels=0, copies=[], near_duplicate_pairs={}, near_duplicates=[],
    label_conflicts=[], crossing_groups=[], outliers={}, controls=[], seconds=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Six images of two groups; the last file is missing."""
    folder = tmp_path_factory.mktemp("audited")
    for k in range(5):
        Image.fromarray(np.full((64, 64), 40 * k + 20, np.uint8)).save(folder / f"{k}.png")
    group = ("P1", "P1", "P1", "c2", "c2", "c2")
    return Manifest(
        tuple(record(f"{k}.png", "glioma", group=name) for k, name in enumerate(group)), folder
    )


PARTS = ("train", "train", "test", "train", "test", "test")


def page_of(manifest: Manifest, folder: Path, **found: object) -> str:
    audit = msgspec.structs.replace(NOTHING, **found)
    return write(audit, manifest, PARTS, folder).read_text("utf-8")


def conflict(path: str, other: str = "") -> LabelConflict:
    return LabelConflict(path, "glioma", "meningioma", "same pixels" if other else "source", other)


@pytest.mark.parametrize(
    ("conflicts", "images"),
    [
        ([], 0),
        ([conflict("a"), conflict("b")], 2),
        ([conflict("a"), conflict("a", "b")], 1),
        ([conflict("a", "b"), conflict("c", "d")], 2),
        ([conflict("a", "b"), conflict("c", "d"), conflict("b", "c")], 1),
        ([conflict("a", "b"), conflict("b", "c"), conflict("a", "d")], 1),
    ],
)
def test_files_of_one_conflict_are_one_image(conflicts: list[LabelConflict], images: int) -> None:
    assert conflicting_images(msgspec.structs.replace(NOTHING, label_conflicts=conflicts)) == images


def test_a_conflict_shows_both_files_and_each_once(manifest: Manifest, tmp_path: Path) -> None:
    """The pair comes first, so that what its source says of one of the two is not repeated."""
    conflicts = [conflict("0.png"), conflict("3.png"), conflict("0.png", "1.png")]
    page = page_of(manifest, tmp_path, label_conflicts=conflicts)
    assert page.count("0.png · glioma") == page.count("1.png · glioma") == 1
    assert page.index("0.png · glioma") < page.index("3.png · glioma")
    assert page.count("glioma or meningioma: same pixels") == 1
    assert page.count("glioma or meningioma: source") == 1


def test_copies_show_one_file_of_each_part(manifest: Manifest, tmp_path: Path) -> None:
    labels = ["glioma"] * 3
    copies = [
        Copies(["3.png", "4.png"], labels[:2], ["test", "test"], True, False),
        Copies(["0.png", "1.png", "2.png"], labels, ["train", "train", "test"], False, True),
    ]
    page = page_of(manifest, tmp_path, copies=copies)
    assert "same pixels, different bytes" in page
    assert not re.search("[34].png ·", page), "copies within a part leak nothing"
    assert page.count("glioma, train") == 2 * page.count("2.png · glioma, test") == 2


def test_near_duplicates_show_an_image_once(manifest: Manifest, tmp_path: Path) -> None:
    pairs = [
        NearDuplicate("0.png", "2.png", ("train", "test"), "identity", 3, 0.9988),
        NearDuplicate("1.png", "2.png", ("train", "test"), "identity", 4, 0.9951),
        NearDuplicate("3.png", "4.png", ("train", "test"), "rot180", 5, 0.981),
    ]
    page = page_of(
        manifest, tmp_path, near_duplicates=pairs, near_duplicate_pairs={"identity": 2, "rot180": 1}
    )
    assert "correlation 0.999, 3 of 64 hash bits" in page
    assert "correlation 0.981, 5 of 64 hash bits" in page
    assert "0.995" not in page
    assert page.count("2.png · glioma, test") == 1
    assert "3.png · glioma, train" in page


def test_patients_and_clusters_show_an_image_of_each_part(
    manifest: Manifest, tmp_path: Path
) -> None:
    groups = [
        CrossingGroup("P1", True, {"test": 1, "train": 2}),
        CrossingGroup("c2", False, {"test": 2, "train": 1}),
    ]
    page = page_of(manifest, tmp_path, crossing_groups=groups)
    assert "patient P1: 1 in test, 2 in train" in page
    assert "cluster, patient unknown: c2: 2 in test, 1 in train" in page
    shown = [f"{k}.png" for k in range(6) if f"{k}.png · glioma" in page]
    assert shown == ["0.png", "2.png", "3.png", "4.png"], "the first of each part"


def test_outliers_say_how_far_they_are_and_how_many_files(
    manifest: Manifest, tmp_path: Path
) -> None:
    outliers = {"glioma": [Outlier("0.png", "glioma", 9.26, 1), Outlier("1.png", "glioma", 8.0, 3)]}
    page = page_of(manifest, tmp_path, outliers=outliers)
    assert "score 9.3" in page
    assert "score 9.3, " not in page
    assert "score 8.0, 3 files" in page


def test_a_file_that_cannot_be_read_is_shown_black(manifest: Manifest, tmp_path: Path) -> None:
    page = page_of(manifest, tmp_path, outliers={"glioma": [Outlier("5.png", "glioma", 9.0, 1)]})
    (data,) = {part.split('"')[0] for part in page.split("data:image/jpeg;base64,")[1:]}
    assert not np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).any()

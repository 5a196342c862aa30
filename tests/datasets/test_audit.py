"""The audit finds what was planted, and nothing where nothing is."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from tumorlens.datasets import audit, importers, splits
from tumorlens.datasets.findings import Audit
from tumorlens.datasets.fingerprints import fingerprint
from tumorlens.datasets.manifest import Manifest
from tumorlens.imaging.raster import encode
from tumorlens.labels import CLASSES, RESEARCH_NOTICE
from tumorlens.reporting import audit_report

Draw = Callable[[int], NDArray[np.uint8]]


class Planted(Protocol):
    """What the fixture ``planted`` gives."""

    folder: Path
    manifest: Manifest


@pytest.fixture(scope="module")
def found(planted: Planted) -> Audit:
    parts = audit.published_parts(planted.manifest)
    return audit.audit(planted.manifest, parts, manifest_name="planted.csv")


def name(path: str) -> str:
    return "/".join(Path(path).parts[-3:])


def test_counts(found: Audit) -> None:
    assert found.images == 58
    assert found.counts["test"]["glioma"] == 10
    assert found.counts["train"] == {"glioma": 10, "meningioma": 11, "notumor": 11, "pituitary": 10}
    assert found.leaks.test_images == 16


def test_undecodable_files(found: Audit) -> None:
    (one,) = found.unreadable
    assert name(one.path) == "Training/notumor/broken.jpg"
    assert (one.label, one.part) == ("notumor", "train")
    assert "damaged" in one.problem or "cannot be decoded" in one.problem


def test_exact_duplicates(found: Audit) -> None:
    (copies,) = found.copies
    assert [name(path) for path in copies.paths] == [
        "Testing/glioma/same-bytes.png",
        "Testing/glioma/same-pixels.tif",
        "Training/glioma/0.png",
    ]
    assert copies.crosses
    assert not copies.same_bytes
    assert (found.redundant_bytes, found.redundant_pixels) == (1, 2)
    assert (found.leaks.test_with_same_bytes, found.leaks.test_with_same_pixels) == (1, 2)


def test_edited_and_turned_copies_and_nothing_else(found: Audit) -> None:
    pairs = {(name(p.left), name(p.right)): p.orientation for p in found.near_duplicates}
    assert pairs == {
        ("Testing/glioma/mirrored.png", "Training/glioma/4.png"): "mirrored",
        ("Testing/glioma/rotated90.png", "Training/glioma/8.png"): "rotated 90",
        ("Testing/glioma/rotated180.png", "Training/glioma/12.png"): "rotated 180",
        ("Testing/glioma/rotated270.png", "Training/glioma/16.png"): "rotated 270",
        ("Testing/glioma/sharpened.jpg", "Training/glioma/20.png"): "same",
        ("Testing/glioma/larger.png", "Training/glioma/24.png"): "same",
    }
    assert found.leaks.crossing_near_duplicates == 6
    assert found.leaks.test_with_copy == 8
    assert all(p.correlation >= 0.97 and p.hash_distance <= 12 for p in found.near_duplicates)
    correlations = [p.correlation for p in found.near_duplicates]
    assert correlations == sorted(correlations, reverse=True)


def test_label_conflicts(found: Audit) -> None:
    (conflict,) = found.label_conflicts
    assert name(conflict.path) == "Training/meningioma/relabelled.jpg"
    assert name(conflict.other_path) == "Training/pituitary/3.png"
    assert (conflict.label, conflict.other_label) == ("meningioma", "pituitary")
    assert conflict.reason == "near-duplicate"
    assert audit_report.conflicting_images(found) == 1


def test_the_source_contradicts_the_folder(planted: Planted) -> None:
    first, *rest = planted.manifest.records
    doubted = dataclasses.replace(first, source_label="pituitary")
    manifest = Manifest((doubted, *rest), planted.manifest.folder)
    found = audit.audit(manifest, audit.published_parts(manifest), manifest_name="m")
    assert [c.reason for c in found.label_conflicts] == ["source", "near-duplicate"]
    assert found.label_conflicts[0].other_label == "pituitary"
    assert audit_report.conflicting_images(found) == 2


def test_patients_in_two_parts(planted: Planted) -> None:
    """Testing 40 and 44 share patients with training images; 41 and 42 with one another."""
    patients = {"0": "A", "40": "A", "4": "B", "44": "B", "41": "C", "42": "C"}
    records = []
    for record in planted.manifest:
        patient = patients.get(Path(record.path).stem, "")
        group = f"P_{patient}" if patient else record.group
        records.append(dataclasses.replace(record, patient=patient, group=group))
    manifest = Manifest(tuple(records), planted.manifest.folder)
    found = audit.audit(manifest, audit.published_parts(manifest), manifest_name="m")
    assert [(g.group, g.images) for g in found.crossing_groups if g.patient_known] == [
        ("P_A", {"test": 1, "train": 1}),
        ("P_B", {"test": 1, "train": 1}),
    ]
    leaks = found.leaks
    assert (leaks.test_with_known_patient, leaks.test_with_known_patient_elsewhere) == (4, 2)


def test_controls_are_fitted_and_scored(found: Audit) -> None:
    assert [control.name for control in found.controls] == ["hash_neighbour", "frame_classifier"]
    for control in found.controls:
        assert control.total == 16
        assert control.accuracy == control.correct / 16
    # The planted copies are most of the test part: the hash knows them again.
    assert found.controls[0].correct >= 4


def test_a_changed_file_is_named(planted: Planted) -> None:
    first, *rest = planted.manifest.records
    other = dataclasses.replace(first, sha256="0" * 64)
    manifest = Manifest((other, *rest), planted.manifest.folder)
    parts = audit.published_parts(manifest)
    assert audit.audit(manifest, parts, manifest_name="m").changed == [first.path]


def test_excluded_images_never_leak(planted: Planted) -> None:
    parts = [
        "excluded" if part == "test" and not Path(record.path).stem.isdigit() else part
        for record, part in zip(
            planted.manifest, audit.published_parts(planted.manifest), strict=True
        )
    ]
    found = audit.audit(planted.manifest, parts, manifest_name="m", split_name="mended")
    assert not found.leaks.any
    assert found.near_duplicates == []
    assert (found.split, found.leaks.test_images) == ("mended", 8)
    assert sum(found.near_duplicate_pairs.values()) == 7


def test_folds_are_each_tested_once(tmp_path: Path, draw: Draw) -> None:
    for seed in range(20):
        file = tmp_path / "set" / CLASSES[seed % 4] / f"{seed}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode.png(draw(seed)))
    manifest = importers.import_folder(tmp_path / "set", tmp_path / "m.csv")
    parts = [f"fold{k % 5}" for k in range(20)]
    found = audit.audit(manifest, parts, manifest_name="m")
    assert not found.leaks.any
    assert found.leaks.test_images == 20
    assert [control.total for control in found.controls] == [20, 20]


def test_a_set_without_a_split_has_nothing_to_leak(tmp_path: Path, draw: Draw) -> None:
    for seed in (1, 1, 2):
        file = tmp_path / "set" / "glioma" / f"{len(list(tmp_path.rglob('*.png')))}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode.png(draw(seed)))
    manifest = importers.import_folder(tmp_path / "set", tmp_path / "m.csv")
    parts = audit.published_parts(manifest)
    found = audit.audit(manifest, parts, manifest_name="m")
    assert found.redundant_bytes == 1
    assert not found.leaks.any
    assert found.controls == []
    page = audit_report.write(found, manifest, parts, tmp_path / "report")
    assert "only one part" in page.read_text("utf-8")


def test_report_shows_the_images_and_json_holds_everything(
    planted: Planted, found: Audit, tmp_path: Path
) -> None:
    parts = audit.published_parts(planted.manifest)
    page = audit_report.write(found, planted.manifest, parts, tmp_path)
    text = page.read_text("utf-8")
    stored = (tmp_path / audit_report.JSON).read_bytes()
    assert msgspec.json.decode(stored, type=Audit) == found
    assert RESEARCH_NOTICE in text
    assert "This split leaks" in text
    # Six pairs, one conflict, one group of copies and its group: each two images side by side.
    assert len(re.findall(r"<img ", text)) == 18
    assert set(re.findall(r'(?:src|href)="([^"]{5})', text)) == {"data:"}
    for planted_name in ("mirrored.png", "sharpened.jpg", "relabelled.jpg", "broken.jpg"):
        assert planted_name in text


@pytest.mark.realdata
@pytest.mark.slow
def test_public_set(data_dir: Path, tmp_path: Path) -> None:
    """What is known to be wrong with the public set is found; the clean split mends it."""
    manifest = importers.import_nickparvar(data_dir / "nickparvar", tmp_path / "np.csv")
    prints = fingerprint(manifest)
    parts = audit.published_parts(manifest)
    found = audit.audit_fingerprints(manifest, parts, prints, manifest_name="np.csv")
    leaks = found.leaks
    assert leaks.test_images == 1311
    assert leaks.test_with_same_pixels == 216
    assert (leaks.test_with_known_patient, leaks.test_with_known_patient_elsewhere) == (788, 788)
    assert leaks.test_with_group_elsewhere == 1305
    assert leaks.test_with_copy > 1000
    assert found.redundant_pixels == 426
    assert found.unreadable == []
    assert audit_report.conflicting_images(found) == 4
    # Without the primary source's word, the images themselves give all four away.
    assert sum(c.reason == "near-duplicate" for c in found.label_conflicts) == 4
    assert {one.name: round(one.accuracy, 2) for one in found.controls} == {
        "hash_neighbour": 0.92,
        "frame_classifier": 0.95,
    }
    group = {record.path: record.group for record in manifest}
    assert all(group[p.left] == group[p.right] for p in found.near_duplicates)
    clean = splits.load("clean").verify_manifest(manifest)
    mended = audit.audit_fingerprints(manifest, clean, prints, manifest_name="np.csv")
    assert not mended.leaks.any
    assert mended.leaks.test_images == 1332


def test_partial_labels_are_no_matter_for_the_controls(planted: Planted) -> None:
    records = [
        dataclasses.replace(record, label="tumor" if record.label == "glioma" else record.label)
        for record in planted.manifest
    ]
    manifest = Manifest(tuple(records), planted.manifest.folder)
    parts = audit.published_parts(manifest)
    scored = sum(
        part == "test" and record.label != "tumor"
        for record, part in zip(manifest, parts, strict=True)
    )
    found = audit.audit(manifest, parts, manifest_name="planted.csv")
    assert {control.total for control in found.controls} == {scored}


def test_known_patients_come_before_larger_clusters(planted: Planted) -> None:
    """A cluster of unknown patients may be several people; a patient is one, so is shown first."""
    groups = ("c1", "c1", "c1", "P2", "P2", "P1", "P1", "P1", "c0", "c0")
    parts = (
        ["train", "test", "test"] + ["train", "test"] + ["train", "test", "test"] + ["train"] * 2
    )
    chosen = tuple(
        dataclasses.replace(r, group=group, patient=group if group[0] == "P" else "")
        for r, group in zip(planted.manifest.records, groups, strict=False)
    )
    few = Manifest(chosen, planted.manifest.folder)
    found = audit.audit(few, parts, manifest_name="m").crossing_groups
    assert [g.group for g in found] == ["P1", "P2", "c1"]
    assert [g.images for g in found][-1] == {"test": 2, "train": 1}

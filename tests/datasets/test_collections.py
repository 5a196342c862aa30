import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from tumorlens.datasets import collections, importers, protocols, splits
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.masks import load_mask
from tumorlens.errors import DatasetError
from tumorlens.imaging import encode, reader

Write = Callable[..., bytes]
COLUMNS = (
    "file", "class", "set", "family", "patient", "sequence", "plane", "skull_stripped", "mask",
)  # fmt: skip


def _diverse(folder: Path, rows: list[tuple[str, ...]]) -> None:
    for row in rows:
        (folder / row[0]).parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(len(row[0])).integers(0, 255, (40, 40)).astype(np.uint8)
        (folder / row[0]).write_bytes(encode.png(noise))
    with (folder / "index.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(COLUMNS)
        writer.writerows(rows)


def test_index_of_diverse_collections_comes_along(tmp_path: Path) -> None:
    _diverse(
        tmp_path,
        [
            ("a/1.png", "glioma", "a", "fam", "p1", "T1CE", "axial", "1", "a/1.png"),
            ("a/22.png", "tumor_free_slice", "a", "fam", "p1", "?", "?", "1", ""),
            ("b/333.png", "other_pathology", "b", "b", "", "FLAIR", "axial", "0", ""),
        ],
    )
    manifest = collections.import_diverse(tmp_path, tmp_path / "m.csv")
    manifest.save(tmp_path / "m.csv")
    glioma, free, other = Manifest.load(tmp_path / "m.csv").records
    assert (glioma.label, glioma.source, glioma.family, glioma.group) == (
        "glioma", "a", "fam", "fam:p1",
    )  # fmt: skip
    assert (glioma.sequence, glioma.plane, glioma.skull_stripped) == ("T1CE", "axial", "1")
    assert manifest.mask_file(glioma) == tmp_path / "a/1.png"
    assert (free.label, free.sequence, free.plane, free.mask) == ("notumor", "", "", "")
    assert other.label == "other_pathology"
    assert other.group != free.group


def test_absent_file_and_unknown_class_are_named(tmp_path: Path) -> None:
    _diverse(tmp_path, [("a/1.png", "wart", "a", "a", "p", "", "", "", "")])
    with pytest.raises(DatasetError, match="wart"):
        collections.import_diverse(tmp_path, tmp_path / "m.csv")
    (tmp_path / "a/1.png").unlink()
    with pytest.raises(DatasetError, match=r"1\.png"):
        collections.import_diverse(tmp_path, tmp_path / "m.csv")
    with pytest.raises(DatasetError, match=r"index\.csv"):
        collections.import_diverse(tmp_path / "nowhere", tmp_path / "m.csv")


@pytest.mark.realdata
def test_real_collections(data_dir: Path, tmp_path: Path) -> None:
    diverse = collections.import_diverse(data_dir / "diverse", tmp_path / "d.csv")
    counts = Counter(record.label for record in diverse)
    assert counts == {"glioma": 240, "notumor": 177, "other_pathology": 170}
    assert all(record.pixel_sha256 for record in diverse)
    folder = data_dir / "brain-tumor-progression"
    hospital = collections.import_brain_tumor_progression(folder, tmp_path / "b.csv")
    assert len(hospital) == 139
    assert len({record.group for record in hospital}) == 11
    for record in hospital.records[::20]:
        image = reader.read(hospital.file(record))
        assert load_mask(hospital, record, (image.height, image.width)).any()
    schwannoma = collections.import_vs_seg_dicom(data_dir / "vs-seg-dicom", tmp_path / "v.csv")
    assert len(schwannoma) == len(list((data_dir / "vs-seg-dicom").glob("*.dcm")))
    assert all(record.pixel_sha256 for record in schwannoma)


def test_a_schwannoma_is_another_disease(tmp_path: Path, write_dicom: Write) -> None:
    for place, name in enumerate(("1-007.dcm", "1-001.dcm")):
        noise = np.random.default_rng(place).integers(0, 999, (40, 40)).astype(np.uint16)
        (tmp_path / name).write_bytes(write_dicom(noise))
    manifest = collections.import_vs_seg_dicom(tmp_path, tmp_path / "m.csv")
    assert [(record.path, record.label) for record in manifest] == [
        ("1-001.dcm", "other_pathology"), ("1-007.dcm", "other_pathology"),
    ]  # fmt: skip
    assert len({record.group for record in manifest}) == 1
    assert len({record.pixel_sha256 for record in manifest}) == 2
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no picture"):
        collections.import_vs_seg_dicom(tmp_path / "empty", tmp_path / "m.csv")


@pytest.mark.realdata
def test_real_tumours_of_unknown_kind_fit_the_split_in_the_box(
    data_dir: Path, tmp_path: Path
) -> None:
    manifest = collections.import_br35h_tumor(data_dir / "br35h-tumor", tmp_path / "t.csv")
    assert {record.label for record in manifest} == {"tumor"}
    parts = splits.load("br35h-tumor").verify_manifest(manifest)
    assert Counter(parts) == {"train": 220, "validation": 60, "test": 140}
    assert (
        protocols.make(manifest, "br35h-tumor").info.sha256
        == splits.load("br35h-tumor").info.sha256
    )


@pytest.mark.realdata
def test_real_outlines_lie_on_their_tumours(data_dir: Path, tmp_path: Path) -> None:
    manifest = importers.import_nickparvar(data_dir / "nickparvar", tmp_path / "n.csv")
    masked = collections.with_cheng_masks(manifest, data_dir / "cheng")
    outlined = [record for record in masked if record.mask]
    assert len(outlined) == 4750
    assert {record.orientation for record in outlined} == {"id", "fliplr"}
    fits = [_fits_better_than_mirrored(masked, record) for record in outlined[::95]]
    # With a wrong orientation about half of them would.
    assert np.mean(fits) > 0.75


def _fits_better_than_mirrored(manifest: Manifest, record: Record) -> bool:
    """Whether what is outlined differs more from its surroundings than the other side does."""
    pixels = reader.read(manifest.file(record)).pixels
    mask = load_mask(manifest, record, (pixels.shape[0], pixels.shape[1])) > 0
    return _contrast(pixels, mask) >= _contrast(pixels, mask[:, ::-1])


def _contrast(pixels: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    ring = binary_dilation(mask, iterations=12) & ~mask
    return abs(float(pixels[mask].mean()) - float(pixels[ring].mean()))


def test_masks_of_nothing(tmp_path: Path) -> None:
    _diverse(tmp_path, [("a/1.png", "glioma", "a", "a", "p", "", "", "", "")])
    manifest = collections.import_diverse(tmp_path, tmp_path / "m.csv")
    with pytest.raises(DatasetError, match="no mask"):
        collections.with_cheng_masks(manifest, tmp_path)

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from tumorlens.datasets import collections, importers, public_splits, splits
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.masks import load_mask
from tumorlens.errors import DatasetError
from tumorlens.imaging import reader
from tumorlens.imaging.raster import encode
from tumorlens.labels import BRAIN_TUMORS

Write = Callable[..., bytes]
COLUMNS = (
    "file", "class", "set", "family", "patient", "sequence", "plane", "skull_stripped", "mask",
)  # fmt: skip


def _diverse(folder: Path, rows: Sequence[tuple[str, ...]], index: str = "index.csv") -> None:
    for row in rows:
        (folder / row[0]).parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(len(row[0])).integers(0, 255, (40, 40)).astype(np.uint8)
        (folder / row[0]).write_bytes(encode.png(noise))
    with (folder / index).open("w", newline="") as handle:
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


def test_further_collections_bring_other_tumours_and_near_misses(tmp_path: Path) -> None:
    healthy = [
        ("h/1.png", "notumor", "h", "h", "p1", "T1", "axial", "1", ""),
        ("c/22.png", "not_brain_mri", "c", "atlas", "", "head_ct", "axial", "", ""),
    ]
    tumour = [
        ("m/333.png", "other_tumor", "m", "m", "p2", "T2", "axial", "0", ""),
        ("m/4444.png", "tumor_unspecified", "m", "m", "p3", "T1CE", "axial", "0", ""),
        ("m/55555.png", "tumor_free_slice", "m", "m", "p3", "T1CE", "axial", "0", ""),
    ]
    _diverse(tmp_path, healthy, "index-healthy.csv")
    _diverse(tmp_path, tumour, "index-tumour.csv")
    manifest = collections.import_more(tmp_path, tmp_path / "m.csv")
    manifest.save(tmp_path / "m.csv")
    records = Manifest.load(tmp_path / "m.csv").records
    assert [record.label for record in records] == [
        "notumor", "not_brain_mri", "other_tumor", "tumor", "notumor",
    ]  # fmt: skip
    assert records[1].sequence == "head_ct"
    assert records[4].source_label == "tumor_free_slice"
    right = [len(BRAIN_TUMORS.correct_classes(record.label)) for record in records]
    assert right == [1, 0, 3, 3, 1]
    split = public_splits.make(Manifest.load(tmp_path / "m.csv"), "more")
    split.verify()
    assert set(split.info.counts) <= {"train", "validation"}


def _head() -> NDArray[np.float32]:
    """(right, anterior, superior), brighter towards the right, the front and the crown."""
    x, y, z = np.mgrid[:60, :70, :50]
    inside = ((x - 30) / 28) ** 2 + ((y - 35) / 33) ** 2 + ((z - 25) / 23) ** 2 < 1
    return np.where(inside, 100 + x + y + z, 0).astype(np.float32)


def _volumes(folder: Path, rows: list[tuple[str, str, str, str]]) -> None:
    """Indices that list ``rows``: file, class, patient and mask."""
    header = "file,class,set,family,patient,sequence,shape,spacing_mm,skull_stripped,mask"
    for name in ("healthy", "tumour"):
        lines = [
            f"{file},{label},{name},f,{patient},T1,,,0,{mask}"
            for file, label, patient, mask in rows
            if (label == "notumor") == (name == "healthy")
        ]
        (folder / f"volumes-{name}.csv").write_text("\n".join([header, *lines]) + "\n")


def _save(path: Path, voxels: NDArray[np.float32], sides: tuple[float, float, float]) -> None:
    """Stored turned by its affine: the first axis runs to the patient's left."""
    affine = np.diag([-sides[0], sides[1], sides[2], 1.0])
    nibabel.save(nibabel.Nifti1Image(voxels[::-1].copy(), affine), path)


def test_heads_are_cut_upright(tmp_path: Path) -> None:
    _save(tmp_path / "one.nii.gz", _head(), (2.0, 2.0, 2.0))
    _save(tmp_path / "oblong.nii.gz", _head(), (1.0, 1.0, 5.0))
    _volumes(tmp_path, [("one.nii.gz", "notumor", "p", ""), ("oblong.nii.gz", "notumor", "q", "")])
    manifest = collections.import_heads(tmp_path, tmp_path / "heads.csv")
    assert Counter(record.plane for record in manifest) == {"coronal": 8, "sagittal": 8}
    assert {(record.label, record.group, record.sequence) for record in manifest} == {
        ("notumor", "f:p", "T1")
    }
    shapes = {"coronal": (50, 60), "sagittal": (50, 70)}
    for record in manifest:
        image = reader.read(manifest.file(record)).pixels
        assert image.shape == shapes[record.plane]
        rows, columns = np.nonzero(image)
        upper = rows < np.median(rows)
        values = image[rows, columns]
        assert values[upper].mean() > values[~upper].mean()


def test_slices_of_a_head_have_a_tumour_where_its_mask_does(tmp_path: Path) -> None:
    x, y, z = np.mgrid[:60, :70, :50]
    tumor = ((x - 40) ** 2 + (y - 50) ** 2 + (z - 30) ** 2 < 64).astype(np.float32)
    for name, voxels in (("ill", _head()), ("mask", tumor), ("unknown", _head())):
        _save(tmp_path / f"{name}.nii", voxels, (2.0, 2.0, 2.0))
    _volumes(tmp_path, [
        ("ill.nii", "glioma", "p", "mask.nii"), ("mask.nii", "mask", "p", ""),
        ("unknown.nii", "glioma", "q", ""),
    ])  # fmt: skip
    manifest = collections.import_heads(tmp_path, tmp_path / "heads.csv")
    assert {record.patient for record in manifest} == {"p"}
    for record in manifest:
        position = int(Path(record.path).stem.rpartition("_")[2])
        outline = tumor[position] if record.plane == "sagittal" else tumor[:, position]
        assert (record.label == "glioma") == bool(outline.any())
        if record.label == "glioma":
            mask = load_mask(manifest, record, (record.height, record.width))
            np.testing.assert_array_equal(mask, outline.T[::-1])
        else:
            assert (record.label, record.source_label) == ("notumor", "tumor_free_slice")
    assert {record.label for record in manifest} == {"glioma", "notumor"}


def test_a_damaged_gzip_file_is_no_head(tmp_path: Path) -> None:
    _save(tmp_path / "one.nii.gz", np.arange(9**3).reshape(9, 9, 9).astype(np.float32), (1, 1, 1))
    data = (tmp_path / "one.nii.gz").read_bytes()
    (tmp_path / "one.nii.gz").write_bytes(data[:60] + bytes(20) + data[80:])
    _volumes(tmp_path, [("one.nii.gz", "notumor", "p", "")])
    with pytest.raises(DatasetError, match=r"one\.nii\.gz: is not a volume of a head"):
        collections.import_heads(tmp_path, tmp_path / "heads.csv")


def test_what_is_no_head_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"volumes-healthy\.csv: cannot be read"):
        collections.import_heads(tmp_path, tmp_path / "heads.csv")
    _volumes(tmp_path, [("one.nii", "notumor", "p", "")])
    for content in (None, b"", b"nonsense"):
        if content is not None:
            (tmp_path / "one.nii").write_bytes(content)
        with pytest.raises(DatasetError, match=r"one\.nii: is not a volume of a head"):
            collections.import_heads(tmp_path, tmp_path / "heads.csv")
    _save(tmp_path / "one.nii", np.zeros((9, 9, 9), np.float32), (1.0, 1.0, 1.0))
    with pytest.raises(DatasetError, match="nearly empty"):
        collections.import_heads(tmp_path, tmp_path / "heads.csv")
    (tmp_path / "volumes-healthy.csv").write_text("file,class\none.nii,notumor\n")
    with pytest.raises(DatasetError, match="has no column set"):
        collections.import_heads(tmp_path, tmp_path / "heads.csv")


@pytest.mark.realdata
def test_real_collections(data_dir: Path, tmp_path: Path) -> None:
    diverse = collections.import_diverse(data_dir / "diverse", tmp_path / "d.csv")
    counts = Counter(record.label for record in diverse)
    assert counts == {"glioma": 240, "notumor": 177, "other_pathology": 170}
    assert all(record.pixel_sha256 for record in diverse)
    more = collections.import_more(data_dir / "more", tmp_path / "m.csv")
    assert Counter(record.label for record in more) == {
        "glioma": 1353, "notumor": 934 + 672, "meningioma": 32, "other_tumor": 51, "tumor": 11,
        "other_pathology": 288, "not_brain_mri": 418,
    }  # fmt: skip
    for name, collection in (("diverse", diverse), ("more", more)):
        assert public_splits.make(collection, name).info == splits.load(name).info
    heads = collections.import_heads(data_dir / "more", tmp_path / "h.csv")
    assert Counter(record.label for record in heads) == {
        "glioma": 30, "notumor": 352 + 28, "other_pathology": 32,
    }  # fmt: skip
    parted = [*map(splits.load, ("diverse", "more")), public_splits.make(heads, "more")]
    patients = {(row.group, row.part) for split in parted for row in split.rows}
    assert len(patients) == len({group for group, _ in patients})  # on one side in all
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
    with pytest.raises(DatasetError, match="no image"):
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
        public_splits.make(manifest, "br35h-tumor").info.sha256
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

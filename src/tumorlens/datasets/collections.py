"""Importers of collections from other sources and hospitals.

Each reads a folder with an index and returns a manifest. What the index states about an image
(patient, sequence, plane, the expert's outline) is copied; other fields stay empty.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from tumorlens.cores import thread_pool
from tumorlens.datasets import duplicates
from tumorlens.datasets.fingerprints import fingerprint
from tumorlens.datasets.importers import describe, provenance_of
from tumorlens.datasets.manifest import Manifest, Record, relative_path
from tumorlens.datasets.tables import read_index
from tumorlens.errors import DatasetError
from tumorlens.files import write_file
from tumorlens.imaging.raster import encode
from tumorlens.imaging.volumes import head_slices
from tumorlens.labels import ANY_TUMOR, LABELS, NO_TUMOR, OTHER_PATHOLOGY
from tumorlens.progress import Progress, reported

BR35H: Final = "br35h"
TUMOR_FREE_SLICE: Final = "tumor_free_slice"
"""A slice without tumour of a patient who has one elsewhere: ``notumor``, as a slice."""
_LABEL_OF_CLASS: Final[Mapping[str, str]] = {
    TUMOR_FREE_SLICE: NO_TUMOR, "tumor_unspecified": ANY_TUMOR
}  # fmt: skip
"""Classes of an index that have another name in ``labels.LABELS``."""
_INDEX: Final = (
    "file", "class", "set", "family", "patient", "sequence", "skull_stripped", "mask"
)  # fmt: skip
"""Columns that an index must have."""
_PLAIN_TUMOR: Final = 0.01
"""Share of the head in a slice from which a tumour is visible."""
_COPY_DISTANCE: Final = 18
_COPY_CORRELATION: Final = 0.85
"""Images with at most this distance and at least this correlation are in one cluster. Less strict
than in the audit, because this set contains slices in several contrasts, and because joining two
patients does no harm, but separating images of one does."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    """One row of a collection's index."""

    file: Path
    label: str
    about: Mapping[str, str]
    """Further fields of ``Record``."""


def import_diverse(folder: Path, output: Path, progress: Progress | None = None) -> Manifest:
    """Import slices of many small collections, listed in ``index.csv``.

    Columns: file, class, set, family, patient, sequence, plane, skull_stripped, mask.
    Raises ``DatasetError`` where the index is missing or names an absent file or unknown class.
    """
    return _import(_listed(folder, "index.csv"), output, progress)


def import_more(folder: Path, output: Path, progress: Progress | None = None) -> Manifest:
    """Import slices of further collections, listed in ``index-healthy.csv`` and ``-tumour.csv``.

    Columns and errors as in ``import_diverse``. Images that are not brain MRI come along with the
    label ``not_brain_mri``, their kind in ``sequence``, for training the gate.
    """
    return _import(_listed(folder, "index-healthy.csv", "index-tumour.csv"), output, progress)


def import_heads(folder: Path, output: Path, progress: Progress | None = None) -> Manifest:
    """Cut the volumes of the collection ``more`` into sagittal and coronal slices.

    They are listed in ``volumes-healthy.csv`` and ``volumes-tumour.csv``, with columns as in
    ``import_diverse``; the images are written beside the manifest, in a folder of its name.
    Volumes with oblong voxels are left out, as are those with a tumour but without a mask, because
    nothing says which of their slices show it. Raises ``DatasetError`` where an index is missing
    or a volume cannot be used.
    """
    images_folder = output.with_suffix("")
    images_folder.mkdir(parents=True, exist_ok=True)
    listed = [
        entry
        for entry in _listed(folder, "volumes-healthy.csv", "volumes-tumour.csv")
        if entry.about["mask"] or entry.label in (NO_TUMOR, OTHER_PATHOLOGY)
    ]
    cut = [entry for volume in reported(listed, len(listed), progress)
           for entry in _slices(volume, images_folder)]  # fmt: skip
    return _import(cut, output, None)


def _slices(volume: _Entry, folder: Path) -> Iterator[_Entry]:
    """The slices of a volume, written as images; with a tumour where the mask shows one."""
    mask = volume.about["mask"]
    for head_slice in head_slices.cut(volume.file, Path(mask) if mask else None):
        name = f"{volume.file.name.partition('.')[0]}_{head_slice.plane}_{head_slice.position:03d}"
        about = {**volume.about, "plane": head_slice.plane, "mask": ""}
        label = volume.label
        if head_slice.outline is not None:
            if 0 < head_slice.tumor_share < _PLAIN_TUMOR:
                continue  # too small to be visible
            if head_slice.tumor_share == 0:
                label, about["source_label"] = NO_TUMOR, TUMOR_FREE_SLICE
            else:
                outline = folder / f"{name}_mask.png"
                write_file(outline, encode.png(255 * head_slice.outline.astype(np.uint8)))
                about["mask"] = str(outline)
        file = folder / f"{name}.png"
        write_file(file, encode.png(head_slice.pixels))
        yield _Entry(file, label, about)


def import_br35h_tumor(folder: Path, output: Path, progress: Progress | None = None) -> Manifest:
    """Import the tumour images of Br35H, whose kind is not given: label ``tumor``.

    Patients are not known either, and many images are versions of one slice; those that resemble
    each other are one group.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [file for file in files if not file.name.startswith(".") and file.suffix != ".csv"]
    entries = [_Entry(file, ANY_TUMOR, {"source": BR35H, "family": BR35H}) for file in files]
    manifest = _import(entries, output, progress)
    pairs = duplicates.near_duplicates(fingerprint(manifest), _COPY_DISTANCE, _COPY_CORRELATION)
    same = duplicates.identical([record.pixel_sha256 for record in manifest])
    numbers = duplicates.clusters(len(manifest), pairs, same).tolist()
    first: dict[int, str] = {}
    records = tuple(
        dataclasses.replace(record, group=f"{BR35H}:{first.setdefault(number, record.sha256[:16])}")
        for record, number in zip(manifest, numbers, strict=True)
    )
    return Manifest(records, manifest.folder)


def import_brain_tumor_progression(
    folder: Path, output: Path, progress: Progress | None = None
) -> Manifest:
    """Import axial slices of TCIA Brain-Tumor-Progression, with masks, listed in ``slices.csv``."""
    entries = []
    for row in read_index(folder / "slices.csv"):
        about = _axial_t1ce("brain-tumor-progression", row["patient"])
        about["mask"] = str(folder / "masks" / Path(row["file"]).name)
        entries.append(_Entry(folder / row["file"], row["class"], about))
    return _import(entries, output, progress)


def import_vs_seg_dicom(folder: Path, output: Path, progress: Progress | None = None) -> Manifest:
    """Import slices of one patient of TCIA Vestibular-Schwannoma-SEG, as DICOM files.

    A tumour that is none of the classes: label ``other_pathology``. It is not known which slices
    show it.
    """
    about = _axial_t1ce("vs-seg", "VS-SEG-001")
    files = sorted(folder.rglob("*.dcm"))
    return _import([_Entry(file, OTHER_PATHOLOGY, about) for file in files], output, progress)


def with_cheng_masks(manifest: Manifest, folder: Path) -> Manifest:
    """Add the experts' outlines of Cheng et al. to the images of the 7,023-image set.

    ``folder`` holds ``masks/CLASS/N.png``. Images that could not be traced stay without. Raises
    ``DatasetError`` where no image gets a mask.
    """
    records = tuple(_with_mask(record, manifest.folder, folder) for record in manifest)
    if not any(record.mask for record in records):
        raise DatasetError(f"{folder}: contains no mask (masks/CLASS/N.png) of an image of the set")
    return Manifest(records, manifest.folder)


IMPORTERS: Final[Mapping[str, Callable[..., Manifest]]] = {
    "br35h-tumor": import_br35h_tumor,
    "brain-tumor-progression": import_brain_tumor_progression,
    "diverse": import_diverse,
    "heads": import_heads,
    "more": import_more,
    "vs-seg-dicom": import_vs_seg_dicom,
}


def _axial_t1ce(source: str, patient: str) -> dict[str, str]:
    """Fields of axial contrast-enhanced T1 slices of whole heads."""
    return {
        "source": source,
        "family": source,
        "patient": patient,
        "group": f"{source}:{patient}",
        "sequence": "T1CE",
        "plane": "axial",
        "skull_stripped": "0",
    }


def _with_mask(record: Record, base: Path, folder: Path) -> Record:
    entry = provenance_of(record)
    if entry is None or not entry.source_file:
        return record
    mask = folder / "masks" / Path(entry.source_file).with_suffix(".png")
    if not mask.is_file():
        return record
    return dataclasses.replace(
        record, mask=relative_path(mask, base), orientation=entry.orientation
    )


def _listed(folder: Path, *indexes: str) -> list[_Entry]:
    """Entries of indexes with the columns that ``import_diverse`` names; ``plane`` may be missing.

    Raises ``DatasetError``.
    """
    entries: list[_Entry] = []
    for index in indexes:
        rows = read_index(folder / index)
        missing = [name for name in _INDEX if rows and name not in rows[0]]
        if missing:
            raise DatasetError(f"{folder / index}: has no column {missing[0]}")
        entries += [_entry(folder, row) for row in rows]
    return entries


def _entry(folder: Path, row: Mapping[str, str]) -> _Entry:
    label = _LABEL_OF_CLASS.get(row["class"], row["class"])
    return _Entry(
        folder / row["file"],
        label,
        {
            "source": row["set"],
            "family": row["family"],
            "patient": row["patient"],
            "group": f"{row['family']}:{row['patient'] or row['file']}",
            "source_label": "" if label == row["class"] else row["class"],
            "sequence": row["sequence"].strip("?"),
            "plane": row.get("plane", "").strip("?"),
            "skull_stripped": row["skull_stripped"],
            "mask": row["mask"] and str(folder / row["mask"]),
        },
    )


def _import(entries: Sequence[_Entry], output: Path, progress: Progress | None) -> Manifest:
    base = output.resolve().parent
    _check(entries)
    with thread_pool() as pool:
        work = pool.map(lambda entry: _record(entry, base), entries)
        return Manifest(tuple(reported(work, len(entries), progress)), base)


def _check(entries: Sequence[_Entry]) -> None:
    if not entries:
        raise DatasetError("the folder contains no image of the collection")
    absent = [str(entry.file) for entry in entries if not entry.file.is_file()]
    if absent:
        raise DatasetError(
            f"{len(absent)} files of the index are missing, the first is {absent[0]}"
        )
    unknown = sorted({entry.label for entry in entries} - set(LABELS))
    if unknown:
        raise DatasetError(f"the index contains the unknown class {unknown[0]!r}")


def _record(entry: _Entry, base: Path) -> Record:
    described, _ = describe(entry.file, "", entry.label, base, entry.about.get("source", ""))
    about: dict[str, Any] = dict(entry.about)
    if about.get("mask"):
        about["mask"] = relative_path(Path(about["mask"]), base)
        about["orientation"] = "id"
    return dataclasses.replace(described, **about)

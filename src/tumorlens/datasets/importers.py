"""From a folder of pictures to a manifest, checked against what the folder is said to be."""

import csv
import dataclasses
import gzip
import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from tumorlens.datasets.grouping import patient_from_path, require_some
from tumorlens.datasets.manifest import (
    OWN_GROUP,
    Manifest,
    Record,
    pixel_hash,
    relative_path,
)
from tumorlens.errors import DatasetError, InputError
from tumorlens.imaging import reader
from tumorlens.imaging.formats.registry import claims_picture
from tumorlens.imaging.image import single
from tumorlens.labels import CLASSES

NICKPARVAR_COUNTS: Final[Mapping[tuple[str, str], int]] = {
    ("training", "glioma"): 1321,
    ("training", "meningioma"): 1339,
    ("training", "notumor"): 1595,
    ("training", "pituitary"): 1457,
    ("testing", "glioma"): 300,
    ("testing", "meningioma"): 306,
    ("testing", "notumor"): 405,
    ("testing", "pituitary"): 300,
}
"""Files in each folder of the Kaggle data set, as published."""

_SPLIT_FOLDERS: Final = {
    "training": "training", "train": "training", "testing": "testing", "test": "testing",
    "validation": "validation", "valid": "validation", "val": "validation",
}  # fmt: skip
_CLASS_FOLDERS: Final = {
    **{name: name for name in CLASSES},
    "glioma_tumor": "glioma", "meningioma_tumor": "meningioma", "pituitary_tumor": "pituitary",
    "no_tumor": "notumor", "no": "notumor", "normal": "notumor", "healthy": "notumor",
}  # fmt: skip

NICKPARVAR_FILES: Final = sum(NICKPARVAR_COUNTS.values())
_NAMED: Final = 3
_FOLDERS_NAMED: Final = 10

Progress = Callable[[int, int], None]
"""Called with (done, total) as work goes on."""


@dataclasses.dataclass(frozen=True, slots=True)
class Provenance:
    """What is known of a published file beyond its bytes; ``fold`` is its fixed fold."""

    file: str
    group: str
    source: str
    patient: str
    source_label: str
    identical_to: str
    fold: int
    source_file: str
    """The file of the primary source, where its pixels were found there."""
    orientation: str
    """How the file lies relative to that: ``id``, ``fliplr``, ``rot180``."""


def import_folder(
    folder: str | Path,
    manifest_path: str | Path,
    *,
    source: str = "",
    mapping: Mapping[str, str] | None = None,
    group_from: str | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """List every file below ``folder`` whose parent folder names a class.

    Either ``CLASS/file`` or ``SPLIT/CLASS/file``, where a split is one of train, val and test;
    ``mapping`` says which label further names of folders stand for. ``group_from`` says what part
    of the path below ``folder`` is the patient, as ``grouping.patient_from_path`` reads it; then
    files may lie in folders below that of their class. Without it each image is its own group.
    ``left_out`` tells what is not listed. A file that does not decode is listed with empty pixel
    hash, for the audit to report. Raises ``DatasetError`` where no class folder is found, the
    folder above one is no split, or the rule finds no patient.
    """
    folder = Path(folder)
    base = Path(manifest_path).resolve().parent
    labels = _labels(mapping)
    patient = patient_from_path(group_from) if group_from else None
    found = list(_class_files(folder, labels, deep=patient is not None))
    if not found:
        others = described(left_out(folder, mapping))
        raise DatasetError(
            f"{folder}: no folder named after a class ({', '.join(CLASSES)}) holds a file"
            + (f"; found are {others}. Use --map FOLDER=LABEL" if others else "")
        )
    total = len(found)
    records: list[Record] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        name = source or folder.resolve().name
        work = pool.map(lambda f: describe(f[0], f[1], f[2], base, name), found)
        for record in work:
            records.append(record)
            if progress is not None:
                progress(len(records), total)
    if group_from and patient is not None:
        paths = [file.relative_to(folder).as_posix() for file, _, _ in found]
        names = require_some(group_from, [patient(path) for path in paths])
        records = [_of_patient(*pair) for pair in zip(records, names, strict=True)]
    return Manifest(tuple(records), base)


def import_nickparvar(
    folder: str | Path,
    manifest_path: str | Path,
    *,
    allow_partial: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Import the public 7,023-image set and say of each file which patient it comes from.

    Raises ``DatasetError`` naming every folder whose count is wrong, unless ``allow_partial``.
    """
    folder = Path(folder)
    if not allow_partial:
        check_counts(folder)
    manifest = import_folder(folder, manifest_path, source="unknown", progress=progress)
    records = tuple(_with_provenance(record) for record in manifest)
    return Manifest(records, manifest.folder)


def check_counts(folder: Path) -> None:
    """Raise ``DatasetError`` unless ``folder`` holds the published number of files a class.

    The message names every folder whose count is wrong and the first files it lacks.
    """
    names: dict[tuple[str, str], set[str]] = defaultdict(set)
    counts: Counter[tuple[str, str]] = Counter()
    for file, split, label in _class_files(folder):
        counts[split, label] += 1
        names[split, label].add(file.name.lower())
    wrong = [
        f"{split or 'no split'}/{label} has {counts[split, label]} of "
        f"{NICKPARVAR_COUNTS.get((split, label), 0)} files{_lacking(names, split, label)}"
        for split, label in {**NICKPARVAR_COUNTS, **counts}
        if counts[split, label] != NICKPARVAR_COUNTS.get((split, label), 0)
    ]
    if wrong:
        raise DatasetError(
            f"{folder} is not the complete {NICKPARVAR_FILES:,}-image set: {'; '.join(wrong)}. "
            "Get it again, or use --allow-partial to continue without them"
        )


@cache
def provenance_table() -> Mapping[str, tuple[Provenance, ...]]:
    """What is known of the files of the 7,023-image set, by the SHA-256 of their bytes.

    Several entries where files of identical bytes stand in several folders.
    """
    table: dict[str, list[Provenance]] = {}
    packed = files("tumorlens").joinpath("splits/nickparvar-provenance.csv.gz").read_bytes()
    for row in csv.DictReader(gzip.decompress(packed).decode("utf-8").splitlines()):
        entry = Provenance(
            row["file"], row["group"], row["source"], row["patient"], row["source_class"],
            row["identical_to"], int(row["fold"]), row["source_file"], row["orientation"],
        )  # fmt: skip
        table.setdefault(row["sha256"], []).append(entry)
    return {key: tuple(value) for key, value in table.items()}


def _lacking(names: Mapping[tuple[str, str], set[str]], split: str, label: str) -> str:
    """Name the first published files that a folder lacks; empty where it lacks none."""
    published = [
        Path(entry.file).name
        for entries in provenance_table().values()
        for entry in entries
        if entry.file.lower().startswith(f"{split}/{label}/")
    ]
    lacking = sorted(name for name in published if name.lower() not in names[split, label])
    if not lacking:
        return ""
    more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
    return f" (no {', '.join(lacking[:_NAMED])}{more})"


def provenance_of(record: Record) -> Provenance | None:
    """What is known of a file of the 7,023-image set; None for any other file."""
    entries = provenance_table().get(record.sha256)
    if not entries:
        return None
    tail = f"{record.split}/{record.label}/{Path(record.path).name}".lower()
    return next((e for e in entries if e.file.lower() == tail), entries[0])


def _with_provenance(record: Record) -> Record:
    entry = provenance_of(record)
    if entry is None:
        return record
    return dataclasses.replace(
        record,
        group=entry.group,
        source=entry.source,
        patient=entry.patient,
        source_label=entry.source_label,
        # Cheng et al. published contrast-enhanced T1 only; of the other sources nothing is known.
        sequence="T1CE" if entry.source == "cheng" else "",
    )


def _of_patient(record: Record, patient: str) -> Record:
    if not patient:
        return record
    return dataclasses.replace(record, patient=patient, group=f"{record.source}:{patient}")


def left_out(
    folder: str | Path, mapping: Mapping[str, str] | None = None, *, deep: bool = False
) -> dict[str, int]:
    """Pictures below ``folder`` that ``import_folder`` does not list, counted by their folder.

    Their folders are named after no class; names of folders are relative to ``folder``. With
    ``deep`` their class may be that of any folder above them.
    """
    folder, labels = Path(folder), _labels(mapping)
    counts: Counter[str] = Counter()
    for file in _files(folder):
        if claims_picture(file.name) and _class_folder(file, folder, labels, deep=deep) is None:
            counts[file.parent.relative_to(folder).as_posix()] += 1
    return dict(counts)


def described(counts: Mapping[str, int]) -> str:
    """Folders with their number of pictures, in words; empty where there are none."""
    words = [f"{name} ({count:,})" for name, count in list(counts.items())[:_FOLDERS_NAMED]]
    if len(counts) > len(words):
        words.append(f"{len(counts) - len(words)} more folders")
    return ", ".join(words)


def _labels(mapping: Mapping[str, str] | None) -> dict[str, str]:
    return _CLASS_FOLDERS | {_plain(name): label for name, label in (mapping or {}).items()}


def _name(folder: Path) -> str:
    return _plain(folder.name)


def _plain(name: str) -> str:
    """``No Tumour`` as ``no_tumor``."""
    return re.sub(r"[\s-]+", "_", name.strip().lower()).replace("tumour", "tumor")


def _files(folder: Path) -> Iterable[Path]:
    """Files below ``folder`` but hidden ones, sorted by path."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    for file in sorted(folder.rglob("*")):
        if not file.name.startswith(".") and file.is_file():
            yield file


def _class_files(
    folder: Path, labels: Mapping[str, str] = _CLASS_FOLDERS, *, deep: bool = False
) -> Iterable[tuple[Path, str, str]]:
    """Yield (file, split, class) below ``folder``, sorted by path."""
    for file in _files(folder):
        of_class = _class_folder(file, folder, labels, deep=deep)
        if of_class is not None:
            yield file, _split_of(of_class, folder), labels[_name(of_class)]


def _class_folder(
    file: Path, folder: Path, labels: Mapping[str, str], *, deep: bool
) -> Path | None:
    """The folder of ``file`` that is named after a class; with ``deep`` the nearest above it."""
    if not deep:
        return file.parent if _name(file.parent) in labels else None
    above = [file.parent, *file.parent.parents]
    below = above[: above.index(folder)]
    return next((one for one in below if _name(one) in labels), None)


def _split_of(of_class: Path, folder: Path) -> str:
    """What the folder above that of a class says; ``DatasetError`` where it is no known split."""
    split = _SPLIT_FOLDERS.get(of_class.parent.name.lower(), "")
    if not split and folder in of_class.parent.parents:
        raise DatasetError(
            f"{of_class.parent}: is named after no split, though it holds folders of classes; "
            "name it train, val or test, or import it by itself, with --source"
        )
    return split


def describe(file: Path, split: str, label: str, base: Path, source: str) -> Record:
    """What a file itself says; without pixels where it does not decode. Its own group."""
    data = reader.load_file(file)
    digest = hashlib.sha256(data).hexdigest()
    width = height = 0
    mode = pixels = ""
    try:
        image = single(reader.read_bytes(data, str(file)))
        width, height, mode, pixels = image.width, image.height, image.mode, pixel_hash(image)
    except InputError:
        pass  # listed without pixels: the audit reports it
    path = relative_path(file, base)
    group = f"{OWN_GROUP}{digest[:16]}"
    return Record(path, label, split, digest, pixels, width, height, mode, group, source)

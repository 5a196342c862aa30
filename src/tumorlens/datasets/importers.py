"""Import a folder of images as a manifest, with checks of its contents."""

import csv
import dataclasses
import gzip
import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from tumorlens.cores import thread_pool
from tumorlens.datasets import class_folders
from tumorlens.datasets.class_folders import ClassFile, Found
from tumorlens.datasets.grouping import patient_from_path, require_some
from tumorlens.datasets.manifest import (
    OWN_GROUP,
    Manifest,
    Record,
    is_nothing,
    pixel_hash,
    relative_path,
)
from tumorlens.errors import DatasetError, InputError
from tumorlens.imaging import reader
from tumorlens.imaging.image import single
from tumorlens.labels import LABELS
from tumorlens.progress import Progress, reported
from tumorlens.text import first_line

_NAMED: Final = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Provenance:
    """The origin of a published file; ``fold`` is its fixed fold."""

    file: str
    group: str
    source: str
    patient: str
    source_label: str
    identical_to: str
    fold: int
    source_file: str
    """The file of the primary source, if its pixels were found there."""
    orientation: str
    """Orientation of the file relative to that: ``id``, ``fliplr``, ``rot180``."""


def import_folder(
    folder: Path,
    manifest_path: Path,
    *,
    source: str = "",
    mapping: Mapping[str, str] | None = None,
    group_from: str | None = None,
    known_only: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """List the images below ``folder``, which has a folder for each class.

    ``class_folders.find`` says how classes and splits follow from folders, what ``mapping`` does,
    and what is not listed. ``group_from`` says what part of the path below ``folder`` is the
    patient, as ``grouping.patient_from_path`` reads it. Without it the patients are those that
    DICOM files state, and each other image is its own group. A file that does not decode is listed
    with empty pixel hash, for the audit to report. Raises ``DatasetError`` where no class folder
    is found, the only one has a name that says nothing, a folder above those of classes is no
    split, or the rule finds no patient.
    """
    contents = find_classes(folder, mapping, group_from, known_only=known_only)
    _check_classes(folder, contents)
    return _described(folder, contents.files, manifest_path, source, group_from, progress)


def find_classes(
    folder: Path,
    mapping: Mapping[str, str] | None = None,
    group_from: str | None = None,
    *,
    known_only: bool = False,
) -> Found:
    """The files that ``import_folder`` lists and leaves out; raises the same errors."""
    patient = patient_from_path(group_from) if group_from else None
    return class_folders.find(folder, mapping, known_only=known_only, patient=patient)


def without_unreadable(manifest: Manifest) -> tuple[Manifest, tuple[Record, ...]]:
    """``manifest`` without the files that do not decode, and those files.

    Raises ``DatasetError`` where no file is left.
    """
    readable = tuple(record for record in manifest if record.pixel_sha256)
    unreadable = tuple(record for record in manifest if not record.pixel_sha256)
    if not readable:
        raise DatasetError(f"no file can be read as an image: {reasons(manifest, unreadable)}")
    return Manifest(readable, manifest.folder), unreadable


def reasons(manifest: Manifest, unreadable: Sequence[Record]) -> str:
    """Why files cannot be decoded; the first few are named."""
    words = [_reason(manifest.file(record), record.path) for record in unreadable[:_NAMED]]
    if len(unreadable) > _NAMED:
        words.append(f"and {len(unreadable) - _NAMED} more")
    return "; ".join(words)


def _reason(file: Path, name: str) -> str:
    try:
        single(reader.read_bytes(reader.load_file(file), name))
    except InputError as error:
        return first_line(error)
    return f"{name}: could not be read before, but can be read now"


def _check_classes(folder: Path, contents: Found) -> None:
    """Raise ``DatasetError`` if the files do not form a set of classes."""
    labels = {file.label for file in contents.files}
    if not labels:
        raise DatasetError(
            f"{folder}: no folder in it holds an image; name a folder with one subfolder for each "
            "class, or list the images in a CSV file with the columns path and class"
        )
    empty = sorted(label for label in labels if is_nothing(label))
    if empty:
        raise DatasetError(
            f"{folder}: a class {empty[0]} would be an empty cell of the manifest; give "
            f"it another name: --map {empty[0]}=NAME"
        )
    if len(labels) == 1 and not labels <= set(LABELS):
        label = labels.pop()
        raise DatasetError(
            f"{folder}: one class only, {label}"
            + (f" (no image in {', '.join(contents.empty)})" if contents.empty else "")
            + "; name a folder with one subfolder for each of at least two classes. If all images "
            f"are of a known class, say so, as in --map {label}=glioma"
        )


def _described(
    folder: Path,
    class_files: Sequence[ClassFile],
    manifest_path: Path,
    source: str,
    group_from: str | None,
    progress: Progress | None,
) -> Manifest:
    base, root = manifest_path.resolve().parent, folder.resolve()
    class_files = [
        class_file._replace(file=root / class_file.file.relative_to(folder))
        for class_file in class_files
    ]
    name = source or root.name
    with thread_pool() as pool:
        work = pool.map(
            lambda listed: describe(listed.file, listed.split, listed.label, base, name),
            class_files,
        )
        read = list(reported(work, len(class_files), progress))
    if not group_from:
        return Manifest(tuple(_of_stated_patients(read)), base)
    patient = patient_from_path(group_from)
    paths = (file.relative_to(root).as_posix() for file, *_ in class_files)
    names = require_some(group_from, [patient(path) for path in paths])
    pairs = zip(read, names, strict=True)
    return Manifest(tuple(_of_patient(record, name) for (record, _), name in pairs), base)


def import_nickparvar(
    folder: Path,
    manifest_path: Path,
    *,
    allow_partial: bool = False,
    progress: Progress | None = None,
) -> Manifest:
    """Import the public 7,023-image set, with the patient of each file as far as it is known.

    Raises ``DatasetError`` naming every folder whose count is wrong, unless ``allow_partial``.
    """
    if not allow_partial:
        check_counts(folder)
    manifest = import_folder(
        folder, manifest_path, source="unknown", known_only=True, progress=progress
    )
    return Manifest(tuple(map(_with_provenance, manifest)), manifest.folder)


def check_counts(folder: Path) -> None:
    """Raise ``DatasetError`` unless ``folder`` holds the published number of files a class.

    The message names every folder whose count is wrong and the first files it lacks.
    """
    names: dict[tuple[str, str], set[str]] = defaultdict(set)
    counts: Counter[tuple[str, str]] = Counter()
    for file, split, label, _ in class_folders.find(folder, known_only=True).files:
        counts[split, label] += 1
        names[split, label].add(file.name.lower())
    published = published_counts()
    wrong = [
        f"{split or 'no split'}/{label} has {counts[split, label]} of "
        f"{published[split, label]} files{_lacking(names, split, label)}"
        for split, label in {**published, **counts}
        if counts[split, label] != published[split, label]
    ]
    if wrong:
        raise DatasetError(
            f"{folder} is not the complete {published.total():,}-image set: {'; '.join(wrong)}. "
            "Download it again, or use --allow-partial to continue without them"
        )


@cache
def provenance_table() -> Mapping[str, tuple[Provenance, ...]]:
    """The origin of the files of the 7,023-image set, by the SHA-256 of their bytes.

    There are several entries if identical files are in several folders.
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


def published_counts() -> Counter[tuple[str, str]]:
    """Files of the 7,023-image set in each folder: by split and class."""
    files = (entry.file.lower() for entries in provenance_table().values() for entry in entries)
    return Counter((split, label) for split, label, _ in (file.split("/") for file in files))


def _lacking(names: Mapping[tuple[str, str], set[str]], split: str, label: str) -> str:
    """The first published files that a folder lacks, as text; empty if it lacks none."""
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
    """The origin of a file of the 7,023-image set; None for any other file."""
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
        # Cheng et al. published contrast-enhanced T1; the sequences of others are not known.
        sequence="T1CE" if entry.source == "cheng" else "",
    )


def _of_patient(record: Record, patient: str) -> Record:
    if not patient:
        return record
    return dataclasses.replace(record, patient=patient, group=f"{record.source}:{patient}")


def _of_stated_patients(read: Sequence[tuple[Record, str]]) -> list[Record]:
    """Records with the patients that DICOM files state, if there are several.

    The name of a patient is the hash of the first file, so that it does not identify anybody.
    """
    names: dict[str, str] = {}
    for record, patient in read:
        names.setdefault(patient, record.sha256[:16] if patient else "")
    if sum(map(bool, names)) < 2:  # anonymised files have one patient for all
        return [record for record, _ in read]
    return [_of_patient(record, names[patient]) for record, patient in read]


def describe(file: Path, split: str, label: str, base: Path, source: str) -> tuple[Record, str]:
    """The record of a file, and its ``AcquisitionFacts.patient`` or an empty string.

    Without pixels if the file cannot be decoded. Each file is its own group.
    """
    data = reader.load_file(file)
    digest = hashlib.sha256(data).hexdigest()
    width = height = 0
    mode = pixels = patient = ""
    try:
        image = single(reader.read_bytes(data, str(file)))
        width, height, mode, pixels = image.width, image.height, image.mode, pixel_hash(image)
        patient = (image.facts and image.facts.patient) or ""
    except InputError:
        pass  # listed without pixel hash, for the audit
    path = relative_path(file, base)
    group = f"{OWN_GROUP}{digest[:16]}"
    record = Record(path, label, split, digest, pixels, width, height, mode, group, source)
    return record, patient

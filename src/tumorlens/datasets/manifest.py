"""The manifest: one row for each image file, with the known facts about it. CSV or Parquet."""

import dataclasses
import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from tumorlens.datasets.class_folders import split_of
from tumorlens.datasets.tables import (
    NESTED,
    NumberedRow,
    Row,
    is_parquet,
    read_csv,
    read_parquet,
    write_csv,
    write_parquet,
)
from tumorlens.errors import ManifestError, did_you_mean
from tumorlens.files import replacing
from tumorlens.imaging.image import MedicalImage
from tumorlens.labels import plain_name, sorted_labels
from tumorlens.text import composed, counted


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One image file. Unknown strings are empty, and unknown numbers are 0."""

    path: str
    """Relative to the manifest's folder, with forward slashes; absolute on another drive."""
    label: str
    """Name of a class, or one of ``labels.LABELS``; column ``class``."""
    split: str
    """Folder's split as published: ``training``, ``validation``, ``testing`` or empty."""
    sha256: str
    """Hash of the file's bytes, hexadecimal; computed from the file if the column is empty."""
    pixel_sha256: str
    """Hash of the decoded gray pixels and their shape; empty if the file cannot be decoded."""
    width: int
    height: int
    mode: str
    """How samples are stored, in Pillow's words."""
    group: str
    """The unit that must not be in two parts: a patient, or a cluster of near-duplicates. If the
    column is empty: the patient."""
    source: str
    """Primary collection of the image."""
    patient: str = ""
    source_label: str = ""
    """The primary source's class where it contradicts ``label``; column ``source_class``."""
    family: str = ""
    """Collections that may share patients; the unit to hold out when testing on another
    source. Empty: the source is independent."""
    sequence: str = ""
    """``T1``, ``T1CE``, ``T2``, ``FLAIR``, or as the source says."""
    plane: str = ""
    """``axial``, ``coronal``, ``sagittal``, or as the source says."""
    skull_stripped: str = ""
    """``1`` if only the brain is shown, ``0`` if the whole head is."""
    mask: str = ""
    """An expert's outline of the tumour as an image, above 127 inside; relative as ``path`` is."""
    orientation: str = ""
    """Orientation of the image relative to its mask: ``id``, ``fliplr`` or ``rot180``."""

    @property
    def unit(self) -> str:
        """The group; the image itself if no group is known."""
        return self.group or f"{OWN_GROUP}{self.sha256}"

    def is_from(self, sources: Collection[str]) -> bool:
        """Whether its source or family is one of these."""
        return self.source in sources or self.family in sources


_RENAMED: Final = {"label": "class", "source_label": "source_class"}
_FIELDS: Final = tuple(field.name for field in dataclasses.fields(Record))
COLUMNS: Final = tuple(_RENAMED.get(name, name) for name in _FIELDS)
_MEASURED: Final = ("sha256", "pixel_sha256", "width", "height", "mode")
"""Read from the files, not stated by a person or a source."""
_LONGEST_CLASS: Final = 64
"""Characters of a class's name."""
_REQUIRED: Final = ("path", "class")
OWN_GROUP: Final = "image_"
"""Begins the group of an image of which no patient is known; its hash follows."""
_OTHER_SEPARATORS: Final = ("|", ":")
"""Not read, but named in the error."""
_SYNONYMS: Final = {
    "path": ("filename", "file", "file_name", "filepath", "file_path", "image", "image_path"),
    "class": ("label", "labels", "diagnosis", "category", "target"),
}
"""What others call the required columns; in the error only."""
INTEGERS: Final = ("width", "height")
_NAMES: Final = ("group", "source", "patient", "family")
"""Columns whose equal names say that images belong together."""
_NOTHING: Final = frozenset(("nan", "na", "n/a", "#n/a", "null", "<na>"))
"""What spreadsheets and data frames write, in small letters, where nothing is known."""
_FIRST_LINE: Final = "the first line must name the columns, path and class among them"
_NONE: Final = "none"
"""The same, but also a usual name of the class of images without a finding."""
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_WHOLE_NUMBER: Final = re.compile(r"(-?[0-9]+)\.0+")
_ROUNDED: Final = re.compile(r"[0-9][.,][0-9]+E\+[0-9]{2,}")
"""What spreadsheets make of long numbers: ``1.23E+11``."""


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Manifest:
    """Records and the folder that their paths are relative to."""

    records: tuple[Record, ...]
    folder: Path

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        counts = Counter(record.label for record in self.records)
        classes = ", ".join(f"{label} {counts[label]:,}" for label in sorted_labels(counts))
        return f"<Manifest of {counted(len(self), 'image')} in {self.folder}: {classes}>"

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def file(self, record: Record) -> Path:
        """Path of the image of ``record`` on this machine."""
        return self.folder / record.path

    def mask_file(self, record: Record) -> Path | None:
        """Path of the expert's outline of ``record``; None where there is none."""
        return self.folder / record.mask if record.mask else None

    @property
    def sha256(self) -> str:
        """Hash of the data, not of its paths: every file's hash, class and split."""
        digest = hashlib.sha256()
        for row in sorted((r.sha256, r.label, r.split) for r in self.records):
            digest.update("\t".join(row).encode() + b"\n")
        return digest.hexdigest()

    def columns_lost_from(self, other: "Manifest") -> list[str]:
        """Stated columns that ``other`` fills and this manifest does not, for an image in both."""
        own = {record.path: record for record in self}
        pairs = [(own[record.path], record) for record in other if record.path in own]
        return [
            column
            for name, column in zip(_FIELDS, COLUMNS, strict=True)
            if name not in _MEASURED
            and any(getattr(before, name) and not getattr(now, name) for now, before in pairs)
        ]

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a manifest; raise ``ManifestError`` that names the row and column of a fault."""
        path = Path(path)
        numbered = _rows(path)
        for column in _REQUIRED:
            _require_column(path, numbered, column)
        records = tuple(_record(row, number, path) for number, row in numbered)
        _check_classes(path, records)
        return cls(records, path.resolve().parent)

    def save(self, path: str | Path) -> None:
        """Write atomically: CSV, or Parquet where ``path`` ends in ``.parquet``."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            dict(zip(COLUMNS, dataclasses.astuple(record), strict=True)) for record in self.records
        ]
        with replacing(path) as temporary:
            if is_parquet(path):
                write_parquet(temporary, rows)
            else:
                write_csv(temporary, rows, COLUMNS)


def read_column(path: Path, name: str) -> list[str]:
    """The cells of any column of a manifest file, including columns that ``Manifest`` ignores.

    Raises ``ManifestError`` if the column does not exist, and suggests the nearest name.
    """
    rows, column = _rows(path), name.strip().lower()
    _require_column(path, rows, column)
    return [plain_text(row.get(column)) for _, row in rows]


def plain_text(cell: Any) -> str:
    """The name in a cell: ``P1 `` is ``P1``, and 1.0 is ``1``; empty where nothing is known."""
    text = _name_of_class(cell)
    return "" if text.lower() == _NONE else text


def is_nothing(text: str) -> bool:
    """Whether a spreadsheet or a data frame writes this where nothing is known: ``nan``."""
    return text.lower() in _NOTHING


def _name_of_class(cell: Any) -> str:
    text = "" if cell is None else composed(str(cell).strip())
    if is_nothing(text):
        return ""
    number = _WHOLE_NUMBER.fullmatch(text)
    return number[1] if number else text


def join(manifests: Sequence[Manifest]) -> Manifest:
    """Concatenate, with paths relative to the folder of the first."""
    first, *others = manifests
    records = list(first.records)
    for other in others:
        records += [_moved(record, other, first.folder) for record in other]
    return Manifest(tuple(records), first.folder)


def pixel_hash(image: MedicalImage) -> str:
    """SHA-256 of shape and gray samples; equal if and only if the decoded pixels are equal."""
    samples = image.pixels.astype(np.uint8 if image.bit_depth <= 8 else np.dtype("<f4"))
    digest = hashlib.sha256(f"{samples.dtype.str}{samples.shape}".encode())
    digest.update(np.ascontiguousarray(samples).data)
    return digest.hexdigest()


def relative_path(file: Path, folder: Path) -> str:
    """``file`` as seen from ``folder``, with forward slashes; links in ``file`` are kept."""
    # What ".." leads to depends on the links before it.
    file = file.resolve() if ".." in file.parts else Path.cwd() / file
    try:
        return Path(os.path.relpath(file, folder.resolve())).as_posix()
    except ValueError:  # another drive on Windows
        return file.as_posix()


def _moved(record: Record, home: Manifest, folder: Path) -> Record:
    mask = home.mask_file(record)
    return dataclasses.replace(
        record,
        path=relative_path(home.file(record), folder),
        mask=relative_path(mask, folder) if mask else "",
    )


def stated_columns(path: Path) -> tuple[str, ...]:
    """The columns of the manifest in ``path``, those that nothing here reads among them.

    Raises ``ManifestError`` where it cannot be read or lists no image.
    """
    return tuple(_rows(path)[0][1])


def _rows(path: Path) -> Sequence[NumberedRow]:
    rows = read_parquet(path) if is_parquet(path) else read_csv(path)
    if not rows:
        raise ManifestError(f"{path}: the manifest lists no image")
    return rows


def _require_column(path: Path, rows: Sequence[NumberedRow], name: str) -> None:
    if not any(name in row for _, row in rows):
        columns = list(rows[0][1])
        raise ManifestError(
            f"{path}: has no column {name!r}, its columns are {', '.join(columns)}"
            f"{_hint(name, columns)}"
        )


def _hint(name: str, columns: Sequence[str]) -> str:
    """What may be wrong where the column ``name`` is missing; empty where nothing is likely."""
    separator = next(
        (character for character in _OTHER_SEPARATORS if character in columns[0]), None
    )
    if len(columns) == 1 and separator:
        return f"; columns are separated by commas, semicolons or tabs, not by {separator!r}"
    meant = next((column for column in columns if column in _SYNONYMS.get(name, ())), None)
    if meant:
        return f"; rename {meant!r} to {name!r}"
    unnamed = not set(columns).intersection(COLUMNS)
    return did_you_mean(name, columns) or (f"; {_FIRST_LINE}" if unnamed else "")


def _record(row: Row, number: int, path: Path) -> Record:
    nested = [column for column in COLUMNS if isinstance(row.get(column), NESTED)]
    if nested:
        raise ManifestError(
            f"{path}, row {number}: {nested[0]} is {row[nested[0]]!r}; it must be text or a number"
        )
    written = row.get("class")
    row = {**row, "class": _name_of_class(written)}
    missing = [name for name in _REQUIRED if not row.get(name)]
    if missing:
        said = f" ({written!r} is an empty cell)" if missing == ["class"] and written else ""
        raise ManifestError(
            f"{path}, row {number}: no {missing[0]}{said}; fill it in, or delete the row"
        )
    if not str(row["class"]).isprintable() or len(str(row["class"])) > _LONGEST_CLASS:
        raise ManifestError(f"{path}, row {number}: invalid class name {row['class']!r}")
    values: dict[str, Any] = {}
    for name, column in zip(_FIELDS, COLUMNS, strict=True):
        value = row.get(column) or ""
        try:
            values[name] = _whole(value) if name in INTEGERS else str(value)
        except ValueError as error:
            fault = f"{path}, row {number}: {column} {value!r} is not a number"
            raise ManifestError(fault) from error
    for column in ("path", "mask"):
        values[column] = _with_slashes(path, values[column])
    values |= _names_of(row, number, path)
    values["split"] = split_of(values["split"]) or plain_text(values["split"])
    values["sha256"] = values["sha256"].lower() or _hash_of_file(path, values["path"], number)
    if not _SHA256.fullmatch(values["sha256"]):
        raise ManifestError(
            f"{path}, row {number}: sha256 {values['sha256']!r} is not 64 hexadecimal digits; "
            "an empty cell stands for that of the file"
        )
    unknown = not values["group"] or values["group"].startswith(OWN_GROUP)
    if unknown and values["patient"]:
        values["group"] = values["patient"]
    return Record(**values)


def _names_of(row: Row, number: int, path: Path) -> dict[str, str]:
    names = {name: plain_text(row.get(name)) for name in _NAMES}
    for column, name in names.items():
        if _ROUNDED.fullmatch(name):
            raise ManifestError(
                f"{path}, row {number}: a spreadsheet has rounded the {column} to {name}, so that "
                "different ones may look alike; format the column as text and export it again"
            )
    return names


def _check_classes(path: Path, records: Sequence[Record]) -> None:
    """Raise ``ManifestError`` where a class has two spellings, or a file two classes."""
    spelling: dict[str, str] = {}
    class_of: dict[str, str] = {}
    for record in records:
        known = spelling.setdefault(plain_name(record.label), record.label)
        if known != record.label:
            raise ManifestError(
                f"{path}: the classes {known!r} and {record.label!r} differ in spelling only; "
                "use one of them"
            )
        other = class_of.setdefault(os.path.normpath(record.path), record.label)
        if other != record.label:
            raise ManifestError(
                f"{path}: lists {record.path} twice, as {other} and as {record.label}"
            )


def _with_slashes(manifest: Path, name: str) -> str:
    """``name`` with the slashes of this system, where it was written on Windows.

    A name may hold a backslash elsewhere, so the file decides.
    """
    slashed = name.replace("\\", "/")
    if slashed == name or _is_file(manifest.parent / name):
        return name
    return slashed if _is_file(manifest.parent / slashed) else name


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _hash_of_file(manifest: Path, name: str, number: int) -> str:
    """For a manifest that was written by hand."""
    try:
        with (manifest.parent / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise ManifestError(
            f"{manifest}, row {number}: {name} cannot be read "
            f"({getattr(error, 'strerror', error)}); paths are relative to the manifest"
        ) from error


def _whole(value: Any) -> int:
    """An integer, also as a spreadsheet may show it: ``512.0``, ``512,0``."""
    number = float(str(value or 0).replace(",", "."))
    if not number.is_integer():
        raise ValueError(value)
    return int(number)

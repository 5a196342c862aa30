"""Split files: the training, validation and test images, keyed by SHA-256.

A split is two files: ``NAME.csv`` (sha256, class, group, part) and ``NAME.json`` (what it is, and
the CSV's own hash). Files of identical bytes and class are interchangeable, so the n-th copy in a
manifest takes the n-th row. Parts: ``train``, ``validation``, ``test``, ``excluded``, or for a
cross-validation ``fold0`` to ``fold4``.
"""

import csv
import dataclasses
import hashlib
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.tables import csv_bytes, read_table
from tumorlens.errors import LeakError, SplitError, did_you_mean
from tumorlens.files import from_spreadsheet_safe, json_bytes, spreadsheet_safe, write_file
from tumorlens.text import counted, is_or_are

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"
EXCLUDED: Final = "excluded"
PATIENT_CV: Final = "patient-cv"
PROTOCOLS: Final = ("folder", "clean", "clean-cv", PATIENT_CV)
"""Splits of the public 7,023-image set."""
BR35H_TUMOR: Final = "br35h-tumor"
OTHER_SOURCES: Final = ("diverse", "more")
"""Splits of the collections of other hospitals, without a test part."""
SHIPPED: Final = (*PROTOCOLS, BR35H_TUMOR, *OTHER_SOURCES, "phantom")
"""Bundled split files; ``phantom`` is the one that the bundle of that name was trained with."""
ALL: Final = "all"
"""In place of a split: every image of a manifest."""
FORMAT_VERSION: Final = 1
_PUBLIC_SET: Final = "nickparvar.csv"
"""Table with the parts of all ``PROTOCOLS``: a row for each image, a column for each."""
_COLUMNS: Final = ("sha256", "class", "group", "part")
_PARTS: Final = (TRAIN, VALIDATION, TEST, EXCLUDED)
_FOLD_PART: Final = re.compile(r"fold\d+")


class SplitInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Metadata of a split: the contents of its JSON file."""

    format_version: int = FORMAT_VERSION
    name: str
    description: str
    disjoint: bool
    """Whether it guarantees that no group is in two parts."""
    counts: dict[str, int]
    """Rows in each part."""
    sha256: str
    """Hash of the CSV."""


@dataclasses.dataclass(frozen=True, slots=True)
class SplitRow:
    """One image of a split."""

    sha256: str
    label: str
    group: str
    part: str


@dataclasses.dataclass(frozen=True, slots=True)
class Split:
    """A named assignment of images to parts."""

    info: SplitInfo
    rows: tuple[SplitRow, ...] = dataclasses.field(repr=False)

    def parts(self, manifest: Manifest, *, allow_partial: bool = False) -> list[str]:
        """Return the part of each record of ``manifest``, in the manifest's order.

        Raises ``SplitError`` if an image of the manifest is not in the split or, unless
        ``allow_partial``, an image of the split is not in the manifest.
        """
        rows = self._rows_of(manifest)
        unknown = [i for i, row in enumerate(rows) if row is None]
        if unknown:
            raise SplitError(
                f"split {self.info.name}: {self._unknown([manifest.records[i] for i in unknown])}"
            )
        absent = len(self.rows) - len(rows)
        if absent and not allow_partial:
            raise SplitError(
                f"split {self.info.name}: {absent:,} of its {counted(len(self.rows), 'image')} "
                f"{is_or_are(absent)} not in the manifest{self._repeated(manifest)}"
            )
        return [row.part for row in rows if row is not None]

    def _unknown(self, records: Sequence[Record]) -> str:
        """Why the split has no row for ``records``, as text."""
        first, number = records[0], len(records)
        what = f"{counted(number, 'image')} of the manifest {is_or_are(number)} not in it"
        labels = [row.label for row in self.rows if row.sha256 == first.sha256]
        if labels and first.label not in labels:
            return (
                f"{what} with the same class, the first is {first.path}: {first.label} in the "
                f"manifest, {labels[0]} in the split"
            )
        if labels:
            what += " as often as in the manifest"
        return f"{what}, the first is {first.path}"

    def _repeated(self, manifest: Manifest) -> str:
        """Text that names a row that is repeated; empty if there is none."""
        listed = Counter((record.sha256, record.label) for record in manifest)
        rows = Counter((row.sha256, row.label) for row in self.rows)
        for (sha256, label), count in rows.items():
            if count > listed[sha256, label] > 0:
                return f"; the row of {sha256[:16]}, {label} is repeated"
        return ""

    def grouped(self, manifest: Manifest) -> Manifest:
        """``manifest`` with the groups of the split, for the images that are in it.

        They may be larger than the manifest's groups, because a split joins near-duplicates.
        """
        records = (
            record if row is None else dataclasses.replace(record, group=row.group)
            for record, row in zip(manifest, self._rows_of(manifest), strict=True)
        )
        return Manifest(tuple(records), manifest.folder)

    def _rows_of(self, manifest: Manifest) -> "list[SplitRow | None]":
        """The row of each record of ``manifest``; None if there is none (left) for it."""
        waiting: dict[tuple[str, str], list[SplitRow]] = defaultdict(list)
        for row in reversed(self.rows):
            waiting[row.sha256, row.label].append(row)
        assigned: list[SplitRow | None] = [None] * len(manifest)
        for i in published_order(manifest):
            record = manifest.records[i]
            left = waiting.get((record.sha256, record.label))
            assigned[i] = left.pop() if left else None
        return assigned

    def fold(self, test_fold: int) -> "Split":
        """Return the split for one test fold of a cross-validation; the next fold validates."""
        folds = {row.part for row in self.rows if row.part.startswith("fold")}
        if f"fold{test_fold}" not in folds:
            raise SplitError(f"split {self.info.name} has no fold {test_fold}")
        role = dict.fromkeys(folds, TRAIN)
        role[f"fold{test_fold}"] = TEST
        role[f"fold{(test_fold + 1) % len(folds)}"] = VALIDATION
        rows = [dataclasses.replace(row, part=role.get(row.part, row.part)) for row in self.rows]
        return build(
            f"{self.info.name}:{test_fold}", self.info.description, rows, self.info.disjoint
        )

    def verify(self) -> None:
        """Raise ``SplitError`` if a disjoint split has a group in two parts."""
        if not self.info.disjoint:
            return
        crossing = _crossing((row.group, row.part) for row in self.rows)
        if crossing:
            first, parts = next(iter(crossing.items()))
            raise LeakError(
                f"split {self.info.name} leaks: {counted(len(crossing), 'group')} "
                f"{is_or_are(len(crossing))} in more than one "
                f"part, for example {first} in {' and '.join(parts)}"
            )

    def verify_manifest(self, manifest: Manifest) -> list[str]:
        """Check the split against ``manifest`` and return each record's part, as ``parts`` does.

        In addition to the errors of ``parts``, raises ``LeakError`` if the split is disjoint by its
        JSON file, but a group or image (by its pixels) of the manifest is in two parts.
        """
        parts = self.parts(manifest)
        if self.info.disjoint:
            crossing = crossing_groups(manifest, parts)
            if crossing:
                raise LeakError(
                    f"split {self.info.name} leaks: {len(crossing)} of the manifest's groups or "
                    f"images {is_or_are(len(crossing))} in more than one part, for example "
                    f"{crossing[0]}"
                )
        return parts

    def save(self, path: str | Path) -> None:
        """Write ``path`` (CSV) and the JSON beside it."""
        table, about = files_of(path)
        table.parent.mkdir(parents=True, exist_ok=True)
        write_file(table, _to_csv(self.rows))
        write_file(about, json_bytes(self.info))


def build(name: str, description: str, rows: Iterable[SplitRow], disjoint: bool) -> Split:
    """Make a split of ``rows``, verified."""
    ordered = tuple(rows)
    info = SplitInfo(
        name=name,
        description=description,
        disjoint=disjoint,
        counts=dict(sorted(Counter(row.part for row in ordered).items())),
        sha256=hashlib.sha256(_to_csv(ordered)).hexdigest(),
    )
    split = Split(info, ordered)
    split.verify()
    return split


def load(name_or_path: str | Path, beside: Path | None = None) -> Split:
    """Load a bundled split by name (``clean-cv:2`` has test fold 2), or from a file.

    If the file does not exist, it is looked up in the folder ``beside``, that of the manifest.
    Checks the CSV's hash and that no group is in two parts; raises ``SplitError``. A CSV without a
    JSON file was written by hand, and must not have a group in two parts either.
    """
    name, colon, fold = str(name_or_path).rpartition(":")
    if not colon:
        name, fold = fold, ""
    if name in SHIPPED:
        folder = files("tumorlens").joinpath("splits")
        if name in PROTOCOLS:
            data = _protocol_table(folder.joinpath(_PUBLIC_SET).read_bytes(), name)
        else:
            data = folder.joinpath(f"{name}.csv").read_bytes()
        split = _parse(data, folder.joinpath(f"{name}.json").read_bytes(), name)
        if fold and not fold.isdigit():
            raise SplitError(f"{name}:{fold}: the fold must be a number, counted from 0")
        return split.fold(int(fold)) if fold else split
    table, about = files_of(name if fold.isdigit() else name_or_path)
    if beside is not None and not table.exists():
        table, about = beside / table, beside / about
    try:
        data = table.read_bytes()
        info = about.read_bytes() if about.exists() else None
    except OSError as error:
        raise SplitError(
            f"{name_or_path}: neither a bundled split ({', '.join(SHIPPED)}) nor a split file "
            f"that can be read ({error.strerror}){did_you_mean(name, _names(table.parent))}"
        ) from error
    split = _by_hand(data, table) if info is None else _parse(data, info, str(table))
    return split.fold(int(fold)) if fold.isdigit() else split


def _names(folder: Path) -> list[str]:
    """Names of the bundled splits and those in a folder, for suggestions."""
    return [*SHIPPED, *(path.stem for path in sorted(folder.glob("*.csv")))]


def crossing_groups(manifest: Manifest, parts: Sequence[str]) -> list[str]:
    """Return the groups, and the images by pixel hash, that are in more than one part."""
    pairs = zip(manifest, parts, strict=True)
    return list(_crossing((k, p) for r, p in pairs for k in (r.group, r.pixel_sha256) if k))


def _crossing(keyed: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Keys that are in more than one part, with these parts; of pairs (key, part)."""
    parts_of: dict[str, set[str]] = defaultdict(set)
    for key, part in keyed:
        if part != EXCLUDED:
            parts_of[key].add(part)
    return {key: sorted(parts) for key, parts in sorted(parts_of.items()) if len(parts) > 1}


def published_order(manifest: Manifest) -> list[int]:
    """Indices sorted by split, class and file name, independent of the folders."""

    def key(index: int) -> tuple[str, str, str]:
        record = manifest.records[index]
        return record.split, record.label, Path(record.path).name

    return sorted(range(len(manifest)), key=key)


def files_of(path: str | Path) -> tuple[Path, Path]:
    """The CSV and the JSON of a split, given one of them or the name without suffix."""
    path = Path(path)
    stem = path.with_suffix("") if path.suffix in (".csv", ".json") else path
    return stem.with_name(f"{stem.name}.csv"), stem.with_name(f"{stem.name}.json")


def _to_csv(rows: Sequence[SplitRow]) -> bytes:
    return csv_bytes(
        [_COLUMNS, *((r.sha256, r.label, spreadsheet_safe(r.group), r.part) for r in rows)]
    )


def _protocol_table(data: bytes, protocol: str) -> bytes:
    """The split table of one protocol, from the table of all."""
    rows = csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""))
    return csv_bytes(
        [_COLUMNS, *([*(row[c] for c in _COLUMNS[:-1]), row[protocol]] for row in rows)]
    )


def _by_hand(data: bytes, table: Path) -> Split:
    """A split without JSON file."""
    name = str(table)
    rows = _rows(data, name)
    known = {row.part for row in rows if row.part in _PARTS or _FOLD_PART.fullmatch(row.part)}
    if unknown := sorted({row.part for row in rows} - known):
        raise SplitError(
            f"split {name}: {unknown[0]!r} is not a part; parts are {', '.join(_PARTS)}, or fold0, "
            "fold1 and so on"
        )
    return build(table.stem, "Written by hand.", rows, disjoint=True)


def _rows(data: bytes, name: str) -> tuple[SplitRow, ...]:
    try:
        header, *lines = read_table(data)
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise SplitError(f"split {name}: is not a CSV file in UTF-8 ({error})") from error
    if tuple(header) != _COLUMNS or any(len(line) != len(_COLUMNS) for line in lines):
        raise SplitError(f"split {name}: the CSV's columns are not {', '.join(_COLUMNS)}")
    return tuple(SplitRow(*map(from_spreadsheet_safe, line)) for line in lines)


def _parse(data: bytes, info: bytes, name: str) -> Split:
    try:
        about = msgspec.json.decode(info, type=SplitInfo)
    except msgspec.MsgspecError as error:
        raise SplitError(f"split {name}: its JSON file is damaged ({error})") from error
    if hashlib.sha256(data).hexdigest() != about.sha256:
        raise SplitError(
            f"split {name}: the CSV was changed; its hash is not the recorded one. Write the split "
            "again, or delete the JSON beside it to use the CSV as it is"
        )
    if about.format_version != FORMAT_VERSION:
        raise SplitError(
            f"split {name}: format version {about.format_version} is not {FORMAT_VERSION}, the one "
            "that this tumorlens reads"
        )
    rows = _rows(data, name)
    if Counter(row.part for row in rows) != about.counts:
        raise SplitError(f"split {name}: the CSV's parts differ from the counts in its JSON file")
    split = Split(about, rows)
    split.verify()
    return split

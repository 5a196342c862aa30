"""Split files: which image is trained on, chosen by, and tested on. Keyed by SHA-256.

A split is two files: ``NAME.csv`` (sha256, class, group, part) and ``NAME.json`` (what it is, and
the CSV's own hash). Files of identical bytes and class are interchangeable, so the n-th copy in a
manifest takes the n-th row. Parts: ``train``, ``validation``, ``test``, ``excluded``, or for a
cross-validation ``fold0`` to ``fold4``.
"""

import csv
import dataclasses
import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from tumorlens.datasets.importers import Provenance, provenance_table
from tumorlens.datasets.manifest import Manifest
from tumorlens.errors import SplitError
from tumorlens.files import from_spreadsheet_safe, spreadsheet_safe

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"
EXCLUDED: Final = "excluded"
PATIENT_CV: Final = "patient-cv"
PROTOCOLS: Final = ("folder", "clean", "clean-cv", PATIENT_CV)
"""Splits of the public 7,023-image set."""
BR35H_TUMOR: Final = "br35h-tumor"
OTHER_SOURCES: Final = ("diverse", "more")
"""Splits of the collections of other hospitals: a part of their patients validates."""
SHIPPED: Final = (*PROTOCOLS, BR35H_TUMOR, *OTHER_SOURCES, "phantom")
"""Bundled split files; ``phantom`` is the one that the bundle of that name was trained with."""
FORMAT_VERSION: Final = 1
_COLUMNS: Final = ("sha256", "class", "group", "part")
_CHENG: Final = "cheng"
_VALIDATION_SHARE: Final = 0.1
_OTHER_VALIDATION: Final = 42
"""Of 256: patients of other hospitals that validate, a sixth."""


class SplitInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a split file is: its JSON half."""

    format_version: int = FORMAT_VERSION
    name: str
    description: str
    disjoint: bool
    """Whether it promises that no group is in two parts."""
    counts: dict[str, int]
    """Rows in each part."""
    sha256: str
    """Of the CSV's bytes."""


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
    rows: tuple[SplitRow, ...]

    def parts(self, manifest: Manifest, *, allow_partial: bool = False) -> list[str]:
        """Give each record of ``manifest`` its part, in the manifest's order.

        Raises ``SplitError`` where the manifest has an image that the split does not know or,
        unless ``allow_partial``, lacks one that it lists.
        """
        waiting: dict[tuple[str, str], list[str]] = defaultdict(list)
        for row in reversed(self.rows):
            waiting[row.sha256, row.label].append(row.part)
        order = sorted(range(len(manifest)), key=lambda i: _published_order(manifest, i))
        parts = [""] * len(manifest)
        unknown = [i for i in order if not _take(waiting, manifest, i, parts)]
        if unknown:
            raise SplitError(
                f"split {self.info.name}: {len(unknown)} images of the manifest are not in it, "
                f"the first is {manifest.records[unknown[0]].path}"
            )
        absent = sum(len(left) for left in waiting.values())
        if absent and not allow_partial:
            raise SplitError(
                f"split {self.info.name}: {absent} of its {len(self.rows)} images are not in the "
                "manifest"
            )
        return parts

    def fold(self, test_fold: int) -> "Split":
        """Turn a cross-validation split into that of one fold: the next fold validates."""
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
        """Raise ``SplitError`` where a split that promises to be disjoint lets a group cross."""
        if not self.info.disjoint:
            return
        parts_of: dict[str, set[str]] = defaultdict(set)
        for row in self.rows:
            if row.part != EXCLUDED:
                parts_of[row.group].add(row.part)
        crossing = sorted(group for group, parts in parts_of.items() if len(parts) > 1)
        if crossing:
            first = crossing[0]
            raise SplitError(
                f"split {self.info.name} leaks: {len(crossing)} groups are in more than one "
                f"part, for example {first} in {' and '.join(sorted(parts_of[first]))}"
            )

    def verify_manifest(self, manifest: Manifest, *, allow_partial: bool = False) -> list[str]:
        """Check the split against ``manifest`` and return each record's part, as ``parts`` does.

        Beyond what ``parts`` raises: ``SplitError`` where a split that promises to be disjoint
        puts a group, or a picture by its decoded pixels, as the manifest knows them, in two parts.
        """
        parts = self.parts(manifest, allow_partial=allow_partial)
        if self.info.disjoint:
            crossing = crossing_groups(manifest, parts)
            if crossing:
                raise SplitError(
                    f"split {self.info.name} leaks: {len(crossing)} groups or pictures of the "
                    f"manifest are in more than one part, for example {crossing[0]}"
                )
        return parts

    def save(self, path: str | Path) -> None:
        """Write ``path`` (CSV) and the JSON beside it."""
        table, about = _files(path)
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_bytes(_to_csv(self.rows))
        info = msgspec.json.format(msgspec.json.encode(self.info), indent=2)
        about.write_bytes(info + b"\n")


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


def load(name_or_path: str | Path) -> Split:
    """Load a bundled split by name (``clean-cv:2`` is that of test fold 2), or a file.

    Checks the CSV's hash and that no group crosses; raises ``SplitError``.
    """
    name, colon, fold = str(name_or_path).rpartition(":")
    if not colon:
        name, fold = fold, ""
    if name in SHIPPED:
        folder = files("tumorlens").joinpath("splits")
        split = _parse(
            folder.joinpath(f"{name}.csv").read_bytes(),
            folder.joinpath(f"{name}.json").read_bytes(),
            name,
        )
        return split.fold(_fold_number(fold, name)) if fold else split
    place = name if fold.isdigit() else name_or_path
    table, about = _files(place)
    try:
        split = _parse(table.read_bytes(), about.read_bytes(), str(table))
        return split.fold(int(fold)) if fold.isdigit() else split
    except OSError as error:
        raise SplitError(
            f"{name_or_path}: neither a bundled split ({', '.join(SHIPPED)}) nor a split file "
            f"that can be read ({error.strerror})"
        ) from error


def make(manifest: Manifest, protocol: str) -> Split:
    """Make the split of a shipped protocol for ``manifest``; raises ``SplitError``."""
    if protocol == BR35H_TUMOR:
        return br35h_tumor_split(manifest)
    if protocol in OTHER_SOURCES:
        return other_sources_split(manifest, protocol)
    if protocol not in PROTOCOLS:
        known = ", ".join((*PROTOCOLS, BR35H_TUMOR, *OTHER_SOURCES))
        raise SplitError(f"{protocol}: unknown protocol; known are {known}")
    return folder_split(manifest) if protocol == "folder" else fold_split(manifest, protocol)


def crossing_groups(manifest: Manifest, parts: Sequence[str]) -> list[str]:
    """Name the groups, and the pictures by pixel hash, that are in more than one part."""
    parts_of: dict[str, set[str]] = defaultdict(set)
    for record, part in zip(manifest, parts, strict=True):
        if part != EXCLUDED:
            for key in (record.group, record.pixel_sha256):
                parts_of[key].add(part)
    return sorted(key for key, found in parts_of.items() if key and len(found) > 1)


def folder_split(manifest: Manifest) -> Split:
    """The literature's protocol: published test folder, a tenth of training held for validation.

    The validation images are drawn image by image within each class, as the literature does, so
    they leak exactly as the test folder does. Byte-identical files share their draw.
    """
    draws: dict[str, list[str]] = defaultdict(list)
    for record in manifest:
        if record.split == "training":
            draws[record.label].append(record.sha256)
    held: set[tuple[str, str]] = set()
    for label, hashes in draws.items():
        ranked = sorted(set(hashes), key=lambda h: hashlib.sha256(f"folder{h}".encode()).digest())
        held.update((label, h) for h in ranked[: round(_VALIDATION_SHARE * len(ranked))])
    rows = []
    for i in sorted(range(len(manifest)), key=lambda i: _published_order(manifest, i)):
        record = manifest.records[i]
        part = TEST if record.split == "testing" else TRAIN
        if part == TRAIN and (record.label, record.sha256) in held:
            part = VALIDATION
        rows.append(SplitRow(record.sha256, record.label, record.group, part))
    description = (
        "The literature's protocol: the published test folder; a random tenth of the training "
        "folder validates. Patients cross: for comparison with published numbers only."
    )
    return build("folder", description, rows, disjoint=False)


def fold_split(manifest: Manifest, name: str) -> Split:
    """``clean`` (fold 0 tests, 1 validates), ``clean-cv`` (all five) or ``patient-cv``.

    From the fixed folds. Images whose decoded pixels repeat another file's are ``excluded``: each
    is scored once. ``patient-cv`` excludes all but the images of Cheng et al. as well, so three
    classes are left and every patient is known.
    """
    traced = provenance_table()
    taken: Counter[tuple[str, str]] = Counter()
    rows = []
    for i in sorted(range(len(manifest)), key=lambda i: _published_order(manifest, i)):
        record = manifest.records[i]
        entries = _entries(record.sha256, record.label, traced)
        if not entries:
            raise SplitError(
                f"{record.path}: not a file of the 7,023-image set, so it has no fixed fold"
            )
        nth = min(taken[record.sha256, record.label], len(entries) - 1)
        taken[record.sha256, record.label] += 1
        entry = entries[nth]
        excluded = entry.identical_to or (name == PATIENT_CV and entry.source != _CHENG)
        part = EXCLUDED if excluded else f"fold{entry.fold}"
        rows.append(SplitRow(record.sha256, record.label, entry.group, part))
    description = (
        "Patients, and clusters of near-duplicates where the patient is unknown, never cross "
        "between parts; each distinct image once."
    )
    if name == PATIENT_CV:
        about = f"The images of Cheng et al., three classes, every patient known. {description}"
        return build(PATIENT_CV, about, rows, disjoint=True)
    split = build("clean-cv", description, rows, disjoint=True)
    if name == "clean-cv":
        return split
    single = split.fold(0)
    return build("clean", f"Fold 0 tests, fold 1 validates. {description}", single.rows, True)


def br35h_tumor_split(manifest: Manifest) -> Split:
    """Part the tumour images of Br35H, whose kind is not given: 140 test, 60 validate, 220 train.

    Whole clusters of like pictures, in an order that only their name decides; one that does not
    fit any more goes to the next part.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for i, record in enumerate(manifest):
        members[record.group].append(i)
    ranked = sorted(members, key=lambda g: hashlib.sha256(f"{BR35H_TUMOR}{g}".encode()).digest())
    room = {TEST: 140, VALIDATION: 60}
    parts = {}
    for group in ranked:
        size = len(members[group])
        part = next((name for name, left in room.items() if size <= left), TRAIN)
        if part != TRAIN:
            room[part] -= size
        parts[group] = part
    order = sorted(range(len(manifest)), key=lambda i: _published_order(manifest, i))
    rows = [
        SplitRow(r.sha256, r.label, r.group, parts[r.group])
        for r in (manifest.records[i] for i in order)
    ]
    description = (
        "Tumour images of Br35H, kind not given, by clusters of like pictures: part of them train "
        "with the label that any tumour class is right, the others are kept for testing."
    )
    return build(BR35H_TUMOR, description, rows, disjoint=True)


def other_sources_split(manifest: Manifest, name: str) -> Split:
    """Part a collection of other hospitals: about a sixth of the patients validate.

    By the patient's name only, so that a patient of two collections is on one side in both.
    """
    order = sorted(range(len(manifest)), key=lambda i: _published_order(manifest, i))
    rows = [
        SplitRow(r.sha256, r.label, r.group, VALIDATION if _validates(r.group) else TRAIN)
        for r in (manifest.records[i] for i in order)
    ]
    description = (
        "Slices from other hospitals and collections: about a sixth of the patients validate, the "
        "others train. None tests: whole families are held out for that."
    )
    return build(name, description, rows, disjoint=True)


def _validates(group: str) -> bool:
    digest = hashlib.sha256(f"other-sources{group}".encode()).digest()
    return digest[0] < _OTHER_VALIDATION


def _entries(
    sha256: str, label: str, traced: Mapping[str, tuple[Provenance, ...]]
) -> list[Provenance]:
    return [e for e in traced.get(sha256, ()) if e.file.split("/")[1] == label]


def _published_order(manifest: Manifest, index: int) -> tuple[str, str, str]:
    """Order that depends on split, class and file name only, not on where the files lie."""
    record = manifest.records[index]
    return record.split, record.label, Path(record.path).name


def _take(
    waiting: dict[tuple[str, str], list[str]], manifest: Manifest, index: int, parts: list[str]
) -> bool:
    """Give record ``index`` the next part waiting for its bytes; False where there is none."""
    record = manifest.records[index]
    left = waiting.get((record.sha256, record.label))
    if not left:
        return False
    parts[index] = left.pop()
    return True


def _files(path: str | Path) -> tuple[Path, Path]:
    """The CSV and the JSON of a split, from the name of either or of both without suffix."""
    path = Path(path)
    stem = path.with_suffix("") if path.suffix in (".csv", ".json") else path
    return stem.with_name(f"{stem.name}.csv"), stem.with_name(f"{stem.name}.json")


def _to_csv(rows: Sequence[SplitRow]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows((r.sha256, r.label, spreadsheet_safe(r.group), r.part) for r in rows)
    return out.getvalue().encode("utf-8")


def _parse(data: bytes, info: bytes, name: str) -> Split:
    try:
        about = msgspec.json.decode(info, type=SplitInfo)
    except msgspec.MsgspecError as error:
        raise SplitError(f"split {name}: its JSON half is damaged ({error})") from error
    if hashlib.sha256(data).hexdigest() != about.sha256:
        raise SplitError(f"split {name}: the CSV was changed; its hash is not the recorded one")
    if about.format_version != FORMAT_VERSION:
        raise SplitError(
            f"split {name}: format version {about.format_version} is not {FORMAT_VERSION}, the one "
            "that this tumorlens reads"
        )
    header, *lines = csv.reader(data.decode("utf-8").splitlines())
    if tuple(header) != _COLUMNS or any(len(line) != len(_COLUMNS) for line in lines):
        raise SplitError(f"split {name}: the CSV's columns are not {', '.join(_COLUMNS)}")
    rows = tuple(SplitRow(*map(from_spreadsheet_safe, line)) for line in lines)
    if Counter(row.part for row in rows) != about.counts:
        raise SplitError(f"split {name}: the CSV's parts are not those its JSON half counts")
    split = Split(about, rows)
    split.verify()
    return split


def _fold_number(text: str, name: str) -> int:
    if not text.isdigit():
        raise SplitError(f"{name}:{text}: the fold must be a number, counted from 0")
    return int(text)

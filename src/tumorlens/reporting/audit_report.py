"""The audit as an HTML report with images side by side, and as JSON."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tumorlens import preprocessing
from tumorlens.config import PreprocessConfig
from tumorlens.datasets.audit import classes_of
from tumorlens.datasets.controls import FRAME_SHARE
from tumorlens.datasets.duplicates import MAX_DISTANCE, MIN_CORRELATION
from tumorlens.datasets.findings import Audit, NearDuplicate
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.errors import InputError
from tumorlens.files import json_bytes, write_file
from tumorlens.imaging import reader
from tumorlens.imaging.image import single
from tumorlens.imaging.raster import encode
from tumorlens.labels import label_name
from tumorlens.reporting import html
from tumorlens.reporting.html import ReportImage

PAGE: Final = "index.html"
JSON: Final = "audit.json"
_SIDE: Final = 176
_CONFLICTS: Final = 12
_COPIES: Final = 6
_NEAR: Final = 3
_PATIENTS: Final = 6
_OUTLIERS: Final = 15
_ROWS: Final = 20
_WINDOW: Final = PreprocessConfig()


@dataclasses.dataclass(frozen=True, slots=True)
class Panel:
    """Images that belong together, and why."""

    images: list[ReportImage]
    note: str


def write(audit: Audit, manifest: Manifest, parts: Sequence[str], folder: Path) -> Path:
    """Write ``audit.json`` and ``index.html`` into ``folder``; return the page's path.

    ``manifest`` and ``parts`` are those that were audited.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / JSON, json_bytes(audit, indent=1))
    # The images are small: several BLAS threads would cost more than they save.
    with threadpool_limits(limits=1):
        gallery = _Gallery(audit, manifest, parts)
        panels = {
            "conflicts": list(itertools.islice(gallery.conflicts(), _CONFLICTS)),
            "copies": list(itertools.islice(gallery.copies(), _COPIES)),
            "near": list(gallery.near_duplicates()),
            "patients": list(itertools.islice(gallery.patients(), _PATIENTS)),
            "outliers": list(gallery.outliers()),
        }
    return html.write(
        folder / PAGE,
        "audit.html",
        **panels,
        audit=audit,
        classes=list(audit.outliers),
        labels=classes_of(list(audit.outliers)),
        unreadable=audit.unreadable[:_ROWS],
        changed=audit.changed[:_ROWS],
        conflicting_images=conflicting_images(audit),
        max_distance=MAX_DISTANCE,
        min_correlation=MIN_CORRELATION,
        frame_share=FRAME_SHARE,
        json_name=JSON,
    )


def conflicting_images(audit: Audit) -> int:
    """Number of images with two labels; files of one conflict count once."""
    chained: list[set[str]] = []
    for conflict in audit.label_conflicts:
        files = {conflict.path, conflict.other_path} - {""}
        joined = [other for other in chained if other & files]
        chained = [other for other in chained if not other & files]
        chained.append(files.union(*joined))
    return len(chained)


def square_of(manifest: Manifest, record: Record) -> NDArray[np.uint8]:
    """Read an image, windowed and padded to a square; black if it cannot be read."""
    try:
        image = single(reader.read(manifest.file(record)))
        windowed = preprocessing.window(image.pixels, _WINDOW)
    except InputError:
        return np.zeros((_SIDE, _SIDE), dtype=np.uint8)
    small = preprocessing.resize(preprocessing.pad_square(windowed), _SIDE)
    return np.asarray(np.rint(np.clip(small, 0.0, 1.0) * 255.0), dtype=np.uint8)


class _Gallery:
    """Chooses the images that are shown for each finding."""

    def __init__(self, audit: Audit, manifest: Manifest, parts: Sequence[str]) -> None:
        self.audit = audit
        self.manifest = manifest
        self.parts = parts
        self.records = {record.path: record for record in manifest}

    def conflicts(self) -> Iterator[Panel]:
        """Show pairs first; a conflict with the source only if no pair shows the image."""
        paths_so_far: set[str] = set()
        for conflict in sorted(self.audit.label_conflicts, key=lambda c: not c.other_path):
            paths = [path for path in (conflict.path, conflict.other_path) if path]
            if not set(paths) <= paths_so_far:
                paths_so_far.update(paths)
                said = label_name(conflict.label), label_name(conflict.other_label or "?")
                note = f"{said[0]} or {said[1]}: {conflict.reason}"
                yield Panel([self.show(path) for path in paths], note)

    def copies(self) -> Iterator[Panel]:
        """Show one file of each part for every image that crosses with equal pixels."""
        for copies in self.audit.copies:
            if copies.crosses:
                path_of_part = dict(zip(copies.parts, copies.paths, strict=True))
                bytes_too = "same bytes" if copies.same_bytes else "same pixels, different bytes"
                yield Panel([self.show(p, part) for part, p in path_of_part.items()], bytes_too)

    def near_duplicates(self) -> Iterator[tuple[str, list[Panel]]]:
        """Show a few pairs of each orientation, the most similar first."""
        for orientation in self.audit.near_duplicate_pairs:
            pairs = [p for p in self.audit.near_duplicates if p.orientation == orientation]
            if pairs:
                chosen = _spread(list(_distinct(pairs)), _NEAR)
                yield orientation, [self.pair(pair) for pair in chosen]

    def pair(self, pair: NearDuplicate) -> Panel:
        """Show both images of a near-duplicate."""
        images = [self.show(pair.left, pair.parts[0]), self.show(pair.right, pair.parts[1])]
        return Panel(
            images, f"correlation {pair.correlation:.3f}, {pair.hash_distance} of 64 hash bits"
        )

    def patients(self) -> Iterator[Panel]:
        """Show one image of each part for patients (or clusters) in several parts."""
        members: dict[str, list[tuple[str, str]]] = {}
        for record, part in zip(self.manifest, self.parts, strict=True):
            members.setdefault(record.group, []).append((part, record.path))
        for crossing in self.audit.crossing_groups:
            firsts = dict(reversed(members[crossing.group]))
            counts = ", ".join(f"{n} in {part}" for part, n in crossing.images.items())
            kind = "patient" if crossing.patient_known else "cluster, patient unknown:"
            images = [self.show(firsts[part], part) for part in crossing.images]
            yield Panel(images, f"{kind} {crossing.group}: {counts}")

    def outliers(self) -> Iterator[tuple[str, list[Panel]]]:
        """Show the farthest images of each class."""
        for label, outliers in self.audit.outliers.items():
            panels = []
            for outlier in outliers[:_OUTLIERS]:
                copies = f", {outlier.copies} files" if outlier.copies > 1 else ""
                note = f"score {outlier.score:.1f}{copies}"
                panels.append(Panel([self.show(outlier.path)], note))
            if panels:
                yield label, panels

    def show(self, path: str, part: str = "") -> ReportImage:
        """Embed one image with its name, class and part."""
        record = self.records[path]
        name = Path(path).name
        where = f"{label_name(record.label)}{', ' + part if part else ''}"
        uri = encode.data_uri(square_of(self.manifest, record))
        return ReportImage(uri, caption=f"{name} · {where}", alt=f"{name}, {where}")


def _distinct(pairs: Iterable[NearDuplicate]) -> Iterator[NearDuplicate]:
    """Drop pairs of which one image has already been used."""
    used: set[str] = set()
    for pair in pairs:
        if not {pair.left, pair.right} & used:
            used.update((pair.left, pair.right))
            yield pair


def _spread(pairs: Sequence[NearDuplicate], count: int) -> list[NearDuplicate]:
    """Choose ``count`` evenly over a sorted list, both ends included."""
    if len(pairs) <= count:
        return list(pairs)
    return [pairs[round(k * (len(pairs) - 1) / (count - 1))] for k in range(count)]

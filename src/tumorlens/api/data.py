"""Data sets in the API: a manifest, its file, or a folder of images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tumorlens.api.arguments import checked
from tumorlens.config import Seed
from tumorlens.datasets import audit as audits
from tumorlens.datasets import duplicates, importers, partition, splits
from tumorlens.datasets.findings import Audit
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.splits import TEST, TRAIN, Split
from tumorlens.datasets.tables import is_parquet
from tumorlens.reporting import audit_report

Data = str | Path | Manifest
"""A folder with a folder for each class, the file of a manifest, or a ``Manifest``."""
MANIFEST_FILE: Final = "manifest.csv"
RATIO: Final = (70.0, 15.0, 15.0)


@checked
def manifest_of(
    data: Data, folder: Path | None = None, *, group_from: str | None = None
) -> Manifest:
    """Load or import ``data``; the manifest of a folder is written into ``folder``, if given.

    ``group_from`` finds the patient in a file's path, as for ``tumorlens data import``. Raises
    ``ManifestError``, ``DatasetError``, and ``ValueError`` for ``group_from`` without a folder.
    """
    is_manifest = isinstance(data, Manifest) or not Path(data).is_dir() or is_parquet(Path(data))
    is_there = isinstance(data, Manifest) or Path(data).exists()  # a misspelt folder is missing
    if is_manifest and is_there and group_from is not None:
        raise ValueError("group_from is for a folder of images: a manifest states the groups")
    if isinstance(data, Manifest):
        return data
    if is_manifest:
        return Manifest.load(data)
    path = (folder or Path()) / MANIFEST_FILE
    manifest = importers.import_folder(Path(data), path, group_from=group_from)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        manifest.save(path)
    return manifest


def split_of(split: str | Path | Split, data: Data) -> Split:
    """Return or load a split by name or file, also from ``data``'s folder; raise ``SplitError``."""
    if isinstance(split, Split):
        return split
    return splits.load(split, folder_of(data))


def folder_of(data: Data) -> Path | None:
    """Where a split file may lie beside ``data``."""
    return Path(data).parent if isinstance(data, str | Path) else None


@checked
def split(
    data: Data,
    ratio: Sequence[float] = RATIO,
    *,
    group_from: str | None = None,
    near_duplicates: bool = True,
    folders: bool = False,
    seed: Seed = 0,
    name: str = "own",
) -> Split:
    """Split into train, validation and test; no patient is in two parts.

    Patients are given by the column ``group`` of a manifest, or by ``group_from`` for a folder;
    near-duplicates count as one patient. With ``folders``, the parts are the published train, val
    and test folders. Raises ``SplitError`` if there are too few patients, ``LeakError`` if
    folders share a patient, and ``DatasetError`` if no image can be read.
    """
    if folders and tuple(ratio) != RATIO:
        raise ValueError("ratio and folders exclude each other")
    manifest = manifest_of(data, group_from=group_from)
    if folders:
        return partition.split_as_published(manifest, name, seed)
    pairs = duplicates.look_alikes(manifest).pairs if near_duplicates else []
    groups = partition.joined_groups(manifest.records, pairs=pairs)
    return partition.split_by_ratio(manifest, name, ratio, seed, groups)


def has_folders(manifest: Manifest) -> bool:
    """Whether the images are in folders for training and testing."""
    return {TRAIN, TEST} <= set(audits.published_parts(manifest))


@checked
def audit(
    data: Data, split: str | Path | Split | None = None, *, report: str | Path | None = None
) -> Audit:
    """Find problems of a data set, and leaks between the parts of a split.

    Without ``split``, the published folders (train, test) are checked. ``report`` is a folder for
    ``index.html`` and ``audit.json``. Problems in the data are reported, not raised as errors.
    """
    manifest = manifest_of(data)
    chosen = None if split is None else split_of(split, data)
    parts = audits.published_parts(manifest) if chosen is None else chosen.parts(manifest)
    name = str(data) if isinstance(data, str | Path) else MANIFEST_FILE
    findings = audits.audit(
        manifest,
        parts,
        manifest_name=name,
        split_name=audits.OWN_SPLIT if chosen is None else chosen.info.name,
    )
    if report is not None:
        audit_report.write(findings, manifest, parts, Path(report))
    return findings


manifest = manifest_of
"""The public name: ``tumorlens.manifest``."""

"""Make the splits of the bundled protocols from a manifest of the public sets."""

import hashlib
from collections import Counter, defaultdict
from typing import Final

from tumorlens.datasets.importers import provenance_table
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.splits import (
    BR35H_TUMOR,
    EXCLUDED,
    OTHER_SOURCES,
    PATIENT_CV,
    PROTOCOLS,
    TEST,
    TRAIN,
    VALIDATION,
    Split,
    SplitRow,
    build,
    published_order,
)
from tumorlens.errors import SplitError

_CHENG: Final = "cheng"
_VALIDATION_SHARE: Final = 0.1
_OTHER_VALIDATION: Final = 42
"""Share of the patients of other hospitals for validation, in 256ths: about a sixth."""


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


def folder_split(manifest: Manifest) -> Split:
    """The literature's protocol: published test folder, a tenth of training held for validation.

    The validation images are drawn image by image within each class, as in the literature, so
    patients are in training and validation too. Identical files are drawn together.
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
    for record in _in_order(manifest):
        part = TEST if record.split == "testing" else TRAIN
        if part == TRAIN and (record.label, record.sha256) in held:
            part = VALIDATION
        rows.append(SplitRow(record.sha256, record.label, record.group, part))
    description = (
        "The literature's protocol: the published test folder, and a random tenth of the training "
        "folder for validation. Patients are in several parts: for comparison with published "
        "numbers only."
    )
    return build("folder", description, rows, disjoint=False)


def fold_split(manifest: Manifest, name: str) -> Split:
    """``clean`` (fold 0 tests, 1 validates), ``clean-cv`` (all five) or ``patient-cv``.

    Uses the fixed folds. Files with the same pixels as another are ``excluded``, so that each image
    is scored once. ``patient-cv`` also excludes all images but those of Cheng et al.; it has three
    classes, and every patient is known.
    """
    traced = provenance_table()
    taken: Counter[tuple[str, str]] = Counter()
    rows = []
    for record in _in_order(manifest):
        known = traced.get(record.sha256, ())
        entries = [entry for entry in known if entry.file.split("/")[1] == record.label]
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
        "No patient, or cluster of near-duplicates if the patient is unknown, is in two parts; "
        "each distinct image once."
    )
    if name == PATIENT_CV:
        about = f"The images of Cheng et al., three classes, every patient known. {description}"
        return build(PATIENT_CV, about, rows, disjoint=True)
    split = build("clean-cv", description, rows, disjoint=True)
    if name == "clean-cv":
        return split
    about = f"Fold 0 for testing, fold 1 for validation. {description}"
    return build("clean", about, split.fold(0).rows, disjoint=True)


def br35h_tumor_split(manifest: Manifest) -> Split:
    """Split the tumour images of Br35H, of unknown kind: 140 test, 60 validation, 220 train.

    Whole clusters of similar images are assigned, in an order given by their names; a cluster that
    does not fit into a part goes to the next one.
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
    rows = [SplitRow(r.sha256, r.label, r.group, parts[r.group]) for r in _in_order(manifest)]
    description = (
        "Tumour images of Br35H, kind not given, split by clusters of similar images. Some are for "
        "training and validation, with a label for which any tumour class is correct; the others "
        "are kept for testing."
    )
    return build(BR35H_TUMOR, description, rows, disjoint=True)


def other_sources_split(manifest: Manifest, name: str) -> Split:
    """Split a collection of other hospitals: about a sixth of the patients are for validation.

    The name of the patient decides, so that a patient of two collections is in the same part.
    """
    rows = []
    for record in _in_order(manifest):
        digest = hashlib.sha256(f"other-sources{record.group}".encode()).digest()
        part = VALIDATION if digest[0] < _OTHER_VALIDATION else TRAIN
        rows.append(SplitRow(record.sha256, record.label, record.group, part))
    description = (
        "Slices from other hospitals and collections: about a sixth of the patients for "
        "validation, the others for training. None are for testing, because whole families are "
        "held out for that."
    )
    return build(name, description, rows, disjoint=True)


def _in_order(manifest: Manifest) -> list[Record]:
    return [manifest.records[i] for i in published_order(manifest)]

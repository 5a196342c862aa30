"""Audit a manifest under a split: broken files, duplicates, leaks, outliers."""

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tumorlens.datasets import controls, duplicates, findings
from tumorlens.datasets.fingerprints import ORIENTATIONS, Fingerprints, fingerprint
from tumorlens.datasets.manifest import Manifest
from tumorlens.datasets.outliers import outliers
from tumorlens.datasets.partition import PUBLISHED
from tumorlens.datasets.splits import EXCLUDED, TEST, TRAIN
from tumorlens.labels import BRAIN_TUMORS, ClassSet, class_set
from tumorlens.progress import Progress

FORMAT_VERSION: Final = 1
OWN_SPLIT: Final = "published folders"
"""Name of the split that the manifest's own ``split`` column makes."""
_FOLD: Final = "fold"


def published_parts(manifest: Manifest) -> list[str]:
    """The part of each record in the published split; empty if unknown."""
    return [PUBLISHED.get(record.split, record.split) for record in manifest]


def audit(
    manifest: Manifest,
    parts: Sequence[str],
    *,
    manifest_name: str,
    split_name: str = OWN_SPLIT,
    progress: Progress | None = None,
) -> findings.Audit:
    """Check every image of ``manifest``; ``parts`` gives each record its part of the split.

    Test images are those of part ``test``, or of every fold of a cross-validation. ``excluded``
    ones never leak. Problems of the data are findings, not errors; but ``DatasetError`` is raised
    where no image can be read.
    """
    started = time.monotonic()
    result = audit_fingerprints(
        manifest, parts, fingerprint(manifest, progress),
        manifest_name=manifest_name, split_name=split_name,
    )  # fmt: skip
    return msgspec.structs.replace(result, seconds=round(time.monotonic() - started, 2))


def audit_fingerprints(
    manifest: Manifest,
    parts: Sequence[str],
    prints: Fingerprints,
    *,
    manifest_name: str,
    split_name: str = OWN_SPLIT,
) -> findings.Audit:
    """``audit`` for images that were read already, such as for a second split."""
    return _Auditor(manifest, parts, prints).run(manifest_name, split_name)


class _Auditor:
    """Computes the findings: each method the field of ``findings.Audit`` that it is named after."""

    def __init__(self, manifest: Manifest, parts: Sequence[str], prints: Fingerprints) -> None:
        self.manifest = manifest
        self.records = manifest.records
        self.parts = np.array(parts, dtype=np.str_)
        self.prints = prints
        self.classes = classes_of([record.label for record in self.records])
        self.active = (self.parts != EXCLUDED) & (self.parts != "")
        self.is_test = np.array(
            [part == TEST or part.startswith(_FOLD) for part in parts], dtype=np.bool_
        )
        self.pairs = duplicates.near_duplicates(prints)
        self.identical = duplicates.identical(prints.pixel_sha256)

    def run(self, manifest_name: str, split_name: str) -> findings.Audit:
        clusters = duplicates.clusters(len(self.records), self.pairs, self.identical)
        return findings.Audit(
            format_version=FORMAT_VERSION,
            manifest=manifest_name,
            manifest_sha256=self.manifest.sha256,
            split=split_name,
            images=len(self.records),
            counts=self.counts(),
            leaks=self.leaks(),
            unreadable=self.unreadable(),
            changed=self.changed(),
            redundant_bytes=_redundant(duplicates.identical(self.prints.sha256)),
            redundant_pixels=_redundant(self.identical),
            copies=self.copies(),
            near_duplicate_pairs=self.near_duplicate_pairs(),
            near_duplicates=self.near_duplicates(),
            label_conflicts=self.label_conflicts(),
            crossing_groups=self.crossing_groups(),
            outliers=self.outliers(clusters),
            controls=self.controls(),
            seconds=0.0,
        )

    def counts(self) -> dict[str, dict[str, int]]:
        table: dict[str, Counter[str]] = defaultdict(Counter)
        for record, part in zip(self.records, self.parts, strict=True):
            table[str(part)][record.label] += 1
        return {part: dict(sorted(table[part].items())) for part in sorted(table)}

    def unreadable(self) -> list[findings.Unreadable]:
        rows = zip(self.records, self.parts, self.prints.problems, strict=True)
        return [
            findings.Unreadable(record.path, record.label, str(part), problem)
            for record, part, problem in rows
            if problem
        ]

    def changed(self) -> list[str]:
        """List the files whose bytes are not those the manifest was made from."""
        return [
            record.path
            for record, digest in zip(self.records, self.prints.sha256, strict=True)
            if digest and digest != record.sha256
        ]

    def copies(self) -> list[findings.Copies]:
        """List the groups of files with equal pixels, those that cross first."""
        groups = [
            findings.Copies(
                paths=[self.records[i].path for i in rows],
                labels=[self.records[i].label for i in rows],
                parts=[str(self.parts[i]) for i in rows],
                same_bytes=len({self.prints.sha256[i] for i in rows}) == 1,
                crosses=len({self.parts[i] for i in rows if self.active[i]}) > 1,
            )
            for rows in self.identical
        ]
        return sorted(groups, key=lambda copies: not copies.crosses)

    def near_duplicate_pairs(self) -> dict[str, int]:
        tally = np.bincount(self.pairs.orientation, minlength=len(ORIENTATIONS))
        return {name: int(n) for name, n in zip(ORIENTATIONS, tally, strict=True) if n}

    def near_duplicates(self) -> list[findings.NearDuplicate]:
        """List the pairs that cross, the most similar first."""
        pairs = self.pairs
        rows = np.flatnonzero(self._crossing_pairs())
        return [
            findings.NearDuplicate(
                left=self.records[pairs.left[k]].path,
                right=self.records[pairs.right[k]].path,
                parts=(str(self.parts[pairs.left[k]]), str(self.parts[pairs.right[k]])),
                orientation=ORIENTATIONS[pairs.orientation[k]],
                hash_distance=int(pairs.distance[k]),
                correlation=round(float(pairs.correlation[k]), 5),
            )
            for k in rows[np.argsort(-pairs.correlation[rows], kind="stable")]
        ]

    def label_conflicts(self) -> list[findings.LabelConflict]:
        """List images with another label in their source, an equal file or a near-duplicate."""
        conflicts = [
            findings.LabelConflict(record.path, record.label, record.source_label, "source")
            for record in self.records
            if record.source_label in self.classes.names and record.source_label != record.label
        ]
        equal = duplicates.chained(self.identical)
        for reason, pairs in (("same pixels", equal), ("near-duplicate", self.pairs.rows)):
            for i, j in pairs:
                left, right = self.records[i], self.records[j]
                if left.label != right.label:
                    known = (left.path, left.label, right.label, reason, right.path)
                    conflicts.append(findings.LabelConflict(*known))
        return conflicts

    def crossing_groups(self) -> list[findings.CrossingGroup]:
        """List patients and clusters in more than one part, those with most images first."""
        images: dict[str, Counter[str]] = defaultdict(Counter)
        known: set[str] = set()
        for i in np.flatnonzero(self.active).tolist():
            record = self.records[i]
            if record.group:
                images[record.group][str(self.parts[i])] += 1
                if record.patient:
                    known.add(record.group)
        crossing = [
            findings.CrossingGroup(group, group in known, dict(sorted(count.items())))
            for group, count in images.items()
            if len(count) > 1
        ]
        crossing.sort(key=lambda g: (not g.patient_known, -sum(g.images.values()), g.group))
        return crossing

    def leaks(self) -> findings.Leaks:
        same_bytes = self._elsewhere(self.prints.sha256)
        same_pixels = self._elsewhere(self.prints.pixel_sha256)
        group = self._elsewhere([record.group for record in self.records])
        crossing = self._crossing_pairs()
        copy = same_pixels.copy()
        copy[self.pairs.left[crossing]] = True
        copy[self.pairs.right[crossing]] = True
        known = self.is_test & np.array([bool(record.patient) for record in self.records])
        return findings.Leaks(
            test_images=int(self.is_test.sum()),
            test_with_same_bytes=int((same_bytes & self.is_test).sum()),
            test_with_same_pixels=int((same_pixels & self.is_test).sum()),
            test_with_copy=int((copy & self.is_test).sum()),
            test_with_known_patient=int(known.sum()),
            test_with_known_patient_elsewhere=int((known & group).sum()),
            test_with_group_elsewhere=int((group & self.is_test).sum()),
            crossing_copies=sum(copies.crosses for copies in self.copies()),
            crossing_near_duplicates=int(crossing.sum()),
            crossing_groups=len(self.crossing_groups()),
        )

    def outliers(self, clusters: NDArray[np.int64]) -> dict[str, list[findings.Outlier]]:
        return {
            label: [
                findings.Outlier(self.records[o.row].path, label, round(o.score, 3), o.copies)
                for o in ranked
            ]
            for label, ranked in outliers(self.prints, clusters, self.classes.names).items()
        }

    def controls(self) -> list[findings.Control]:
        """Fit both controls on train, score them on test; pooled over folds; none without both."""
        folds = self._folds()
        if not folds:
            return []
        truth = controls.truths(self.prints, self.classes)[np.concatenate([t for _, t in folds])]
        none = self.classes.no_finding_index
        scores = []
        for name, control in controls.CONTROLS.items():
            predicted = np.concatenate(
                [control(self.prints, train, test, self.classes) for train, test in folds]
            )
            correct, tumor_correct = predicted == truth, (predicted == none) == (truth == none)
            scores.append(
                findings.Control(
                    name, controls.DESCRIPTIONS[name], int(correct.sum()), len(correct),
                    float(correct.mean()), float(tumor_correct.mean()),
                )
            )  # fmt: skip
        return scores

    def _folds(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Pair train with test rows: once, or once a fold."""
        folds = sorted({str(part) for part in self.parts if part.startswith(_FOLD)})
        masks = [(self.is_test & (self.parts != fold), self.parts == fold) for fold in folds]
        masks = masks or [(self.parts == TRAIN, self.is_test)]
        # The controls answer with a class, so they need images whose class is known.
        known = np.isin(self.prints.labels, self.classes.names)
        masks = [(train & known, test & known) for train, test in masks]
        pairs = [(np.flatnonzero(train), np.flatnonzero(test)) for train, test in masks]
        return [
            (train, test) for train, test in pairs if len(test) and self.prints.usable[train].any()
        ]

    def _elsewhere(self, keys: Sequence[str]) -> NDArray[np.bool_]:
        """(N,) whether a row with the same, not empty, key is in another part."""
        parts_of: dict[str, set[str]] = defaultdict(set)
        for i in np.flatnonzero(self.active).tolist():
            parts_of[keys[i]].add(str(self.parts[i]))
        crossing = {key for key, parts in parts_of.items() if key and len(parts) > 1}
        crosses = np.array([key in crossing for key in keys], dtype=np.bool_)
        return np.asarray(self.active & crosses)

    def _crossing_pairs(self) -> NDArray[np.bool_]:
        """(K,) which near-duplicate pairs are in two parts."""
        left, right = self.pairs.left, self.pairs.right
        apart = self.parts[left] != self.parts[right]
        return np.asarray(apart & self.active[left] & self.active[right])


def classes_of(labels: Sequence[str]) -> ClassSet:
    """The classes of the labels; those of the bundled networks if they form no set."""
    try:
        return class_set(labels)
    except ValueError:
        return BRAIN_TUMORS


def _redundant(groups: Sequence[Sequence[int]]) -> int:
    return sum(len(rows) - 1 for rows in groups)

"""Which bundle is scored on which images. Most evaluations have one fold, some several.

In a cross-validation each bundle is scored on the fold that it was not trained on, and the answers
are pooled: every image is scored once, by a network that was trained without its patient. In
leave-one-source-out each bundle is scored on the source that it was trained without.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tumorlens.bundle import Bundle
from tumorlens.datasets import splits
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.splits import EXCLUDED, TEST, TRAIN, Split, SplitRow
from tumorlens.errors import EvaluationError
from tumorlens.evaluation import protocols
from tumorlens.evaluation.training_images import held_out_sources, named_split
from tumorlens.inference.classifier import Classifier

EXTERNAL: Final = "external"
LEAVE_ONE_SOURCE_OUT: Final = "leave-one-source-out"
_FOLD: Final = "fold"


@dataclasses.dataclass(frozen=True, slots=True)
class Fold:
    """One bundle, and the part of each image of the manifest in the bundle's split."""

    classifier: Classifier
    parts: tuple[str, ...]
    name: str = ""
    """Fold or source that is scored; empty if there is one fold only."""

    def scored(self, manifest: Manifest, part: str) -> tuple[Record, ...]:
        """The records of ``manifest`` that are in ``part``."""
        pairs = zip(manifest, self.parts, strict=True)
        return tuple(record for record, name in pairs if name == part)


@dataclasses.dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """Which bundles are scored on which images."""

    split: Split
    folds: tuple[Fold, ...]
    """One for each bundle; at least one."""
    protocol: str = ""
    """``external`` or ``leave-one-source-out``; empty where the split states the protocol."""
    missing: tuple[str, ...] = ()
    """Names of folds without a bundle."""

    @property
    def bundles(self) -> tuple[Bundle, ...]:
        """One for each fold."""
        return tuple(fold.classifier.bundle for fold in self.folds)


def fold_numbers(split: Split) -> list[int]:
    """Numbers of the folds of ``split``, ascending; empty if it has a test part."""
    parts = {row.part for row in split.rows}
    named = () if TEST in parts else parts
    return sorted(int(part.removeprefix(_FOLD)) for part in named if part.startswith(_FOLD))


def cross_validation(
    classifiers: Sequence[Classifier], split: Split, manifest: Manifest
) -> EvaluationPlan:
    """Match each bundle to the fold of ``split`` that it was trained with.

    They are matched by the hash of the split in the bundle's record, so that ``clean`` is fold 0 of
    ``clean-cv``. Raises ``EvaluationError`` if a bundle matches no fold, or two match the same.
    """
    folds = fold_numbers(split)
    by_hash = {of_fold.info.sha256: (k, of_fold) for k in folds for of_fold in [split.fold(k)]}
    matched: dict[int, Fold] = {}
    for classifier in classifiers:
        name, sha256 = named_split(classifier.bundle.info.training)
        if sha256 not in by_hash:
            how = f"was trained with the split {name}" if name else "does not state its split"
            raise EvaluationError(
                f"bundle {classifier.model.name}: {how}; it must be trained on a fold of "
                f"{split.info.name}, with --split {split.info.name}:K"
            )
        fold, of_fold = by_hash[sha256]
        if fold in matched:
            raise EvaluationError(
                f"two bundles were trained with fold {fold} of {split.info.name}; give one for each"
            )
        matched[fold] = Fold(classifier, tuple(of_fold.parts(manifest)), f"fold {fold}")
    missing = tuple(f"fold {fold}" for fold in folds if fold not in matched)
    matches = tuple(matched[fold] for fold in sorted(matched))
    return EvaluationPlan(split, matches, missing=missing)


def leave_one_source_out(classifiers: Sequence[Classifier], manifest: Manifest) -> EvaluationPlan:
    """Score each bundle on the images of the sources, or families, that it was trained without.

    Raises ``EvaluationError`` if a bundle has no held-out source, two have the same, or the
    manifest has no image of one.
    """
    matched: dict[str, Fold] = {}
    for classifier in classifiers:
        sources = held_out_sources(classifier.bundle.info.training)
        name = " + ".join(sorted(sources))
        if not sources:
            raise EvaluationError(
                f"bundle {classifier.model.name}: was trained without a held-out source; "
                "train it with --hold-out SOURCE"
            )
        if name in matched:
            raise EvaluationError(f"two bundles were trained without {name}; give one for each")
        members = [record.is_from(sources) for record in manifest]
        if not any(members):
            raise EvaluationError(f"the manifest contains no image of {name}")
        matched[name] = Fold(classifier, tuple(_parts(manifest, members)), name)
    columns = zip(*(fold.parts for fold in matched.values()), strict=True)
    rows = [
        SplitRow(record.sha256, record.label, record.group, TEST)
        for record, parts in zip(manifest, columns, strict=True)
        if TEST in parts
    ]
    description = (
        "Each source is scored by a bundle that was trained without any image of it; each distinct "
        "image once."
    )
    split = splits.build(LEAVE_ONE_SOURCE_OUT, description, rows, disjoint=False)
    return EvaluationPlan(split, tuple(matched.values()), LEAVE_ONE_SOURCE_OUT)


def one_split(
    classifier: Classifier, split: Split, manifest: Manifest, part: str
) -> EvaluationPlan:
    """Score one bundle on ``part``; raises ``SplitError`` if it has no image."""
    parts = split.parts(manifest)
    protocols.require_part(split, parts, part)
    return EvaluationPlan(split, (Fold(classifier, tuple(parts)),))


def external(classifier: Classifier, manifest: Manifest) -> EvaluationPlan:
    """Score all of ``manifest``, each distinct image once. Check the overlap first."""
    parts = _parts(manifest, [True] * len(manifest))
    description = (
        "Images of another hospital or source; none resembles an image that the bundle was "
        "trained on. Each distinct image once."
    )
    split = splits.build(EXTERNAL, description, _rows(manifest, parts), disjoint=False)
    return EvaluationPlan(split, (Fold(classifier, tuple(parts)),), EXTERNAL)


def split_by_name(name: str | Path, manifest: Manifest, beside: Path | None) -> Split:
    """``splits.load``, or every image of ``manifest`` for ``all``."""
    return every_image(manifest) if name == splits.ALL else splits.load(name, beside)


def every_image(manifest: Manifest) -> Split:
    """All of ``manifest`` as the test part, each distinct image once."""
    rows = _rows(manifest, _parts(manifest, [True] * len(manifest)))
    description = "Every image of the manifest, each distinct image once."
    return splits.build(splits.ALL, description, rows, disjoint=True)


def _rows(manifest: Manifest, parts: Sequence[str]) -> list[SplitRow]:
    return [
        SplitRow(record.sha256, record.label, record.group, part)
        for record, part in zip(manifest, parts, strict=True)
    ]


def data_hashes(training: dict[str, Any]) -> list[str]:
    """Hashes of the manifests that a bundle was trained on, by its record, with extra ones."""
    extra = training.get("extra") or ()
    named = [training.get("data_sha256"), *(facts.get("data_sha256") for facts in extra)]
    return [str(name) for name in named if name]


def _parts(manifest: Manifest, members: Sequence[bool]) -> list[str]:
    """``test`` for the members, ``excluded`` for copies among them, ``train`` for the others."""
    earlier: set[str] = set()
    parts = []
    for record, member in zip(manifest, members, strict=True):
        content = record.pixel_sha256 or record.sha256
        parts.append(TRAIN if not member else EXCLUDED if content in earlier else TEST)
        if member:
            earlier.add(content)
    return parts

"""Overlap of the scored images with the training images, by hashes and groups."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import compress
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import SiteCalibration
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.splits import TRAIN, VALIDATION, SplitInfo
from tumorlens.evaluation.training_images import (
    SEEN_PARTS,
    TrainingImages,
    named_split,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Overlap:
    """Which of the N scored images resemble images that the model was trained on."""

    duplicate: NDArray[np.bool_]
    """(N,) an image of identical pixels."""
    same_group: NDArray[np.bool_]
    """(N,) an image of the same group."""


@dataclasses.dataclass(frozen=True, slots=True)
class Subset:
    """Some of the images scored, and why they are reported separately."""

    name: str
    title: str
    description: str
    member: NDArray[np.bool_]
    """(N,) over the images scored."""

    def select(self, values: Sequence[str]) -> list[str]:
        """Return those of N values that belong to its images."""
        return list(compress(values, self.member))


@dataclasses.dataclass(frozen=True, slots=True)
class TrainingOverlap:
    """The training images of the bundle, by its record, compared with the scored images."""

    split_name: str
    """Split of the bundle's training; empty if the record does not state it."""
    split_sha256: str
    other_split: bool | None
    """Whether that is not the scored split; None if the record does not state the training
    images."""
    same_name: bool = False
    """Whether that other split has the name of the one scored."""
    images: int | None = None
    """Number of scored images that the bundle was trained on. None if the record has no list, and
    for splits with groups in several parts, which ``find_overlap`` counts."""
    groups: int | None = None
    """The same for groups."""
    checked: bool = False
    """Whether the images were compared with all training images of the bundle, image by image,
    or are of a held-out source."""

    @property
    def unseen(self) -> bool:
        """Whether the images are new to the model, by hashes and groups."""
        if self.checked or (self.other_split is False and self.images is None):
            return True
        return self.images == 0 and self.groups == 0

    def facts(self) -> dict[str, Any]:
        """The entry in the record of an evaluation, as JSON types."""
        return {
            "split_name": self.split_name,
            "split_sha256": self.split_sha256,
            "images_scored_here": self.images,
            "groups_scored_here": self.groups,
        }


@dataclasses.dataclass(frozen=True, slots=True)
class EvaluationWarning:
    """What a reader must know before the numbers."""

    severe: bool
    """Whether the numbers must not be quoted."""
    text: str


_severe: Final = partial(EvaluationWarning, True)
_mild: Final = partial(EvaluationWarning, False)


def overlap_warnings(
    part: str, fitted: TrainingOverlap, overlap: Overlap
) -> list[EvaluationWarning]:
    """Warnings about the numbers; severe ones first."""
    warnings = [*_part_warnings(part), *_split_warnings(fitted)]
    shared = int(overlap.same_group.sum())
    if shared:
        warnings.append(
            _mild(
                f"Groups are in several parts of this split: {shared} of {len(overlap.same_group)} "
                "images belong to a group (patient, or cluster of near-duplicates) that the model "
                f"was fitted on, and {int(overlap.duplicate.sum())} are pixel-identical to an "
                "image that it was fitted on. These numbers do not apply to new patients."
            )
        )
    return sorted(warnings, key=lambda warning: not warning.severe)


def _part_warnings(part: str) -> Iterator[EvaluationWarning]:
    if part == TRAIN:
        yield _severe("These are the images that a model of this split is trained on.")
    elif part == VALIDATION:
        yield _mild(
            "The epoch and the temperature were chosen on the validation part, so these "
            "numbers are optimistic."
        )


def _split_warnings(fitted: TrainingOverlap) -> Iterator[EvaluationWarning]:
    if fitted.checked:
        return
    if fitted.other_split is None:
        yield _severe(
            "The bundle does not say which images it was trained on: it may have been trained on "
            "those scored here."
        )
        return
    text = "The bundle was trained on further sets in addition to this split"
    if fitted.other_split:
        text = f"The bundle was trained on another split, {_named(fitted)}"
    if fitted.unseen:
        if fitted.other_split:
            yield _mild(
                f"{text}. By file hash and group, none of the images scored here is among those "
                "that it was fitted on; copies that were cropped or saved again are not ruled out."
            )
    else:
        yield _severe(
            f"{text}, and was fitted on {fitted.images} of the images scored here, and on images "
            f"of {fitted.groups} of their groups."
        )


def _named(fitted: TrainingOverlap) -> str:
    name = fitted.split_name or fitted.split_sha256[:12]
    return f"{name} (the same name, with other contents)" if fitted.same_name else name


def site_warnings(
    site: SiteCalibration | None, records: Sequence[Record]
) -> Iterator[EvaluationWarning]:
    """Whether the bundle was calibrated on some of the images scored."""
    if site is None:
        return
    calibrated = TrainingImages.from_list(site.seen_images)
    shared = sum(record in calibrated for record in records)
    if shared:
        yield _severe(
            f"The bundle's temperature, thresholds and prediction sets were fitted on {shared} of "
            f"the {len(records)} images scored here (`tumorlens calibrate`), so these numbers are "
            "optimistic."
        )


def find_overlap(manifest: Manifest, parts: Sequence[str], part: str) -> Overlap:
    """Find the images of ``part`` that resemble some in the parts used for training."""
    pairs = list(zip(manifest, parts, strict=True))
    scored = [record for record, name in pairs if name == part]
    fitted = [record for record, name in pairs if name in SEEN_PARTS and name != part]
    pixels = {record.pixel_sha256 for record in fitted if record.pixel_sha256}
    groups = {record.unit for record in fitted}
    return Overlap(
        np.array([record.pixel_sha256 in pixels for record in scored], dtype=bool),
        np.array([record.unit in groups for record in scored], dtype=bool),
    )


def subsets(overlap: Overlap) -> list[Subset]:
    """All images, those without a duplicate and those of unseen groups, if these are fewer."""
    apart = (
        Subset(
            "without_duplicates",
            "without training duplicates",
            "Images without a pixel-identical copy in the parts the model was fitted on.",
            ~overlap.duplicate,
        ),
        Subset(
            "unseen_groups",
            "unseen groups",
            "Images whose group (patient, or cluster of near-duplicates) has no image in the "
            "parts the model was fitted on.",
            ~overlap.same_group,
        ),
    )
    count = len(overlap.duplicate)
    every = Subset("all", "all images", "Every image scored.", np.ones(count, dtype=bool))
    return [every, *(subset for subset in apart if 0 < subset.member.sum() < count)]


def training_overlap(
    training: Mapping[str, Any], split: SplitInfo, records: Sequence[Record]
) -> TrainingOverlap:
    """Compare ``training``, a bundle's provenance, with the split and the images scored."""
    name, sha256 = named_split(training)
    extra = training.get("extra") or ()
    same = any(named_split(claim)[1] == split.sha256 for claim in (training, *extra))
    overlap = TrainingOverlap(name, sha256, not same, same_name=not same and name == split.name)
    trained = TrainingImages.from_training(training)
    if not sha256 or (trained is None and (extra or not same)):
        return TrainingOverlap(name, sha256, None)
    if trained is None or (same and not split.disjoint):
        return overlap
    known = [record for record in records if record in trained]
    groups = {record.unit for record in known}
    return dataclasses.replace(overlap, images=len(known), groups=len(groups))

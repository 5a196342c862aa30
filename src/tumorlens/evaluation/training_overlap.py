"""Overlap of the scored images with the training images, as far as hashes and groups show."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import compress
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import SiteCalibration
from tumorlens.datasets.manifest import OWN_GROUP, Manifest, Record
from tumorlens.datasets.splits import TRAIN, VALIDATION, SplitInfo
from tumorlens.evaluation.protocols import shipped_as
from tumorlens.evaluation.training_images import (
    SEEN_IMAGES,
    SEEN_PARTS,
    TrainingImages,
    named_split,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Overlap:
    """Which of the N images scored resemble images that the model was fitted on."""

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

    def of(self, values: Sequence[str]) -> list[str]:
        """Return those of N values that belong to its images."""
        return list(compress(values, self.member))


@dataclasses.dataclass(frozen=True, slots=True)
class TrainingOverlap:
    """What the bundle was trained on, by its own record, compared with what it is scored on."""

    split_name: str
    """Split of the bundle's training; empty where the bundle does not say."""
    split_sha256: str
    other_split: bool | None
    """Whether that is another split than the one scored; None where the bundle does not say."""
    same_name: bool = False
    """Whether that other split has the name of the one scored."""
    images: int | None = None
    """Scored images whose bytes are in the other split's train or validation part, if known."""
    groups: int | None = None
    """The same for groups."""
    unlisted: int = 0
    """Further sets of its training whose images no bundled split lists."""
    checked: bool = False
    """Whether the images were compared with all training images of the bundle, picture by picture,
    or are of a held-out source."""

    @property
    def unseen(self) -> bool:
        """Whether the images are new to the model, as far as hashes and groups show."""
        if self.checked or (self.other_split is False and self.images is None):
            return True
        return self.images == 0 and self.groups == 0

    def facts(self) -> dict[str, Any]:
        """What an evaluation's record says of it, as JSON types."""
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
    """What limits the meaning of these numbers; severe warnings first."""
    warnings = [*_part_warnings(part), *_split_warnings(fitted)]
    shared = int(overlap.same_group.sum())
    if shared:
        warnings.append(
            _mild(
                f"Groups cross in this split: {shared} of {len(overlap.same_group)} images belong "
                "to a group (patient, or cluster of near-duplicates) that the model was fitted on, "
                f"and {int(overlap.duplicate.sum())} are pixel-identical to an image it was fitted "
                "on. These numbers do not say how it answers for a new patient."
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
            "The bundle does not say which split it was trained on: it may have been "
            "trained on the images scored here."
        )
        return
    text = "The bundle was trained on further sets beside this split"
    if fitted.other_split:
        text = f"The bundle was trained on another split, {_named(fitted)}"
    if fitted.unseen:
        if fitted.other_split:
            yield _mild(
                f"{text}. By file hash and group none of the images scored here is among those "
                "it was fitted on; copies that were cropped or saved anew are not ruled out."
            )
        yield from _unlisted_warnings(fitted.unlisted)
    elif fitted.images is None:
        yield _severe(f"{text}: it may have been trained on the images scored here.")
    else:
        yield _severe(
            f"{text}, and was fitted on {fitted.images} of the images scored here, and on images "
            f"of {fitted.groups} of their groups."
        )


def _named(fitted: TrainingOverlap) -> str:
    name = fitted.split_name or fitted.split_sha256[:12]
    return f"{name} (the same name, with other contents)" if fitted.same_name else name


def _unlisted_warnings(sets: int) -> Iterator[EvaluationWarning]:
    if sets:
        yield _mild(
            f"The bundle was trained on {sets} further set{'s' if sets > 1 else ''} whose images "
            "are not listed here, so only their source shows that none of them is scored here."
        )


def site_warnings(
    site: SiteCalibration | None, records: Sequence[Record]
) -> Iterator[EvaluationWarning]:
    """Whether the bundle was calibrated on some of the images scored."""
    if site is None:
        return
    calibrated = TrainingImages.of_calibration(site)
    shared = sum(record in calibrated for record in records)
    if shared:
        yield _severe(
            f"The bundle's temperature, thresholds and prediction sets were fitted on {shared} of "
            f"the {len(records)} images scored here (`tumorlens calibrate`), so these numbers are "
            "optimistic."
        )


def find_overlap(manifest: Manifest, parts: Sequence[str], part: str) -> Overlap:
    """Find which images of ``part`` resemble some in the parts that the model was fitted on."""
    pairs = list(zip(manifest, parts, strict=True))
    scored = [record for record, name in pairs if name == part]
    fitted = [record for record, name in pairs if name in SEEN_PARTS and name != part]
    pixels = {record.pixel_sha256 for record in fitted if record.pixel_sha256}
    groups = {group_of(record) for record in fitted}
    return Overlap(
        np.array([record.pixel_sha256 in pixels for record in scored], dtype=bool),
        np.array([group_of(record) in groups for record in scored], dtype=bool),
    )


def subsets(overlap: Overlap) -> list[Subset]:
    """All images; those without a duplicate, and those of unseen groups, where these are fewer."""
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


def group_of(record: Record) -> str:
    """The unit that must not cross; an image of unknown group is a group of its own."""
    return record.group or f"{OWN_GROUP}{record.sha256}"


def training_overlap(
    training: Mapping[str, Any],
    split: SplitInfo,
    records: Sequence[Record],
    data_sha256: str = "",
) -> TrainingOverlap:
    """Compare ``training``, a bundle's provenance, with the split and the images scored.

    ``data_sha256`` is the hash of the manifest that is scored.
    """
    extra = training.get("extra") or ()
    name, sha256 = named_split(training)
    if not sha256:
        return TrainingOverlap(name, sha256, None)
    claims = [(name, sha256), *map(named_split, extra)]
    same = any(claim[1] == split.sha256 for claim in claims)
    claimed = TrainingOverlap(name, sha256, not same, same_name=not same and name == split.name)
    # Of a split whose groups cross by design, `find_overlap` tells how many images do.
    if SEEN_IMAGES in training and (split.disjoint or not same):
        return _by_images(training, claimed, records, data_sha256)
    others = [claim for claim in claims if claim[1] != split.sha256]
    listed = [(claim, shipped) for claim in others for shipped in [shipped_as(claim)] if shipped]
    whole = [str(one.get("data_sha256")) for one in extra if not named_split(one)[1]]
    if data_sha256 in whole:
        every = len({group_of(record) for record in records})
        return dataclasses.replace(claimed, images=len(records), groups=every)
    unlisted = sum(not any(claim is known for known, _ in listed) for claim in others)
    if not listed or (not same and shipped_as(claims[0]) is None):
        return dataclasses.replace(claimed, unlisted=unlisted)
    fitted = [row for _, one in listed for row in one.rows if row.part in SEEN_PARTS]
    hashes, groups = {row.sha256 for row in fitted}, {row.group for row in fitted}
    return dataclasses.replace(
        claimed,
        images=sum(record.sha256 in hashes for record in records),
        groups=len({group_of(record) for record in records} & groups),
        unlisted=unlisted,
    )


def _by_images(
    training: Mapping[str, Any],
    claimed: TrainingOverlap,
    records: Sequence[Record],
    data_sha256: str,
) -> TrainingOverlap:
    """``claimed`` with what the list of the images that trained the bundle shows."""
    seen = TrainingImages.of_training(training)
    whole = data_sha256 in seen.unlisted
    known = [record for record in records if whole or record in seen]
    return dataclasses.replace(
        claimed,
        images=len(known),
        groups=len({group_of(record) for record in known}),
        unlisted=len(seen.unlisted),
    )

"""What a model has seen of the images it is scored on, as far as hashes and groups can tell."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.splits import TRAIN, VALIDATION, Split, SplitInfo
from tumorlens.evaluation import protocols

SEEN_PARTS: Final = (TRAIN, VALIDATION)
"""Parts that shaped the model: weights are fitted on one, chosen and calibrated on the other."""


@dataclasses.dataclass(frozen=True, slots=True)
class Kinship:
    """Which of the N images scored have kin among those the model was fitted on."""

    twin: NDArray[np.bool_]
    """(N,) an image of identical pixels."""
    group: NDArray[np.bool_]
    """(N,) an image of the same group."""


@dataclasses.dataclass(frozen=True, slots=True)
class Subset:
    """Some of the images scored, and why they are looked at apart."""

    name: str
    title: str
    description: str
    member: NDArray[np.bool_]
    """(N,) over the images scored."""

    def of(self, values: Sequence[str]) -> list[str]:
        """Return those of N values that belong to its images."""
        return [value for value, member in zip(values, self.member, strict=True) if member]


@dataclasses.dataclass(frozen=True, slots=True)
class Exposure:
    """What the bundle says it was trained on, against what it is scored on."""

    split_name: str
    """Split of the bundle's training; empty where the bundle does not say."""
    split_sha256: str
    other_split: bool | None
    """Whether that is another split than the one scored; None where the bundle does not say."""
    images: int | None = None
    """Scored images whose bytes are in the other split's train or validation part, if known."""
    groups: int | None = None
    """The same for groups."""
    unlisted: int = 0
    """Further sets of its training whose images no split in the box lists."""
    checked: bool = False
    """Whether the images were held against all that the bundle was trained on, picture by picture,
    or are of a source that it was trained without."""

    @property
    def unseen(self) -> bool:
        """Whether the images are known to be new to the model, as far as hashes and groups tell."""
        if self.checked or (self.other_split is False and self.images is None):
            return True
        return self.images == 0 and self.groups == 0


@dataclasses.dataclass(frozen=True, slots=True)
class Caution:
    """Something a reader must know before the numbers."""

    severe: bool
    """Whether it keeps the result from being a clean one."""
    text: str


def cautions(part: str, seen: Exposure, kin: Kinship) -> list[Caution]:
    """Say what stands between these numbers and what they seem to say; severe ones first."""
    found = [*_part_caution(part), *_split_caution(seen)]
    shared = int(kin.group.sum())
    if shared:
        found.append(
            Caution(
                False,
                f"Groups cross in this split: {shared} of {len(kin.group)} images belong to a "
                f"group (patient, or cluster of near-duplicates) that the model was fitted on, "
                f"and {int(kin.twin.sum())} are pixel-identical to an image it was fitted on. "
                "These numbers do not say how it answers for a new patient.",
            )
        )
    return sorted(found, key=lambda caution: not caution.severe)


def _part_caution(part: str) -> list[Caution]:
    if part == TRAIN:
        return [Caution(True, "These are the images that a model of this split is trained on.")]
    if part == VALIDATION:
        return [
            Caution(
                False,
                "The validation part chose the epoch and the temperature, so these numbers "
                "flatter the model.",
            )
        ]
    return []


def _split_caution(seen: Exposure) -> list[Caution]:
    if seen.checked:
        return []
    unlisted = [_unlisted_caution(seen.unlisted)] if seen.unlisted else []
    if seen.other_split is None:
        return [
            Caution(
                True,
                "The bundle does not say which split it was trained on: it may have been "
                "trained on the images scored here.",
            )
        ]
    if seen.other_split is False and seen.unseen:
        return unlisted
    text = f"The bundle was trained on another split, {seen.split_name or seen.split_sha256[:12]}"
    if seen.other_split is False:
        text = "The bundle was trained on further sets beside this split"
    if seen.images is None:
        return [Caution(True, f"{text}: it may have been trained on the images scored here.")]
    if seen.unseen:
        return [
            Caution(
                False,
                f"{text}. By file hash and group none of the images scored here is among those "
                "it was fitted on; copies that were cropped or saved anew are not ruled out.",
            ),
            *unlisted,
        ]
    return [
        Caution(
            True,
            f"{text}, and was fitted on {seen.images} of the images scored here, and on images "
            f"of {seen.groups} of their groups.",
        )
    ]


def _unlisted_caution(sets: int) -> Caution:
    return Caution(
        False,
        f"The bundle was trained on {sets} further set{'s' if sets > 1 else ''} whose images are "
        "not listed here, so only where they come from says that none of them is scored here.",
    )


def kinship(manifest: Manifest, parts: Sequence[str], part: str) -> Kinship:
    """Find which images of ``part`` have kin in the parts that the model was fitted on."""
    pairs = list(zip(manifest, parts, strict=True))
    scored = [record for record, name in pairs if name == part]
    seen = [record for record, name in pairs if name in SEEN_PARTS and name != part]
    pixels = {record.pixel_sha256 for record in seen if record.pixel_sha256}
    groups = {group_of(record) for record in seen}
    return Kinship(
        np.array([record.pixel_sha256 in pixels for record in scored], dtype=bool),
        np.array([group_of(record) in groups for record in scored], dtype=bool),
    )


def subsets(kin: Kinship) -> list[Subset]:
    """All images; those without a twin; those of unseen groups: the latter two where smaller."""
    apart = (
        Subset(
            "without_twins",
            "without training twins",
            "Images without a pixel-identical copy in the parts the model was fitted on.",
            ~kin.twin,
        ),
        Subset(
            "unseen_groups",
            "unseen groups",
            "Images whose group (patient, or cluster of near-duplicates) has no image in the "
            "parts the model was fitted on.",
            ~kin.group,
        ),
    )
    count = len(kin.twin)
    every = Subset("all", "all images", "Every image scored.", np.ones(count, dtype=bool))
    return [every, *(subset for subset in apart if 0 < subset.member.sum() < count)]


def group_of(record: Record) -> str:
    """The leak-safe unit of an image; an image of unknown group is its own."""
    return record.group or f"image_{record.sha256}"


def exposure(
    training: Mapping[str, Any],
    split: SplitInfo,
    records: Sequence[Record],
    data_sha256: str = "",
) -> Exposure:
    """Hold ``training``, a bundle's provenance, against the split and the images scored.

    ``data_sha256`` is the hash of the manifest that is scored.
    """
    extra = training.get("extra") or ()
    name, sha256 = _named_split(training)
    if not sha256:
        return Exposure(name, sha256, None)
    claims = [(name, sha256), *map(_named_split, extra)]
    others = [claim for claim in claims if claim[1] != split.sha256]
    listed = [(claim, shipped) for claim in others for shipped in [_shipped_as(claim)] if shipped]
    whole = [str(one.get("data_sha256")) for one in extra if not _named_split(one)[1]]
    same = len(others) < len(claims)
    if data_sha256 in whole:
        every = len({group_of(record) for record in records})
        return Exposure(name, sha256, not same, len(records), every)
    unlisted = sum(not any(claim is known for known, _ in listed) for claim in others)
    if not same and _shipped_as(claims[0]) is None:
        return Exposure(name, sha256, True, unlisted=unlisted)
    seen = [row for _, one in listed for row in one.rows if row.part in SEEN_PARTS]
    hashes, groups = {row.sha256 for row in seen}, {row.group for row in seen}
    if not listed:
        return Exposure(name, sha256, not same, unlisted=unlisted)
    return Exposure(
        name,
        sha256,
        not same,
        images=sum(record.sha256 in hashes for record in records),
        groups=len({group_of(record) for record in records} & groups),
        unlisted=unlisted,
    )


def _named_split(facts: Mapping[str, Any]) -> tuple[str, str]:
    """Name and hash of the split in a record of training; empty where there is none."""
    claimed = facts.get("split")
    claimed = claimed if isinstance(claimed, Mapping) else {}
    return str(claimed.get("name", "")), str(claimed.get("sha256", ""))


def _shipped_as(claim: tuple[str, str]) -> Split | None:
    """The split in the box that a record names by its name and hash."""
    found = protocols.shipped(claim[0])
    return found if found is not None and found.info.sha256 == claim[1] else None

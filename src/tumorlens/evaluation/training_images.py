"""The training images of a network, by the hashes of the images.

The name of a split is not enough if a set was split again, or if training started from another
network. So the record of a run lists a few bytes of the hash of each image, which is enough to find
out whether an image was used, and reveals nothing else about it.
"""

import base64
import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

from tumorlens.datasets.manifest import Record
from tumorlens.datasets.splits import TRAIN, VALIDATION

SEEN_PARTS: Final = (TRAIN, VALIDATION)
"""Parts that were used in training: for the weights, and for the choice and calibration."""
SEEN_IMAGES: Final = "seen_images"
"""Key of the list of images in a record."""
_BYTES: Final = 6
"""Bytes of each hash: with 100,000 images listed, fewer than two in a billion others match."""


@dataclasses.dataclass(frozen=True, slots=True)
class TrainingImages:
    """Images that were used to train, choose or calibrate a network."""

    keys: frozenset[bytes]

    @classmethod
    def from_records(cls, records: Iterable[Record]) -> Self:
        """The images of ``records``."""
        return cls(frozenset(key for record in records for key in _keys(record)))

    @classmethod
    def from_list(cls, listed: str) -> Self:
        """The images of a text that ``listed`` returned."""
        data = base64.b64decode(listed)
        return cls(frozenset(data[k : k + _BYTES] for k in range(0, len(data), _BYTES)))

    @classmethod
    def from_training(cls, training: Mapping[str, Any]) -> Self | None:
        """The images in the record of a run; None if it has no list."""
        return cls.from_list(str(training[SEEN_IMAGES])) if SEEN_IMAGES in training else None

    def __contains__(self, record: Record) -> bool:
        """Whether an image of the same bytes or pixels is among them."""
        return not self.keys.isdisjoint(_keys(record))

    def __or__(self, other: "TrainingImages") -> "TrainingImages":
        """All images of both."""
        return TrainingImages(self.keys | other.keys)

    @property
    def listed(self) -> str:
        """All of them, as text for a record."""
        return base64.b64encode(b"".join(sorted(self.keys))).decode()


def named_split(facts: Mapping[str, Any]) -> tuple[str, str]:
    """Name and hash of the split in a record of training; empty if there is none."""
    claimed = facts.get("split")
    claimed = claimed if isinstance(claimed, Mapping) else {}
    return str(claimed.get("name", "")), str(claimed.get("sha256", ""))


def held_out_sources(facts: Mapping[str, Any]) -> frozenset[str]:
    """Sources and families that a network was trained without, by its record."""
    return frozenset(map(str, facts.get("held_out_sources") or ()))


def _keys(record: Record) -> list[bytes]:
    digests = (record.sha256, record.pixel_sha256)
    return [hashlib.sha256(digest.encode()).digest()[:_BYTES] for digest in digests if digest]

"""Which images trained a network, by the hashes of the images.

A name of a split says nothing of a set that was split anew, or of a network that started from
another. So a run's record lists the images themselves: a few bytes of each hash, which is enough to
tell that an image was among them, and tells nothing else of it.
"""

import base64
import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

from tumorlens.bundle import SiteCalibration
from tumorlens.datasets.manifest import Record
from tumorlens.datasets.splits import TRAIN, VALIDATION, Split
from tumorlens.evaluation import protocols

SEEN_PARTS: Final = (TRAIN, VALIDATION)
"""Parts that shaped the model: weights are fitted on one, chosen and calibrated on the other."""
SEEN_IMAGES: Final = "seen_images"
"""Entry of a record that lists its images, not only names of splits."""
_BYTES: Final = 6
"""Of each hash: among 100,000 images, one in 30 billion others is taken for one of them."""
_UNLISTED: Final = "unlisted_sets"


@dataclasses.dataclass(frozen=True, slots=True)
class TrainingImages:
    """Images that trained a network, or chose and calibrated it."""

    keys: frozenset[bytes]
    unlisted: frozenset[str] = frozenset()
    """Hashes of manifests that trained it too, whose images are not listed."""

    @classmethod
    def of_records(cls, records: Iterable[Record]) -> Self:
        """Those of ``records``."""
        return cls(frozenset(key for record in records for key in _keys(record)))

    @classmethod
    def of_training(cls, training: Mapping[str, Any], split: Split | None = None) -> Self:
        """Those that the record of a run names.

        A record without a list names splits: the bundled ones and ``split`` are known, the images
        of others are not.
        """
        if SEEN_IMAGES in training:
            data = base64.b64decode(str(training[SEEN_IMAGES]))
            keys = (data[k : k + _BYTES] for k in range(0, len(data), _BYTES))
            return cls(frozenset(keys), frozenset(map(str, training.get(_UNLISTED) or ())))
        found, unlisted = set(), set()
        for facts in (training, *(training.get("extra") or ())):
            known = _split_of(facts, split)
            if known is None:
                unlisted.add(str(facts.get("data_sha256", "")))
                continue
            found |= {_key(row.sha256) for row in known.rows if row.part in SEEN_PARTS}
        return cls(frozenset(found), frozenset(unlisted))

    @classmethod
    def of_calibration(cls, site: SiteCalibration) -> Self:
        """Those that a bundle was calibrated to a site on."""
        return cls.of_training({SEEN_IMAGES: site.seen_images})

    def __contains__(self, record: Record) -> bool:
        """Whether an image of the same bytes or pixels is among them."""
        return not self.keys.isdisjoint(_keys(record))

    def __or__(self, other: "TrainingImages") -> "TrainingImages":
        """All images of both."""
        return TrainingImages(self.keys | other.keys, self.unlisted | other.unlisted)

    def facts(self) -> dict[str, Any]:
        """The entries for the record of a run, as ``of_training`` reads them."""
        listed = base64.b64encode(b"".join(sorted(self.keys))).decode()
        return {SEEN_IMAGES: listed, _UNLISTED: sorted(self.unlisted)}


def named_split(facts: Mapping[str, Any]) -> tuple[str, str]:
    """Name and hash of the split in a record of training; empty where there is none."""
    claimed = facts.get("split")
    claimed = claimed if isinstance(claimed, Mapping) else {}
    return str(claimed.get("name", "")), str(claimed.get("sha256", ""))


def _split_of(facts: Mapping[str, Any], own: Split | None) -> Split | None:
    claim = named_split(facts)
    if own is not None and own.info.sha256 == claim[1]:
        return own
    return protocols.shipped_as(claim)


def _keys(record: Record) -> list[bytes]:
    return [_key(digest) for digest in (record.sha256, record.pixel_sha256) if digest]


def _key(digest: str) -> bytes:
    return hashlib.sha256(digest.encode()).digest()[:_BYTES]

"""Two questions: is there a tumour, and of which kind. What is uncertain is said to be.

A tumour called "no tumour" with confidence is the worst that this software can do, so "no tumour"
has a threshold of its own. A tumour whose kind is uncertain is still reported as a tumour.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import Thresholds
from tumorlens.inference.record import ABSTAINED, CLASSIFIED, DETECTED, REJECTED, Decision
from tumorlens.inference.summary import whole_percent
from tumorlens.labels import CLASSES, DISPLAY_NAMES, NO_TUMOR_INDEX, TUMOR_INDICES

_TINY = 1e-12


class Decided(NamedTuple):
    """The answer to both questions."""

    decision: Decision
    label: str | None
    """A class where ``decision`` is ``classified``."""
    reason: str
    """Why presence or kind is not stated, in words."""


class Decisions(NamedTuple):
    """The same for N images, as arrays."""

    presence: NDArray[np.int8]
    """(N,): 1 a tumour, 0 none, -1 uncertain."""
    label: NDArray[np.int64]
    """(N,): index of ``CLASSES``; -1 where nothing is classified."""

    @property
    def names(self) -> NDArray[np.str_]:
        """(N,): ``classified``, ``detected`` or ``abstained``."""
        held = np.where(self.presence == 1, DETECTED, ABSTAINED)
        return np.where(self.label >= 0, CLASSIFIED, held)

    def where(self, member: NDArray[np.bool_]) -> "Decisions":
        """Those of some of the images."""
        return Decisions(self.presence[member], self.label[member])

    @classmethod
    def joined(cls, parts: "Sequence[Decisions]") -> "Decisions":
        """Those of several sets of images, one after the other."""
        nothing = cls(np.zeros(0, dtype=np.int8), np.zeros(0, dtype=np.int64))
        both = [nothing, *parts]
        return cls(
            np.concatenate([one.presence for one in both]),
            np.concatenate([one.label for one in both]),
        )


def decisions(probabilities: NDArray[np.float64], thresholds: Thresholds) -> Decisions:
    """Decide on each row of probabilities (N, 4)."""
    first = probabilities.argmax(axis=1)
    tumor = 1.0 - probabilities[:, NO_TUMOR_INDEX]
    kinds = probabilities[:, TUMOR_INDICES]
    kind = np.asarray(TUMOR_INDICES)[kinds.argmax(axis=1)]
    share = kinds.max(axis=1) / np.maximum(kinds.sum(axis=1), _TINY)
    is_none = (first == NO_TUMOR_INDEX) & (
        probabilities[:, NO_TUMOR_INDEX] >= thresholds.notumor_threshold
    )
    is_tumor = ~is_none & (tumor >= thresholds.tumor_threshold)
    presence = np.where(is_none, 0, np.where(is_tumor, 1, -1)).astype(np.int8)
    named = is_tumor & (share >= thresholds.kind_threshold)
    label = np.where(is_none, NO_TUMOR_INDEX, np.where(named, kind, -1)).astype(np.int64)
    return Decisions(presence, label)


def decide(row: NDArray[np.float64], thresholds: Thresholds, rejection: str = "") -> Decided:
    """Decide on probabilities (4,), or on an image that was rejected for a reason."""
    if rejection:
        return Decided(REJECTED, None, rejection)
    (presence,), (label,) = decisions(row[np.newaxis], thresholds)
    if label >= 0:
        return Decided(CLASSIFIED, CLASSES[label], "")
    if presence == 1:
        return Decided(DETECTED, None, _kind_reason(row, thresholds))
    return Decided(ABSTAINED, None, _presence_reason(row, thresholds))


def _presence_reason(row: NDArray[np.float64], thresholds: Thresholds) -> str:
    return (
        f"tumour {whole_percent(1.0 - float(row[NO_TUMOR_INDEX]))}; a tumour is reported from "
        f"{whole_percent(thresholds.tumor_threshold)}, no tumour where its own probability is "
        f"at least {whole_percent(thresholds.notumor_threshold)}"
    )


def _kind_reason(row: NDArray[np.float64], thresholds: Thresholds) -> str:
    kinds = row[list(TUMOR_INDICES)]
    first = int(kinds.argmax())
    name = DISPLAY_NAMES[CLASSES[TUMOR_INDICES[first]]]
    share = float(kinds[first] / max(float(kinds.sum()), _TINY))
    return (
        f"given a tumour, {name} {whole_percent(share)}; the kind is named from "
        f"{whole_percent(thresholds.kind_threshold)}"
    )

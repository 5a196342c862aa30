"""Decide from probabilities whether there is a tumour and of which kind, or that it is uncertain.

If no class means "no finding", only the kind is decided.

A confident "no tumour" for a tumour is the worst error, so "no tumour" has a separate threshold. A
tumour whose kind is uncertain is still reported as a tumour.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import DecisionRule, Thresholds
from tumorlens.inference.record import ABSTAINED, CLASSIFIED, DETECTED, REJECTED, Decision
from tumorlens.labels import BRAIN_TUMORS, ClassSet
from tumorlens.text import probability_percent

_TINY = 1e-12


class Decided(NamedTuple):
    """The decision on one image."""

    decision: Decision
    label: str | None
    """A class where ``decision`` is ``classified``."""
    reason: str
    """Why presence or kind is not reported, as text."""


class Decisions(NamedTuple):
    """The decisions on N images, as arrays."""

    presence: NDArray[np.int8]
    """(N,): 1 a finding, 0 none, -1 uncertain."""
    label: NDArray[np.int64]
    """(N,): index of the class; -1 where nothing is classified."""

    @property
    def names(self) -> NDArray[np.str_]:
        """(N,): ``classified``, ``detected`` or ``abstained``."""
        held = np.where(self.presence == 1, DETECTED, ABSTAINED)
        return np.where(self.label >= 0, CLASSIFIED, held)

    def where(self, member: NDArray[np.bool_]) -> "Decisions":
        """The decisions on some of the images."""
        return Decisions(self.presence[member], self.label[member])

    @classmethod
    def joined(cls, parts: "Sequence[Decisions]") -> "Decisions":
        """Concatenate the decisions on several sets of images."""
        nothing = cls(np.zeros(0, dtype=np.int8), np.zeros(0, dtype=np.int64))
        parts = [nothing, *parts]
        return cls(
            np.concatenate([part.presence for part in parts]),
            np.concatenate([part.label for part in parts]),
        )


def decisions(
    probabilities: NDArray[np.float64], thresholds: Thresholds, classes: ClassSet = BRAIN_TUMORS
) -> Decisions:
    """Decide on each row of probabilities (N, C)."""
    kind, share = kind_shares(probabilities, classes)
    is_none, is_finding = _presence(probabilities, thresholds, classes)
    named = is_finding & (share >= thresholds.kind_threshold)
    if classes.no_finding_index is None:
        is_finding = named  # without a kind, nothing is known
    presence = np.where(is_none, 0, np.where(is_finding, 1, -1)).astype(np.int8)
    none = -1 if classes.no_finding_index is None else classes.no_finding_index
    label = np.where(is_none, none, np.where(named, kind, -1)).astype(np.int64)
    return Decisions(presence, label)


def decisions_by_sequence(
    probabilities: NDArray[np.float64],
    rule: DecisionRule,
    sequences: Sequence[str | None],
    classes: ClassSet = BRAIN_TUMORS,
) -> Decisions:
    """Decide on each row of probabilities (N, C) by the thresholds of its sequence.

    ``sequences`` (N,): None where it is not known.
    """
    presence, label = decisions(probabilities, rule, classes)
    for name, own in rule.by_sequence.items():
        member = np.array([sequence == name for sequence in sequences], dtype=np.bool_)
        presence[member], label[member] = decisions(probabilities[member], own, classes)
    return Decisions(presence, label)


def kind_shares(
    probabilities: NDArray[np.float64], classes: ClassSet = BRAIN_TUMORS
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The most probable kind of each row (N, C), and its share given a finding: (N,) each."""
    indices = np.asarray(classes.kinds, dtype=np.int64)
    kinds = probabilities[:, indices]
    share: NDArray[np.float64] = kinds.max(axis=1) / np.maximum(kinds.sum(axis=1), _TINY)
    return indices[kinds.argmax(axis=1)], share


def _presence(
    probabilities: NDArray[np.float64], thresholds: Thresholds, classes: ClassSet
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether no finding is reported, and whether one is: (N,) each."""
    none = classes.no_finding_index
    if none is None:
        every = np.ones(len(probabilities), dtype=np.bool_)
        return ~every, every
    of_none = probabilities[:, none]
    first = probabilities.argmax(axis=1) == none
    is_none = first & (of_none >= thresholds.notumor_threshold)
    return is_none, ~is_none & (1.0 - of_none >= thresholds.tumor_threshold)


def decide(
    row: NDArray[np.float64],
    thresholds: Thresholds,
    rejection: str = "",
    classes: ClassSet = BRAIN_TUMORS,
) -> Decided:
    """Decide on probabilities (C,), or on an image that was rejected for a reason."""
    if rejection:
        return Decided(REJECTED, None, rejection)
    (presence,), (label,) = decisions(row[np.newaxis], thresholds, classes)
    if label >= 0:
        return Decided(CLASSIFIED, classes.names[label], "")
    if presence == 1:
        return Decided(DETECTED, None, _kind_reason(row, thresholds, classes))
    return Decided(ABSTAINED, None, _abstention_reason(row, thresholds, classes))


def _abstention_reason(row: NDArray[np.float64], thresholds: Thresholds, classes: ClassSet) -> str:
    none, word = classes.no_finding_index, classes.finding
    if none is None:
        return _kind_reason(row, thresholds, classes)
    share = float(row[none])
    return (
        f"{word} {probability_percent(1.0 - share, 0)}, no {word} {probability_percent(share, 0)}; "
        f"{classes.a_finding} is reported from "
        f"{probability_percent(thresholds.tumor_threshold, 0)}, no {word} from "
        f"{probability_percent(thresholds.notumor_threshold, 0)}"
    )


def _kind_reason(row: NDArray[np.float64], thresholds: Thresholds, classes: ClassSet) -> str:
    (first,), (share,) = kind_shares(row[np.newaxis], classes)
    kind = classes.display_names[classes.names[first]]
    given = "" if classes.no_finding is None else f"given {classes.a_finding}, "
    return (
        f"{given}{kind} {probability_percent(float(share), 0)}; the kind is named from "
        f"{probability_percent(thresholds.kind_threshold, 0)}"
    )

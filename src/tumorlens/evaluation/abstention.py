"""Fit the thresholds for reporting an answer, on images that were not used in training.

There are three: for no tumour, for a tumour, and for the kind of a tumour. A tumour reported as no
tumour is the worst error, then a healthy head reported as a tumour, then a wrong kind.
"""

import dataclasses
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import DecisionRule, Thresholds
from tumorlens.evaluation.resampling import plain
from tumorlens.evaluation.thresholds import within_count, within_share
from tumorlens.inference.decision import Decisions, kind_shares
from tumorlens.labels import BRAIN_TUMORS, SEQUENCES, ClassSet

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAST: Final = 0.5
"""Lowest threshold for presence, so that "no tumour" and "tumour" exclude each other."""
MIN_OF_SEQUENCE: Final = 100
"""Fewest tumour images, and images without, for which a sequence gets its own thresholds."""


@dataclasses.dataclass(frozen=True, slots=True)
class Targets:
    """Largest error rates on the images that the thresholds are fitted on."""

    missed: float
    """Largest share of tumour images that are reported as no tumour."""
    alarms: float
    """Largest share of images without tumour that are reported as one."""
    kind_errors: float
    """Largest share of wrong kinds among those that are named."""


KNOWN_SOURCES: Final = Targets(missed=0.005, alarms=0.02, kind_errors=0.03)
HELD_OUT_SOURCES: Final = Targets(missed=0.05, alarms=0.03, kind_errors=0.1)
"""For sources that were not used in training, where stricter limits allow few answers."""
WHOLE_HEADS: Final = Targets(missed=0.01, alarms=0.05, kind_errors=0.05)


@dataclasses.dataclass(frozen=True, slots=True)
class AbstentionOutcome:
    """The rates of decisions on N images."""

    coverage: float
    """Share of images that are classified: the kind is named, or no tumour."""
    accuracy: float
    """Share of right answers among them; NaN where nothing is classified."""
    missed_tumor_rate: float
    """Share of all tumour images classified as no tumour; NaN where there are none."""
    false_alarm_rate: float
    """Share of all images without tumour reported as one; NaN where there are none."""
    healthy_accuracy: float
    """Share of right answers among the classified images without tumour; NaN where none is."""
    detected: float
    """Share of images reported as a tumour whose kind is not named."""
    presence_right: float
    """Share of images whose presence of a tumour is reported, and rightly."""
    presence_wrong: float
    """Share of images whose presence of a tumour is reported wrongly."""


def fit_thresholds(
    probabilities: Floats,
    correct: Bools,
    targets: Targets = KNOWN_SOURCES,
    classes: ClassSet = BRAIN_TUMORS,
) -> Thresholds:
    """Return the lowest thresholds that keep ``targets`` on these images.

    ``probabilities`` (N, C); ``correct`` (N, C) are the correct classes of each image, several if
    only "some tumour" is known: such images are not used for the kind. No threshold is above
    ``thresholds.MAX_THRESHOLD``. Without a class for "no finding", only the threshold for the kind
    is fitted.
    """
    none = classes.no_finding_index
    kind, share = kind_shares(probabilities, classes)
    certain = correct.sum(axis=1) == 1
    wrong = ~correct[np.arange(len(correct)), kind]
    if none is None:
        return Thresholds(kind_threshold=_kind(share[certain], wrong[certain], targets))
    healthy = correct[:, none]
    tumor = 1.0 - probabilities[:, none]
    predicted_none = probabilities.argmax(axis=1) == none
    missed = probabilities[~healthy & predicted_none, none]
    presence = _presence(tumor[healthy], targets.alarms * int(healthy.sum()))
    asked = ~healthy & certain & (tumor >= presence)
    return Thresholds(
        notumor_threshold=_presence(missed, targets.missed * int((~healthy).sum())),
        tumor_threshold=presence,
        kind_threshold=_kind(share[asked], wrong[asked], targets),
    )


def fit_rule(
    known: tuple[Floats, Bools],
    elsewhere: tuple[Floats, Bools] | None = None,
    sequences: Sequence[str] = (),
    held_out: Sequence[tuple[Floats, Bools]] = (),
    classes: ClassSet = BRAIN_TUMORS,
) -> DecisionRule:
    """Thresholds that keep the targets on known sources and, if given, on other sources.

    Each pair has the first two arguments of ``fit_thresholds``; ``sequences`` are those of the
    images of ``elsewhere``. A sequence with ``MIN_OF_SEQUENCE`` images with and without tumour gets
    its own thresholds. ``held_out`` are answers of networks that were trained without the scored
    sources, for each network. These networks are less accurate than the one that gets the rule, so
    they raise only the threshold for "no tumour", against the worst error.
    """
    rule = fit_thresholds(*known, classes=classes)
    by_sequence: dict[str, Thresholds] = {}
    if elsewhere is not None:
        probabilities, correct = elsewhere
        for_known = rule
        rule = stricter(
            for_known, fit_thresholds(probabilities, correct, HELD_OUT_SOURCES, classes)
        )
        for name in SEQUENCES[:-1]:
            member = np.array(sequences) == name
            healthy = int((member & is_healthy(correct, classes)).sum())
            if min(healthy, int(member.sum()) - healthy) >= MIN_OF_SEQUENCE:
                own = fit_thresholds(
                    probabilities[member], correct[member], HELD_OUT_SOURCES, classes
                )
                by_sequence[name] = stricter(for_known, own)
    for answers in held_out:
        fitted = fit_thresholds(*answers, HELD_OUT_SOURCES, classes)
        least = Thresholds(notumor_threshold=fitted.notumor_threshold)
        rule = stricter(rule, least)
        by_sequence = {name: stricter(own, least) for name, own in by_sequence.items()}
    return DecisionRule(**msgspec.structs.asdict(rule), by_sequence=by_sequence)


def stricter(rule: Thresholds, other: Thresholds) -> Thresholds:
    """The higher of each threshold: keeps the targets of both."""
    return Thresholds(
        tumor_threshold=max(rule.tumor_threshold, other.tumor_threshold),
        notumor_threshold=max(rule.notumor_threshold, other.notumor_threshold),
        kind_threshold=max(rule.kind_threshold, other.kind_threshold),
    )


def outcome_of(
    decided: Decisions, correct: Bools, classes: ClassSet = BRAIN_TUMORS
) -> AbstentionOutcome:
    """The rates of decisions on N images; ``correct`` (N, C) as in ``fit_thresholds``.

    The rates of presence are NaN if no class means "no finding".
    """
    classified = decided.label >= 0
    hits = classified & correct[np.arange(len(correct)), decided.label]
    healthy = is_healthy(correct, classes)
    no_tumor, tumor = decided.presence == 0, decided.presence == 1
    asked = classes.no_finding is not None
    return AbstentionOutcome(
        coverage=float(classified.mean()),
        accuracy=_share(hits[classified]),
        missed_tumor_rate=_share(no_tumor[~healthy & asked]),
        false_alarm_rate=_share(tumor[healthy]),
        healthy_accuracy=_share(hits[healthy & classified]),
        detected=float((tumor & ~classified).mean()),
        presence_right=float(np.where(healthy, no_tumor, tumor).mean()) if asked else float("nan"),
        presence_wrong=float(np.where(healthy, tumor, no_tumor).mean()) if asked else float("nan"),
    )


def is_healthy(correct: Bools, classes: ClassSet) -> Bools:
    """(N,) whether "no finding" is correct; False if no class means that."""
    none = classes.no_finding_index
    return np.zeros(len(correct), dtype=np.bool_) if none is None else correct[:, none]


def as_dict(outcome: AbstentionOutcome) -> dict[str, float | None]:
    """An outcome as JSON types; undefined is null."""
    return {name: plain(value) for name, value in dataclasses.asdict(outcome).items()}


def _share(values: Bools) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _presence(errors: Floats, most: float) -> float:
    return max(LEAST, within_count(errors, np.ones(len(errors)), most).value)


def _kind(share: Floats, wrong: Bools, targets: Targets) -> float:
    return within_share(share, wrong, np.ones(len(share)), targets.kind_errors).value

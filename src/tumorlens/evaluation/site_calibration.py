"""Fit a bundle to one site: temperature, thresholds and prediction sets from labelled local cases.

The network is not changed. With a few dozen patients not everything can be fitted. What cannot is
kept from the bundle or left out, and reported. See ``small_samples`` for the corrections.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import BundleInfo, ConformalThresholds, DecisionRule, Thresholds
from tumorlens.evaluation import small_samples
from tumorlens.evaluation.abstention import HELD_OUT_SOURCES, LEAST
from tumorlens.evaluation.calibration import adapt_temperature
from tumorlens.evaluation.conformal import COVERAGE
from tumorlens.evaluation.labelled_cases import LabelledCases, require_fitted, require_useful
from tumorlens.evaluation.small_samples import Controlled, controlled_error, controlled_threshold
from tumorlens.evaluation.thresholds import MAX_THRESHOLD
from tumorlens.inference.decision import decisions_by_sequence, kind_shares
from tumorlens.inference.postprocessing import softmax
from tumorlens.inference.record import ABSTAINED, CLASSIFIED, DETECTED
from tumorlens.labels import ClassSet

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MIN_FOR_TEMPERATURE: Final = 10
"""Patients of known class from which the temperature is fitted."""
_LARGEST_ODDS: Final = 700.0
"""Logarithm; beyond it the exponential overflows."""
_NONE: Final = "notumor_threshold"
_FINDING: Final = "tumor_threshold"
_KIND: Final = "kind_threshold"


@dataclasses.dataclass(frozen=True, slots=True)
class SiteFit:
    """The fitted values, and what could not be fitted."""

    temperature: float
    decision: DecisionRule
    prediction_sets: ConformalThresholds | None
    fitted: tuple[str, ...]
    """What was fitted, as text."""
    unfitted: tuple[str, ...]
    """What was kept or left out, and why, as text."""

    def applied(self, info: BundleInfo) -> BundleInfo:
        """``info`` with what was fitted.

        Thresholds for whole heads are rescaled to the temperature: no case was a whole head.
        """
        ratio = info.temperature / self.temperature
        return msgspec.structs.replace(
            info,
            temperature=self.temperature,
            decision=self.decision,
            volume_decisions={
                kind: _rescaled_rule(rule, ratio) for kind, rule in info.volume_decisions.items()
            },
            prediction_sets=self.prediction_sets,
        )


def fit_site(
    info: BundleInfo,
    cases: LabelledCases,
    coverage: float = COVERAGE,
) -> SiteFit:
    """Fit what the number of ``cases`` allows; raise ``EvaluationError`` for a useless network.

    ``coverage`` is that of the prediction sets for a new patient of this site. The limits of the
    error rates are those for sources that were not used in training.
    """
    return _Fitting(info, cases, coverage).run()


class _FittedThreshold(NamedTuple):
    """A threshold that limits an error rate, and the number of patients it was fitted on."""

    control: Controlled
    patients: int
    limit: float
    needed: int
    """Fewest patients for this limit."""

    @classmethod
    def of_rate(cls, control: Controlled, patients: Sequence[str], limit: float) -> Self:
        """The threshold for the rate of an error, from the images of ``patients``."""
        needed = small_samples.patients_for_limit(limit)
        return cls(control, len(set(patients)), limit, needed)

    def chosen(self, own: float, least: float) -> float:
        """The fitted threshold; without a guarantee, at least that of the bundle."""
        fitted = max(least, self.control.threshold)
        return fitted if self.control.promised else max(own, fitted)

    def sentence(self, title: str, value: float, fallback: str) -> str:
        """A sentence about the threshold."""
        start = f"threshold for {title}: {value:.3f}"
        if not self.control.keeps:
            return (
                f"{start}, but no threshold up to {MAX_THRESHOLD} limits the error rate of these "
                f"{self.patients} patients to {self.limit:.0%}"
            )
        if self.control.enough:
            return f"{start}, error rate within {self.limit:.0%}, from {self.patients} patients"
        return (
            f"{start}, {fallback}, because {self.patients} patients are too few to guarantee an "
            f"error rate of {self.limit:.0%} ({self.needed} are needed)"
        )


def _by_sequence(
    own: DecisionRule, thresholds: Mapping[str, _FittedThreshold], values: Mapping[str, float]
) -> dict[str, Thresholds]:
    """The bundle's thresholds for sequences, unless all thresholds were fitted."""
    if all(threshold.control.promised for threshold in thresholds.values()):
        return {}
    return {
        sequence: Thresholds(
            **{
                name: values[name]
                if threshold.control.promised
                else max(values[name], getattr(rule, name))
                for name, threshold in thresholds.items()
            }
        )
        for sequence, rule in own.by_sequence.items()
    }


def _presence(
    cases: LabelledCases, probabilities: Floats, none: int
) -> dict[str, _FittedThreshold]:
    """Thresholds for no finding and for a finding."""
    most_missed, most_alarms = HELD_OUT_SOURCES.missed, HELD_OUT_SOURCES.alarms
    healthy = cases.correct[:, none]
    predicted_none = np.where(probabilities.argmax(axis=1) == none, probabilities[:, none], -1.0)
    finding = 1.0 - probabilities[:, none]
    tumor_patients, healthy_patients = cases.groups_where(~healthy), cases.groups_where(healthy)
    missed = controlled_threshold(predicted_none[~healthy], tumor_patients, most_missed)
    alarms = controlled_threshold(finding[healthy], healthy_patients, most_alarms)
    if not alarms.enough:
        # One unusual healthy head among a dozen must not suppress most tumours. A missed tumour,
        # the worst error, does raise the threshold for "no tumour".
        alarms = Controlled(0.0, False)
    return {
        _NONE: _FittedThreshold.of_rate(missed, tumor_patients, most_missed),
        _FINDING: _FittedThreshold.of_rate(alarms, healthy_patients, most_alarms),
    }


def _kind(
    cases: LabelledCases,
    probabilities: Floats,
    classes: ClassSet,
    finding_from: float,
) -> _FittedThreshold:
    """Threshold for the kind, from the images that would be reported as a finding."""
    none, limit = classes.no_finding_index, HELD_OUT_SOURCES.kind_errors
    asked = cases.known
    if none is not None:
        asked = asked & ~cases.correct[:, none] & (1.0 - probabilities[:, none] >= finding_from)
    kind, share = kind_shares(probabilities, classes)
    wrong = ~cases.correct[np.arange(len(kind)), kind]
    patients = cases.groups_where(asked)
    return _FittedThreshold(
        controlled_error(share[asked], wrong[asked], patients, limit),
        len(set(patients)),
        limit,
        small_samples.MIN_FOR_SHARE,
    )


class _Fitting:
    """Fits one quantity after the other, and notes what could be fitted and what could not."""

    def __init__(self, info: BundleInfo, cases: LabelledCases, coverage: float) -> None:
        self.info, self.cases, self.coverage = info, cases, coverage
        self.fitted: list[str] = []
        self.unfitted: list[str] = []

    def run(self) -> SiteFit:
        info, cases = self.info, self.cases
        require_useful(info.name, softmax(cases.logits, info.temperature), cases.correct)
        temperature = self.temperature()
        probabilities = softmax(cases.logits, temperature)
        rule = self.rule(probabilities, temperature)
        decided = decisions_by_sequence(probabilities, rule, cases.sequences, info.classes).names
        sets = self.sets(probabilities, decided)
        if sets is not None and (absent := self.absent_classes()):
            self.unfitted.append(
                f"prediction sets: no case of some classes ({', '.join(absent)}), so their "
                "threshold is that of all cases, and their coverage is unknown"
            )
        if info.volume_decisions:
            self.unfitted.append(
                "thresholds for whole heads: the parent's, rescaled to the new temperature, "
                "because thresholds for volumes cannot be fitted to single images"
            )
        return SiteFit(temperature, rule, sets, tuple(self.fitted), tuple(self.unfitted))

    def absent_classes(self) -> list[str]:
        """The display names of the classes without any case."""
        classes, known = self.info.classes, self.cases.correct[self.cases.known]
        named = zip(classes.names, np.any(known, axis=0), strict=True)
        return [classes.display_name(name) for name, is_there in named if not is_there]

    def temperature(self) -> float:
        start = self.info.temperature
        known = self.cases.where(self.cases.known)
        if known.patients < MIN_FOR_TEMPERATURE:
            self.unfitted.append(
                f"temperature: the parent's, because only {known.patients} patients have a known "
                f"class ({MIN_FOR_TEMPERATURE} are needed)"
            )
            return start
        truths = known.correct.argmax(axis=1)
        if len(np.unique(truths)) == 1:
            # The confidence for one class does not show the errors for the others.
            self.unfitted.append("temperature: the parent's, because all cases are of one class")
            return start
        weights = small_samples.patient_weights(known.groups)
        temperature = adapt_temperature(known.logits, truths, weights, start)
        require_fitted(self.info.name, temperature)
        self.fitted.append(
            f"temperature: {start:.3f} became {temperature:.3f}, from {known.patients} patients"
        )
        return temperature

    def rule(self, probabilities: Floats, temperature: float) -> DecisionRule:
        info, cases = self.info, self.cases
        none, word = info.classes.no_finding_index, info.classes.finding
        own = _rescaled_rule(info.decision, info.temperature / temperature)
        thresholds: dict[str, _FittedThreshold] = {}
        values: dict[str, float] = {}
        if none is not None:
            thresholds = _presence(cases, probabilities, none)
            values = {
                name: threshold.chosen(getattr(own, name), LEAST)
                for name, threshold in thresholds.items()
            }
        finding_from = values.get(_FINDING, 0.0)
        thresholds[_KIND] = _kind(cases, probabilities, info.classes, finding_from)
        values[_KIND] = thresholds[_KIND].chosen(own.kind_threshold, 0.0)
        titles = {_NONE: f"no {word}", _FINDING: info.classes.a_finding, _KIND: "the kind"}
        for name, threshold in thresholds.items():
            fallback = "the parent's" + (
                " or the lowest without an error here" if name == _NONE else ""
            )
            line = threshold.sentence(titles[name], values[name], fallback)
            (self.fitted if threshold.control.promised else self.unfitted).append(line)
        return DecisionRule(
            notumor_threshold=values.get(_NONE, 0.0),
            tumor_threshold=values.get(_FINDING, 0.0),
            kind_threshold=values[_KIND],
            by_sequence=_by_sequence(own, thresholds, values),
        )

    def sets(self, probabilities: Floats, decided: NDArray[np.str_]) -> ConformalThresholds | None:
        """Sets by decision and class if each has enough patients, otherwise pooled."""
        cases, coverage = self.cases, self.coverage
        everything = _by_class(cases, probabilities, cases.known, coverage)
        if everything is None:
            patients = len(set(cases.groups_where(cases.known)))
            self.unfitted.append(small_samples.no_sets(f"{patients} patients", coverage))
            return None
        decisions = (CLASSIFIED, DETECTED, ABSTAINED)
        parts = {name: cases.known & (decided == name) for name in decisions}
        own = {
            name: _by_class(cases, probabilities, member, coverage)
            for name, member in parts.items()
            if member.any()
        }
        # All or none: with sets for some decisions, the others would not reach the coverage.
        apart = len(own) > 1 and all(rule is not None and not rule[1] for rule in own.values())
        chosen = {name: (own.get(name) if apart else None) or everything for name in parts}
        pooled = everything[1] and not apart
        self.fitted.append(
            f"prediction sets of {coverage:.0%}: "
            + ("one threshold for all classes" if pooled else "a threshold for each class")
            + (", for each decision" if apart else ", the same for all decisions")
        )
        if pooled:
            self.unfitted.append(
                "prediction sets class by class: pooled instead, as some class has fewer than "
                f"{small_samples.patients_for_coverage(coverage)} patients; the coverage holds for "
                "all classes together"
            )
        return ConformalThresholds(
            coverage=coverage,
            thresholds=chosen[CLASSIFIED][0],
            by_decision={name: chosen[name][0] for name in (DETECTED, ABSTAINED)},
        )


def _by_class(
    cases: LabelledCases, probabilities: Floats, member: Bools, coverage: float
) -> tuple[tuple[float, ...], bool] | None:
    """A threshold for each class, and whether it is the same for all; None for too few patients."""
    own_cases, truths = cases.where(member), cases.correct[member].argmax(axis=1)
    every = probabilities[member][np.arange(len(truths)), truths]
    weights = small_samples.patient_weights(own_cases.groups)
    pooled = small_samples.conformal_threshold(every, weights, coverage)
    if pooled is None:
        return None
    classes = probabilities.shape[1]
    own: dict[int, float] = {}
    for k in np.unique(truths).tolist():
        member = truths == k
        weights = small_samples.patient_weights(own_cases.groups_where(member))
        threshold = small_samples.conformal_threshold(every[member], weights, coverage)
        if threshold is None:
            return (pooled,) * classes, True
        own[k] = threshold
    return tuple(own.get(k, pooled) for k in range(classes)), False


def _rescaled_rule(rule: DecisionRule, ratio: float) -> DecisionRule:
    """A rule that gives the same decisions for the same logits at another temperature."""
    by_sequence = {name: _rescaled(own, ratio) for name, own in rule.by_sequence.items()}
    return msgspec.structs.replace(
        rule, by_sequence=by_sequence, **msgspec.structs.asdict(_rescaled(rule, ratio))
    )


def _rescaled(rule: Thresholds, ratio: float) -> Thresholds:
    return Thresholds(
        **{name: _moved(getattr(rule, name), ratio) for name in (_NONE, _FINDING, _KIND)}
    )


def _moved(threshold: float, ratio: float) -> float:
    """The probability that logits which gave ``threshold`` give at ``ratio`` times their size.

    Exact for two classes.
    """
    if not 0.0 < threshold < 1.0:
        return threshold
    odds = math.log(threshold / (1.0 - threshold)) * ratio
    return 1.0 / (1.0 + math.exp(-min(max(odds, -_LARGEST_ODDS), _LARGEST_ODDS)))

"""What a trained network still needs before it may answer: temperature, thresholds, sets, gate.

All of it is fitted on validation images, which chose the epoch too and trained nothing.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tumorlens import bundle
from tumorlens.bundle import Bundle, DecisionRule, GateFacts
from tumorlens.config import PreprocessConfig
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.splits import TEST, VALIDATION, Split
from tumorlens.errors import SplitError
from tumorlens.evaluation.abstention import (
    AbstentionOutcome,
    fit_shifted_thresholds,
    fit_thresholds,
    outcome,
    stricter,
)
from tumorlens.evaluation.calibration import fit_temperature
from tumorlens.evaluation.conformal import COVERAGE, fit_sets
from tumorlens.evaluation.metrics import CORRECT
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.gate import Gate
from tumorlens.inference.postprocessing import softmax
from tumorlens.labels import ANSWERABLE
from tumorlens.training import cache
from tumorlens.training.gate import GATE_PREPROCESS
from tumorlens.training.images import usable

MAX_REFUSED: Final = 0.005
"""Share of the validation images that the gate may refuse."""
MAX_REFUSED_OF_FAMILY: Final = 0.01
"""The same of the validation images of any one family of sources."""
_FAMILY: Final = 50
"""Validation images from which a family has a say of its own."""


@dataclasses.dataclass(frozen=True)
class ValidationSet:
    """Validation images of one manifest."""

    manifest: Manifest
    split: Split
    held_out_sources: frozenset[str] = frozenset()
    """Sources and families that take no part."""

    def chosen(self) -> list[int]:
        """Records of the validation part that a class can be right for."""
        parts = self.split.parts(self.manifest)
        pairs = zip(self.manifest, parts, strict=True)
        return [i for i, (r, part) in enumerate(pairs) if part == VALIDATION and self._fits(r)]

    def _fits(self, record: Record) -> bool:
        return usable(record) and not {record.source, record.family} & self.held_out_sources

    def records(self) -> list[Record]:
        """What is known of the images ``chosen``."""
        return [self.manifest.records[i] for i in self.chosen()]

    def pictures(self, config: PreprocessConfig, folder: Path) -> NDArray[np.uint8]:
        """The images (N, S, S), preprocessed for some network."""
        return cache.cached_images(self.manifest, self.chosen(), config, folder)


@dataclasses.dataclass(frozen=True)
class HeldOutSource:
    """Sources that a bundle was trained without, to see how sure it is of what it never saw."""

    made: Bundle
    manifest: Manifest
    split: Split | None = None
    """Its test images take no part."""

    def chosen(self) -> list[int]:
        """Records of what the bundle was trained without; raises ``SplitError`` for none."""
        away = set(map(str, self.made.info.training.get("held_out_sources") or ()))
        parts = self.split.parts(self.manifest) if self.split else [""] * len(self.manifest)
        pairs = zip(self.manifest, parts, strict=True)
        found = [
            i
            for i, (r, part) in enumerate(pairs)
            if part != TEST and usable(r) and {r.source, r.family} & away
        ]
        if not found:
            raise SplitError(
                f"bundle {self.made.info.name} was trained without none of these images"
            )
        return found

    def answers(self, cache_folder: Path) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Probabilities (N, 4), and which classes are right (N, 4)."""
        config, chosen = self.made.info.preprocess, self.chosen()
        images = cache.cached_images(self.manifest, chosen, config, cache_folder)
        logits = Classifier(self.made, answer_all=True).logits(images)
        probabilities = softmax(logits, self.made.info.temperature)
        return probabilities, _correct([self.manifest.records[i].label for i in chosen])


def calibrate(
    made: Bundle,
    main: ValidationSet,
    others: Sequence[ValidationSet],
    cache_folder: Path,
    gate: bytes | None = None,
    coverage: float = COVERAGE,
    held_out: Sequence[HeldOutSource] = (),
) -> tuple[Bundle, AbstentionOutcome]:
    """Fit temperature and prediction sets (on ``main``), thresholds (on all).

    ``coverage`` is what the sets of each class shall hold. What the bundle was trained without
    takes no part here either: it is kept for the test. ``held_out`` show how sure networks made
    alike are of sources they never saw: no threshold is lower than theirs.

    Returns the bundle with them, not yet saved, and what the thresholds do on validation.
    Raises ``SplitError`` where there are none.
    """
    held_out_sources = frozenset(map(str, made.info.training.get("held_out_sources") or ()))
    main, *others = (
        dataclasses.replace(held, held_out_sources=held_out_sources) for held in (main, *others)
    )
    others = [held for held in others if held.chosen()]
    sets = [main, *others]
    if not main.chosen():
        raise SplitError(f"split {main.split.info.name} has no image for {VALIDATION}")
    classifier = Classifier(made, answer_all=True)
    config = made.info.preprocess
    logits = [classifier.logits(held.pictures(config, cache_folder)) for held in sets]
    correct = [_correct([held.manifest.records[i].label for i in held.chosen()]) for held in sets]
    labels = correct[0].argmax(axis=1)
    temperature = fit_temperature(logits[0], labels)
    known = correct[0].sum(axis=1) == 1  # not "some tumour"
    kept = msgspec.structs.replace(
        fit_sets(softmax(logits[0][known], temperature), labels[known], coverage),
        chosen_on=f"{main.split.info.name} validation",
    )
    probabilities = softmax(np.concatenate(logits), temperature)
    answers = np.concatenate(correct)
    on = " and ".join(f"{held.split.info.name} validation" for held in sets)
    rule, rule_on = fit_thresholds(probabilities, answers), on
    if held_out:
        rule = stricter(rule, _shifted_thresholds(held_out, cache_folder))
        rule_on = f"{on}, and held-out sources"
    rule = msgspec.structs.replace(rule, chosen_on=rule_on)
    info = msgspec.structs.replace(
        made.info, temperature=temperature, decision=rule, prediction_sets=kept
    )
    if gate is not None:
        pictures = np.concatenate([held.pictures(GATE_PREPROCESS, cache_folder) for held in sets])
        families = [r.family or r.source for held in sets for r in held.records()]
        info = msgspec.structs.replace(info, gate=_gate_facts(gate, pictures, families, on))
    return Bundle(info, made.model, gate), outcome(probabilities, answers, rule)


def save(folder: Path, done: Bundle) -> Bundle:
    """Write a calibrated bundle over ``folder``."""
    return bundle.save(folder, done.info, done.model, done.gate)


def _shifted_thresholds(held_out: Sequence[HeldOutSource], cache_folder: Path) -> DecisionRule:
    found = [source.answers(cache_folder) for source in held_out]
    probabilities, correct = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return fit_shifted_thresholds(probabilities, correct)


def _correct(labels: Sequence[str]) -> NDArray[np.bool_]:
    correct: NDArray[np.bool_] = CORRECT[[ANSWERABLE.index(label) for label in labels]]
    return correct


def _gate_facts(
    model: bytes, pictures: NDArray[np.uint8], families: Sequence[str], on: str
) -> GateFacts:
    """A gate with the highest threshold that keeps to both limits on ``pictures`` of heads."""
    facts = GateFacts(preprocess=GATE_PREPROCESS, threshold=0.0, chosen_on=on)
    scores = Gate(facts, model, "calibration").scores(pictures)
    limits = [float(np.quantile(scores, MAX_REFUSED, method="lower"))]
    names = np.array(families)
    for family, count in zip(*np.unique(names, return_counts=True), strict=True):
        if count >= _FAMILY:
            own = scores[names == family]
            limits.append(float(np.quantile(own, MAX_REFUSED_OF_FAMILY, method="lower")))
    threshold = min(limits)
    return msgspec.structs.replace(facts, threshold=round(threshold, 4))

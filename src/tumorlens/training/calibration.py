"""What a network needs after training: temperature, thresholds, prediction sets, gate.

All of it is fitted on validation images, which were used to choose the epoch, but not to train.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from tumorlens.bundle import Bundle, ConformalThresholds, DecisionRule, GateFacts
from tumorlens.config import PreprocessConfig
from tumorlens.datasets.collections import TUMOR_FREE_SLICE
from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.splits import EXCLUDED, TEST, VALIDATION, Split
from tumorlens.errors import EvaluationError, SplitError
from tumorlens.evaluation import drift
from tumorlens.evaluation.abstention import AbstentionOutcome, fit_rule, outcome_of
from tumorlens.evaluation.calibration import fit_temperature
from tumorlens.evaluation.conformal import COVERAGE, fit_sets
from tumorlens.evaluation.labelled_cases import require_fitted, require_useful
from tumorlens.evaluation.metrics import correct_of
from tumorlens.evaluation.small_samples import patients_for_coverage
from tumorlens.evaluation.training_images import held_out_sources
from tumorlens.evaluation.whole_heads import answer_list, fit_volume_decisions
from tumorlens.inference.classifier import Classifier
from tumorlens.inference.decision import Decisions, decisions_by_sequence
from tumorlens.inference.gate import GATE_PREPROCESS, Gate
from tumorlens.inference.postprocessing import softmax
from tumorlens.inference.record import ABSTAINED, DETECTED
from tumorlens.labels import BRAIN_TUMORS, UNANSWERABLE, ClassSet
from tumorlens.training import cache
from tumorlens.training.images import usable

MAX_REFUSED: Final = 0.005
"""Share of the validation images that the gate may reject."""
MAX_REFUSED_OF_FAMILY: Final = 0.01
"""The same for the validation images of any one family of sources."""
_FAMILY: Final = 50
"""Validation images from which on a family has a limit of its own."""


@dataclasses.dataclass(frozen=True)
class ValidationSet:
    """Validation images of one manifest."""

    manifest: Manifest
    split: Split
    held_out_sources: frozenset[str] = frozenset()
    """Sources and families that are left out."""
    classes: ClassSet = BRAIN_TUMORS

    def chosen(self) -> list[int]:
        """Records of the validation part for which a class can be correct.

        Tumour-free slices of patients with a tumour are left out: swelling or traces of surgery may
        reach them, and the outermost ones hold hardly any brain.
        """
        parts = self.split.parts(self.manifest)
        pairs = zip(self.manifest, parts, strict=True)
        return [
            i
            for i, (r, part) in enumerate(pairs)
            if part == VALIDATION
            and usable(r, self.classes)
            and r.source_label != TUMOR_FREE_SLICE
            and not r.is_from(self.held_out_sources)
        ]

    def records(self) -> list[Record]:
        """The records of the images ``chosen``."""
        return [self.manifest.records[i] for i in self.chosen()]

    @property
    def patients(self) -> int:
        """Number of patients with images of a known class."""
        chosen, grouped = self.chosen(), self.split.grouped(self.manifest).records
        return len({grouped[i].unit for i in chosen if grouped[i].label in self.classes.names})

    def images(self, config: PreprocessConfig, folder: Path) -> NDArray[np.uint8]:
        """The images (N, S, S), preprocessed by ``config``."""
        return cache.cached_images(self.manifest, self.chosen(), config, folder)


@dataclasses.dataclass(frozen=True)
class HeldOutSource:
    """Sources that a bundle was trained without, to measure its confidence on them."""

    bundle: Bundle
    manifest: Manifest
    split: Split | None = None
    """Its test images are left out."""

    def chosen(self) -> list[int]:
        """Records of what the bundle was trained without; raises ``SplitError`` for none."""
        parts = self.split.parts(self.manifest) if self.split else [""] * len(self.manifest)
        pairs = zip(self.manifest, parts, strict=True)
        unseen = _unseen(self.bundle.info.training)
        # Slices without tumour of patients who have one in other slices are left out: swelling and
        # shift reach into them, so an alarm there is not as false as in a healthy head. They are
        # those of known patients from a source with tumours.
        classes = self.bundle.info.classes
        none = classes.no_finding
        with_tumors = {r.source for r in self.manifest if r.label not in (none, *UNANSWERABLE)}
        indices = [
            i
            for i, (r, part) in enumerate(pairs)
            if part not in (TEST, EXCLUDED)
            and usable(r, classes)
            and unseen(r)
            and not (r.label == none and r.patient and r.source in with_tumors)
        ]
        if not indices:
            raise SplitError(
                f"no usable image of a source that bundle {self.bundle.info.name} was trained "
                "without"
            )
        return indices

    def answers(self, cache_folder: Path) -> "_Answers":
        """The bundle's answers to them, and the correct classes."""
        config, chosen = self.bundle.info.preprocess, self.chosen()
        images = cache.cached_images(self.manifest, chosen, config, cache_folder)
        logits = Classifier(self.bundle, answer_all=True).forward(images).logits
        probabilities = softmax(logits, self.bundle.info.temperature)
        records = [self.manifest.records[i] for i in chosen]
        return _Answers.from_probabilities(probabilities, records, self.bundle.info.classes)


def _unseen(training: Mapping[str, Any]) -> Callable[[Record], bool]:
    """Whether a record is of a source that a bundle with this provenance was trained without.

    Sources that were held out on purpose; where none were, those that neither its training images
    nor its teachers' name.
    """
    if held_out := held_out_sources(training):
        return lambda record: record.is_from(held_out)
    trained = {key.partition(":")[0] for key in _train_images(training)}
    return lambda record: bool(trained) and record.source not in trained


def _train_images(provenance: Any) -> Iterator[str]:
    """Every ``source: label`` of the training images, anywhere in a provenance."""
    if isinstance(provenance, Mapping):
        yield from provenance.get("train_images") or ()
        for part in provenance.values():
            yield from _train_images(part)
    elif isinstance(provenance, list | tuple):
        for part in provenance:
            yield from _train_images(part)


def calibrate(
    bundle: Bundle,
    main: ValidationSet,
    others: Sequence[ValidationSet],
    cache_folder: Path,
    gate: bytes | None = None,
    coverage: float = COVERAGE,
    held_out: Sequence[HeldOutSource] = (),
    volumes: Sequence[Path] = (),
) -> tuple[Bundle, AbstentionOutcome]:
    """Fit temperature and prediction sets (on ``main``), thresholds and the gate's (on all).

    ``coverage`` is the target share of each class's sets that contain it; with too few patients for
    it there are no sets. Sources that the bundle was trained without are not used here either: they
    are kept for the test. ``others`` are validation images of other hospitals; ``held_out`` show
    how confident networks that were trained in the same way are on sources that they were trained
    without. Each threshold is the higher of that for all validation images together and that for
    other hospitals alone, where the targets allow more errors; that for "no tumour" also keeps the
    target for each network of ``held_out``.

    Returns the bundle with them, not yet saved, and the rates on the validation images. Raises
    ``SplitError`` if there are none, ``EvaluationError`` if the network cannot distinguish the
    classes.
    """
    classes = bundle.info.classes
    if volumes and classes != BRAIN_TUMORS:
        raise SplitError(
            "thresholds for volumes can be fitted only for bundles of the four classes (glioma, "
            "meningioma, notumor, pituitary); calibrate this one without a list of volumes"
        )
    kept_apart = held_out_sources(bundle.info.training)
    main, *others = (
        dataclasses.replace(held, held_out_sources=kept_apart, classes=classes)
        for held in (main, *others)
    )
    others = [held for held in others if held.chosen()]
    sets = [main, *others]
    if not main.chosen():
        raise SplitError(f"split {main.split.info.name} has no image for {VALIDATION}")
    classifier = Classifier(bundle, answer_all=True)
    config = bundle.info.preprocess
    observations = [drift.observe(classifier, held.images(config, cache_folder)) for held in sets]
    logits = [observation.logits for observation in observations]
    labels = correct_of([r.label for r in main.records()], classes).argmax(axis=1)
    temperature = fit_temperature(logits[0], labels)
    # Manifests of one collection may have splits of one name.
    on = " and ".join(dict.fromkeys(f"{held.split.info.name} validation" for held in sets))
    known, *elsewhere = (
        _Answers.from_probabilities(softmax(rows, temperature), held.records(), classes)
        for rows, held in zip(logits, sets, strict=True)
    )
    pooled = _Answers.joined([known, *elsewhere])
    require_useful(bundle.info.name, known.probabilities, known.correct)
    require_fitted(bundle.info.name, temperature)
    shifted = _Answers.joined(elsewhere) if elsewhere else None
    unseen = _of_each_network(held_out, cache_folder)
    rule = msgspec.structs.replace(
        fit_rule(
            pooled[:2],
            shifted[:2] if shifted else None,
            shifted.sequences if shifted else (),
            [answers[:2] for answers in unseen],
            classes,
        ),
        chosen_on=f"{on}, and held-out sources" if held_out else on,
    )
    info = msgspec.structs.replace(
        bundle.info,
        temperature=temperature,
        decision=rule,
        prediction_sets=_sets(known, [*elsewhere, *unseen], rule, coverage, main, classes),
    )
    gate_scores = None
    if gate is not None:
        images = np.concatenate([held.images(GATE_PREPROCESS, cache_folder) for held in sets])
        families = [r.family or r.source for held in sets for r in held.records()]
        facts = gate_facts(gate, images, families, on)
        info = msgspec.structs.replace(info, gate=facts)
        gate_scores = Gate(facts, gate, bundle.info.name).scores(images)
    reference = drift.summarize(drift.joined(observations), on, gate_scores)
    info = msgspec.structs.replace(info, reference=reference, site=None)
    done = Bundle(info, bundle.model, gate)
    if volumes:
        heads = [
            head
            for path in volumes
            for head in answer_list(Classifier(done), path, held_out_sources=kept_apart)
        ]
        fitted = fit_volume_decisions(heads, rule, f"{len(heads)} volumes in three planes")
        info = msgspec.structs.replace(info, volume_decisions=fitted)
    outcome = outcome_of(pooled.decided(rule, classes), pooled.correct, classes)
    if not outcome.coverage:
        raise EvaluationError(
            f"bundle {bundle.info.name}: at thresholds that limit the error rates, none of "
            f"{len(pooled.correct)} validation images is classified; it is untrained or unsuitable "
            "for them"
        )
    return dataclasses.replace(done, info=info), outcome


class _Answers(NamedTuple):
    """N images: a network's answers, and the correct classes."""

    probabilities: NDArray[np.float64]
    """(N, C), after temperature."""
    correct: NDArray[np.bool_]
    """(N, C): the classes that are correct."""
    sequences: tuple[str, ...]
    """As the manifest states them; empty strings where it states none."""

    @classmethod
    def from_probabilities(
        cls, probabilities: NDArray[np.float64], records: Sequence[Record], classes: ClassSet
    ) -> Self:
        correct = correct_of([record.label for record in records], classes)
        return cls(probabilities, correct, tuple(record.sequence for record in records))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        return cls(
            np.concatenate([part.probabilities for part in parts]),
            np.concatenate([part.correct for part in parts]),
            tuple(name for part in parts for name in part.sequences),
        )

    def decided(self, rule: DecisionRule, classes: ClassSet) -> Decisions:
        return decisions_by_sequence(self.probabilities, rule, self.sequences, classes)


def _of_each_network(held_out: Sequence[HeldOutSource], cache_folder: Path) -> list[_Answers]:
    """Answers of each network to all sources that it was trained without."""
    networks: dict[str, list[_Answers]] = {}
    for source in held_out:
        networks.setdefault(source.bundle.sha256, []).append(source.answers(cache_folder))
    return [_Answers.joined(parts) for parts in networks.values()]


def _sets(
    main: _Answers,
    elsewhere: Sequence[_Answers],
    rule: DecisionRule,
    coverage: float,
    held: ValidationSet,
    classes: ClassSet,
) -> ConformalThresholds | None:
    """Sets of classified images from ``main``; of detected and abstained ones from all images.

    None if ``main`` has too few patients for the coverage.
    """
    if held.patients < patients_for_coverage(coverage):
        return None
    every = _Answers.joined([main, *elsewhere])
    decided = every.decided(rule, classes).names
    held_back = {name: _truths(every, decided == name) for name in (DETECTED, ABSTAINED)}
    fitted = fit_sets(*_truths(main), coverage, held_back)
    on = f"{held.split.info.name} validation"
    beside = "; for detected and abstained answers, all images that the thresholds were chosen on"
    return msgspec.structs.replace(fitted, chosen_on=on + (beside if fitted.by_decision else ""))


def _truths(
    answers: _Answers, member: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities and the correct class of those with only one: not "some tumour"."""
    known = answers.correct.sum(axis=1) == 1
    if member is not None:
        known = known & member
    return answers.probabilities[known], answers.correct[known].argmax(axis=1)


def gate_facts(
    model: bytes, images: NDArray[np.uint8], families: Sequence[str], on: str
) -> GateFacts:
    """A gate with the highest threshold that keeps both limits on ``images`` of heads."""
    facts = GateFacts(preprocess=GATE_PREPROCESS, threshold=0.0, chosen_on=on)
    scores = Gate(facts, model, "calibration").scores(images)
    limits = [float(np.quantile(scores, MAX_REFUSED, method="lower"))]
    names = np.array(families)
    for family, count in zip(*np.unique(names, return_counts=True), strict=True):
        if count >= _FAMILY:
            own = scores[names == family]
            limits.append(float(np.quantile(own, MAX_REFUSED_OF_FAMILY, method="lower")))
    return msgspec.structs.replace(facts, threshold=min(limits))

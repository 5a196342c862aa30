"""Scores of all contenders on one part of a split: accuracy, errors, corruptions, speed."""

import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from experiments.peers.contenders import Answers, BundleContender, Contender
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from tumorlens.datasets.manifest import Manifest, Record
from tumorlens.datasets.splits import Split
from tumorlens.errors import EvaluationError
from tumorlens.evaluation import comparison, metrics, protocols, resampling
from tumorlens.evaluation.corruptions.run import Errors, choose, corrupted, errors_of
from tumorlens.evaluation.resampling import Sampling
from tumorlens.imaging import reader
from tumorlens.labels import ANSWERABLE

Flags = NDArray[np.bool_]
_ROUNDS: Final = 5
"""Timed turns of each contender."""


@dataclass(frozen=True)
class Plan:
    """How many images to use for what."""

    part: str
    corruption_images: int
    """Corrupted for bundles; 0 for none."""
    package_corruption_images: int
    """Corrupted for packages, which take a third of a second for each of the 51 versions."""
    latency_images: int
    sampling: Sampling


@dataclass(frozen=True)
class _Set:
    """The images that are scored."""

    manifest: Manifest
    records: tuple[Record, ...]
    labels: NDArray[np.int64]
    """(N,) indices of ``labels.ANSWERABLE``."""
    groups: tuple[str, ...]


def score(
    split: Split, manifest: Manifest, contenders: Sequence[Contender], ours: str, plan: Plan
) -> dict[str, Any]:
    """Compare each contender with the one named ``ours``; JSON types.

    Raises ``EvaluationError`` where the split lacks the part.
    """
    images = _images(split, manifest, plan.part)
    reference = next((contender for contender in contenders if contender.name == ours), None)
    if reference is None:
        raise EvaluationError(f"{split.info.name}: no contender is named {ours!r}")
    answers = {contender.name: _answers(contender, images) for contender in contenders}
    errors = _errors(contenders, images, reference, plan)
    clock = _latency(contenders, images, plan.latency_images)
    rows = []
    for contender in contenders:
        rows.append(
            {
                "name": contender.name,
                **contender.facts,
                **_rates(images, answers[contender.name], plan.sampling),
                **_against(images, answers[contender.name], answers[ours], plan.sampling),
                **errors.get(contender.name, {}),
                "latency_ms": round(1000 * clock[contender.name], 3),
                "latency_ratio": round(clock[contender.name] / clock[ours], 3),
            }
        )
    return {
        "split": split.info.name,
        "split_sha256": split.info.sha256,
        "data_sha256": manifest.sha256,
        "n": len(images.records),
        "groups": len(set(images.groups)),
        "ours": ours,
        "rows": rows,
    }


def _images(split: Split, manifest: Manifest, part: str) -> _Set:
    parts = split.parts(manifest)
    protocols.require_part(split, parts, part)
    pairs = zip(manifest, parts, strict=True)
    records = tuple(r for r, name in pairs if name == part and r.label in ANSWERABLE)
    labels = metrics.truths([record.label for record in records])
    groups = tuple(record.unit for record in records)
    return _Set(manifest, records, labels, groups)


def _answers(contender: Contender, images: _Set) -> Answers:
    Console(stderr=True).print(f"scoring {contender.name}", highlight=False)
    return contender.answers(images.manifest, images.records)


def _rates(images: _Set, predicted: Answers, sampling: Sampling) -> dict[str, Any]:
    """Accuracy, missed tumours and false alarms with their intervals."""

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return metrics.rates(images.labels, predicted, weights)

    estimates = resampling.named(metrics.RATES, statistic, images.groups, sampling)
    return {name: resampling.rounded(estimate) for name, estimate in estimates.items()}


def _against(images: _Set, theirs: Answers, ours: Answers, sampling: Sampling) -> dict[str, Any]:
    we, they = (metrics.correct_table()[images.labels, answers] for answers in (ours, theirs))
    return {
        "mcnemar": mcnemar(we, they),
        "difference": difference(we, they, images.groups, sampling),
    }


def mcnemar(ours: Flags, theirs: Flags) -> dict[str, Any]:
    """Exact two-sided test (McNemar 1947) that both are correct equally often.

    ``ours`` and ``theirs`` (N,) say which images each answers rightly. It takes images for
    independent, which slices of one patient are not: ``difference`` does not.
    """
    return {
        "only_ours_correct": int((ours & ~theirs).sum()),
        "only_theirs_correct": int((theirs & ~ours).sum()),
        "p": comparison.mcnemar(ours, theirs),
    }


def difference(
    ours: Flags, theirs: Flags, groups: Sequence[str], sampling: Sampling
) -> dict[str, float | None]:
    """Their accuracy minus ours, with its interval from resampling groups."""
    gain = theirs.astype(np.float64) - ours
    return resampling.rounded(resampling.mean(gain, groups, sampling))


def _errors(
    contenders: Sequence[Contender], images: _Set, ours: Contender, plan: Plan
) -> dict[str, dict[str, Any]]:
    """Mean error on corrupted images, and relative to ours on the same images."""
    bundles = [contender for contender in contenders if isinstance(contender, BundleContender)]
    others = [contender for contender in contenders if not isinstance(contender, BundleContender)]
    errors = _corrupt(bundles, images, ours, plan.corruption_images, plan.sampling)
    if others:
        count = plan.package_corruption_images
        errors = _corrupt([ours, *others], images, ours, count, plan.sampling) | errors
    return errors


def _corrupt(
    contenders: Sequence[Contender], images: _Set, ours: Contender, count: int, sampling: Sampling
) -> dict[str, dict[str, Any]]:
    if count == 0:
        return {}
    chosen = _chosen(images, count)
    labels = metrics.truths([record.label for record in chosen])
    groups = [record.unit for record in chosen]
    predicted: dict[str, list[Answers]] = {contender.name: [] for contender in contenders}
    for record in track(chosen, "corrupting", console=Console(stderr=True), transient=True):
        versions = _versions(images.manifest, record)
        for contender in contenders:
            predicted[contender.name].append(contender.corrupted_answers(versions))
    tables = {name: np.stack(answers) for name, answers in predicted.items()}
    errors = {name: Errors(name, *errors_of(labels, table)) for name, table in tables.items()}
    rows = {}
    for name, table in tables.items():
        wrong = ~metrics.correct_table()[labels[:, np.newaxis], table[:, 1:]]
        estimate = resampling.mean(wrong.mean(axis=1), groups, sampling)
        rows[name] = {
            "corruption_images": len(chosen),
            "corrupted_error": resampling.rounded(estimate),
            "corruption_error": resampling.plain(errors[name].mean_over(errors[ours.name])),
        }
    return rows


def _chosen(images: _Set, count: int) -> list[Record]:
    """As ``tumorlens evaluate --corruptions`` chooses them: evenly from the labels."""
    return [images.records[i] for i in choose(images.records, count)]


def _versions(manifest: Manifest, record: Record) -> list[NDArray[np.float32]]:
    """The original image and its 50 corrupted versions, 0 to about 1."""
    pixels = reader.read(manifest.file(record)).pixels
    low, high = float(pixels.min()), float(pixels.max())
    first, *others = corrupted(pixels, record.sha256)
    return [((first - low) / max(high - low, 1e-12)).astype(np.float32), *others]


def _latency(contenders: Sequence[Contender], images: _Set, count: int) -> dict[str, float]:
    """Seconds from a file to its answer on one core, loaded: median of turns taken in rotation."""
    paths = [images.manifest.file(record) for record in _chosen(images, count)]
    times: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    with _one_core():
        for turn in range(_ROUNDS + 1):
            for contender in contenders:
                started = time.perf_counter()
                for path in paths:
                    contender.predict(path)
                if turn:  # the first warms up
                    times[contender.name].append((time.perf_counter() - started) / len(paths))
    return {name: statistics.median(seconds) for name, seconds in times.items()}


@contextmanager
def _one_core() -> Iterator[None]:
    """Keep this thread on the first of its cores, where the system allows it."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:1])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)

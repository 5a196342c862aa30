"""The result of a probe: rates with intervals, and a few examples."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.evaluation import resampling
from tumorlens.evaluation.probes.pictures import Images, Pictures
from tumorlens.evaluation.resampling import Estimate, Sampling
from tumorlens.labels import ANSWERABLE, CLASSES, LABEL_NAMES

Floats = NDArray[np.float64]
_EXAMPLES: Final = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """One image before and after, (S, S) uint8 each, and what was answered."""

    before: Images
    after: Images
    before_text: str
    after_text: str


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeValues:
    """What a probe did to the N images of one fold."""

    values: Mapping[str, Floats]
    """For each rate (N,): 1 for yes, 0 for no, NaN where the image does not take part."""
    examples: tuple[Example, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """One share that a probe measures."""

    title: str
    wanted: str
    """What a network without shortcuts shows, in a word or two."""


@dataclasses.dataclass(frozen=True, slots=True)
class Probe:
    """One question to a network."""

    name: str
    title: str
    description: str
    rates: Mapping[str, Wanted]
    run: Callable[[Pictures], ProbeValues]


@dataclasses.dataclass(frozen=True, slots=True)
class Rate:
    """One share, over the images that took part."""

    name: str
    title: str
    wanted: str
    images: int
    groups: int
    estimate: Estimate


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeResult:
    """The answer to one question."""

    name: str
    title: str
    description: str
    rates: tuple[Rate, ...]
    examples: tuple[Example, ...] = ()


def pool(
    probe: Probe, outcomes: Sequence[ProbeValues], groups: Sequence[str], sampling: Sampling
) -> ProbeResult:
    """Estimate a probe's rates over the images of all folds; ``groups`` are theirs, in order."""
    rates = []
    for name, wanted in probe.rates.items():
        values = np.concatenate([outcome.values[name] for outcome in outcomes])
        rates.append(share(name, wanted, values, groups, sampling))
    examples = tuple(example for outcome in outcomes for example in outcome.examples)
    return ProbeResult(probe.name, probe.title, probe.description, tuple(rates), examples)


def share(
    name: str, wanted: Wanted, values: Floats, groups: Sequence[str], sampling: Sampling
) -> Rate:
    """Mean of the values (N,) that are not NaN, with its interval over groups."""
    taking = np.flatnonzero(np.isfinite(values)).tolist()
    names = [groups[i] for i in taking]
    estimate = Estimate(np.nan, np.nan, np.nan)
    if len(taking):
        held = values[taking]
        estimate = resampling.bootstrap(
            lambda weights: (weights @ held / weights.sum(axis=1))[:, np.newaxis], names, sampling
        )[0]
    return Rate(name, wanted.title, wanted.wanted, len(taking), len(set(names)), estimate)


def taking_part(count: int, rows: NDArray[np.int64], values: NDArray[np.bool_]) -> Floats:
    """(count,) with ``values`` in ``rows`` and NaN elsewhere."""
    column = np.full(count, np.nan)
    column[rows] = values
    return column


def shown(count: int) -> list[int]:
    """Which of ``count`` changed images become examples: a few, evenly spread."""
    places: list[int] = np.linspace(0, count - 1, min(_EXAMPLES, count)).astype(int).tolist()
    return places


def answered_as(index: int) -> str:
    """``answered glioma``."""
    return f"answered {LABEL_NAMES[CLASSES[index]]}"


def truth(index: int) -> str:
    """``is glioma``."""
    return f"is {LABEL_NAMES[ANSWERABLE[index]]}"


def as_dict(finding: ProbeResult) -> dict[str, Any]:
    """JSON types."""
    return {
        "description": finding.description,
        "rates": {
            rate.name: {
                "title": rate.title,
                "wanted": rate.wanted,
                "n": rate.images,
                "n_groups": rate.groups,
                **resampling.rounded(rate.estimate),
            }
            for rate in finding.rates
        },
    }

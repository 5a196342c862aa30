"""The result of a probe: rates with intervals, and a few examples."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.evaluation import resampling
from tumorlens.evaluation.probes.data import Images, ProbeData
from tumorlens.evaluation.resampling import Estimate, Sampling
from tumorlens.labels import BRAIN_TUMORS, ClassSet

Floats = NDArray[np.float64]
_EXAMPLES: Final = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """One image before and after the change, (S, S) uint8 each, and the answers."""

    before: Images
    after: Images
    before_text: str
    after_text: str


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeValues:
    """The results of a probe for the N images of one fold."""

    values: Mapping[str, Floats]
    """For each rate (N,): 1 for yes, 0 for no, NaN if the image is not used."""
    examples: tuple[Example, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """One share that a probe measures."""

    title: str
    wanted: str
    """The value expected of a network without shortcuts, as text."""
    of_presence: bool = False
    """Whether it is undefined if no class means "no finding"."""


@dataclasses.dataclass(frozen=True, slots=True)
class Probe:
    """A probe. Texts may contain ``{finding}`` and other words of ``worded``."""

    name: str
    title: str
    description: str
    rates: Mapping[str, Wanted]
    run: Callable[[ProbeData], ProbeValues]
    needs_outlines: bool = False
    """Whether it needs experts' outlines."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rate:
    """One share, over the images that were used."""

    name: str
    title: str
    wanted: str
    images: int
    groups: int
    estimate: Estimate


@dataclasses.dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of one probe."""

    name: str
    title: str
    description: str
    rates: tuple[Rate, ...]
    examples: tuple[Example, ...] = ()


def _defined(probe: Probe, classes: ClassSet) -> dict[str, Wanted]:
    """The rates of a probe that are defined for these classes, in their words."""
    return {
        name: dataclasses.replace(wanted, title=worded(wanted.title, classes))
        for name, wanted in probe.rates.items()
        if classes.no_finding is not None or not wanted.of_presence
    }


def worded(text: str, classes: ClassSet) -> str:
    """``text`` with the classes' words for ``{finding}``, ``{findings}``, ``{none}`` and so on."""
    words = {"finding": classes.finding, "a_finding": classes.a_finding}
    capitals = {name.capitalize(): word.capitalize() for name, word in words.items()}
    none = classes.display_name(classes.no_finding) if classes.no_finding else ""
    return text.format(findings=classes.findings, none=none, **words, **capitals)


def ask(probe: Probe, loaded: Sequence[ProbeData], sampling: Sampling) -> ProbeResult:
    """Run a probe on the images of all folds (at least one), or state why it cannot be run."""
    classes, why = loaded[0].classes, ""
    if not _defined(probe, classes):
        why = "none of the classes means that there is no finding."
    elif probe.needs_outlines and not any(data.masks.any() for data in loaded):
        why = "no image has an outline (column `mask` of the manifest)."
    if why:
        title, description = (worded(text, classes) for text in (probe.title, probe.description))
        return ProbeResult(probe.name, title, f"{description} Not run: {why}", ())
    groups = [group for data in loaded for group in data.groups]
    return pool(probe, [probe.run(data) for data in loaded], groups, sampling, classes)


def pool(
    probe: Probe,
    outcomes: Sequence[ProbeValues],
    groups: Sequence[str],
    sampling: Sampling,
    classes: ClassSet = BRAIN_TUMORS,
) -> ProbeResult:
    """Estimate a probe's rates over the images of all folds; ``groups`` are theirs, in order."""
    rates = []
    for name, wanted in _defined(probe, classes).items():
        values = np.concatenate([outcome.values[name] for outcome in outcomes])
        rates.append(_rate(name, wanted, values, groups, sampling))
    examples = tuple(example for outcome in outcomes for example in outcome.examples)
    title, description = (worded(text, classes) for text in (probe.title, probe.description))
    return ProbeResult(probe.name, title, description, tuple(rates), examples)


def _rate(
    name: str, wanted: Wanted, values: Floats, groups: Sequence[str], sampling: Sampling
) -> Rate:
    """Mean of the values (N,) that are not NaN, with its interval over groups."""
    taking = np.flatnonzero(np.isfinite(values)).tolist()
    names = [groups[i] for i in taking]
    estimate = Estimate(np.nan, np.nan, np.nan)
    if taking:
        estimate = resampling.mean(values[taking], names, sampling)
    return Rate(name, wanted.title, wanted.wanted, len(taking), len(set(names)), estimate)


def taking_part(count: int, rows: NDArray[np.int64], values: NDArray[np.bool_]) -> Floats:
    """(count,) with ``values`` in ``rows`` and NaN elsewhere."""
    column = np.full(count, np.nan)
    column[rows] = values
    return column


def example_indices(count: int) -> list[int]:
    """Indices of the examples among ``count`` changed images, evenly spread."""
    return [int(index) for index in np.linspace(0, count - 1, min(_EXAMPLES, count))]


def answered_as(index: int, classes: ClassSet) -> str:
    """``answered glioma``."""
    return f"answered {classes.display_name(classes.names[index])}"


def true_class(index: int, classes: ClassSet) -> str:
    """``is glioma``."""
    return f"is {classes.display_name(classes.answerable[index])}"


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

"""Confidence intervals from resampling groups, not images.

Slices of one patient are not independent: an interval that resamples images is too narrow. The
cluster bootstrap (Field and Welsh, 2007) draws whole groups with replacement and takes the
percentiles of the metric over the resamples.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL: Final = 0.95
MIN_GROUPS: Final = 10
"""Fewest groups for an interval: percentiles over fewer are far too narrow."""
_DIGITS: Final = 6
_CHUNK_ELEMENTS: Final = 4_000_000

Floats = NDArray[np.float64]


class Sampling(NamedTuple):
    """Number of resamples, and the seed."""

    resamples: int = 2000
    seed: int = 0


class Estimate(NamedTuple):
    """A value and its 95% interval; NaN if undefined, or if there are too few groups."""

    value: float
    low: float
    high: float


DEFAULT: Final = Sampling()


def rounded(estimate: Estimate) -> dict[str, float | None]:
    """For JSON: six decimals, because the last bits differ between processors; NaN is null."""
    return {name: plain(value) for name, value in estimate._asdict().items()}


def plain(value: float | None) -> float | None:
    """The same for one number."""
    return None if value is None or math.isnan(value) else round(value, _DIGITS)


def interval_facts(sampling: Sampling) -> dict[str, Any]:
    """How intervals are computed, as JSON types."""
    return {
        "level": LEVEL,
        "method": "cluster bootstrap over groups, percentile",
        "resamples": sampling.resamples,
        "seed": sampling.seed,
    }


def bootstrap(
    statistic: Callable[[Floats], Floats],
    groups: Sequence[str],
    sampling: Sampling = DEFAULT,
) -> list[Estimate]:
    """Estimate every column of ``statistic``, a function of weights (B, N) giving (B, M).

    ``groups`` (N,) are the groups of the images. Resamples in which a column is undefined are left
    out of its interval. For fewer than ``MIN_GROUPS`` groups there is no interval.
    """
    value = statistic(np.ones((1, len(groups))))[0]
    if len(set(groups)) < MIN_GROUPS:
        return [Estimate(float(v), math.nan, math.nan) for v in value]
    drawn = np.concatenate([statistic(w) for w in group_weights(groups, sampling)])
    low, high = interval(drawn)
    return [Estimate(*map(float, column)) for column in zip(value, low, high, strict=True)]


def named(
    names: Sequence[str],
    statistic: Callable[[Floats], Floats],
    groups: Sequence[str],
    sampling: Sampling,
) -> dict[str, Estimate]:
    """``bootstrap``, keyed by the ``names`` (M,) of the columns."""
    return dict(zip(names, bootstrap(statistic, groups, sampling), strict=True))


def mean(values: Floats, groups: Sequence[str], sampling: Sampling) -> Estimate:
    """Mean of ``values`` (N,), at least one, with its interval over groups."""
    return bootstrap(
        lambda weights: (weights @ values / weights.sum(axis=1))[:, np.newaxis], groups, sampling
    )[0]


def group_weights(groups: Sequence[str], sampling: Sampling) -> Iterator[Floats]:
    """Yield chunks (B, N) of how often each image counts in each resample of the groups."""
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    generator = np.random.default_rng(sampling.seed)
    chunk = max(1, _CHUNK_ELEMENTS // len(groups))
    equal_chances = np.full(len(names), 1.0 / len(names))
    for start in range(0, sampling.resamples, chunk):
        size = min(chunk, sampling.resamples - start)
        times = generator.multinomial(len(names), equal_chances, size=size)
        yield times[:, member].astype(np.float64)


def interval(drawn: Floats) -> tuple[Floats, Floats]:
    """95% percentile interval of each column of (B, M) over its defined rows."""
    low = np.full(drawn.shape[1], np.nan)
    high = low.copy()
    tails = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    for column in range(drawn.shape[1]):
        defined = drawn[np.isfinite(drawn[:, column]), column]
        if defined.size:
            low[column], high[column] = np.quantile(defined, tails)
    return low, high

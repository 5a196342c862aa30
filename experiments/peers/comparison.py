"""Two contenders on the same images."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from tumorlens.evaluation import metrics, resampling
from tumorlens.evaluation.corruptions.run import Errors
from tumorlens.evaluation.resampling import Sampling

Flags = NDArray[np.bool_]
_DIGITS: Final = 6


def mcnemar(ours: Flags, theirs: Flags) -> dict[str, Any]:
    """Exact two-sided test (McNemar 1947) that both are correct equally often.

    ``ours`` and ``theirs`` (N,) say which images each answers rightly. It takes images for
    independent, which slices of one patient are not: ``difference`` does not.
    """
    only_ours = int((ours & ~theirs).sum())
    only_theirs = int((theirs & ~ours).sum())
    decided = only_ours + only_theirs
    p = float(binomtest(only_ours, decided, 0.5).pvalue) if decided else 1.0
    return {"only_ours_correct": only_ours, "only_theirs_correct": only_theirs, "p": p}


def difference(
    ours: Flags, theirs: Flags, groups: Sequence[str], sampling: Sampling
) -> dict[str, float | None]:
    """Their accuracy minus ours, with its interval from resampling groups."""
    gain = theirs.astype(np.float64) - ours
    return resampling.rounded(mean(gain, groups, sampling))


def mean(
    values: NDArray[np.float64], groups: Sequence[str], sampling: Sampling
) -> resampling.Estimate:
    """Of values (N,), with its interval from resampling groups."""

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return metrics.ratio(weights @ values, weights.sum(axis=1))[:, np.newaxis]

    return resampling.bootstrap(statistic, groups, sampling)[0]


def corruption_error(theirs: Errors, ours: Errors) -> float | None:
    """Mean over corruptions of their summed errors divided by ours; None if ours are zero.

    After Hendrycks and Dietterich (2019), with us for AlexNet.
    """
    own = ours.table.sum(axis=1)
    made = own > 0
    if not made.any():
        return None
    return round(float((theirs.table.sum(axis=1)[made] / own[made]).mean()), _DIGITS)

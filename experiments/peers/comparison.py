"""Two contenders on the same images."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tumorlens.evaluation import comparison, resampling
from tumorlens.evaluation.corruptions.run import Errors
from tumorlens.evaluation.resampling import Sampling

Flags = NDArray[np.bool_]
_DIGITS: Final = 6


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


def corruption_error(theirs: Errors, ours: Errors) -> float | None:
    """Mean over corruptions of their summed errors divided by ours; None if ours are zero.

    After Hendrycks and Dietterich (2019), with us for AlexNet.
    """
    own = ours.table.sum(axis=1)
    made = own > 0
    if not made.any():
        return None
    return round(float((theirs.table.sum(axis=1)[made] / own[made]).mean()), _DIGITS)
